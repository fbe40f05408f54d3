"""Faults 16 and 17 over HTTP: every hostile path and address, by every dialect that takes media: no file, no fetch."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from pathlib import Path

import httpx
import pytest
from over_http import about, ask, post, rows, served

from assay.records import Record
from assay.rewards.base import scores_of
from assay.serving.admission import MediaPolicy
from assay.spec import Spec

GIVEN = json.loads((Path(__file__).parents[1] / "fixtures" / "serving" / "hostile_addresses.json").read_text())


class Seeing:
    """One for each picture that it can read."""

    spec = Spec(modalities=frozenset({"text", "image"}))

    def fingerprint(self) -> str:
        return "seeing"

    def __call__(self, records: list[Record]):
        counts = [sum(hasattr(part, "content_hash") for part in record.parts()) for record in records]
        return scores_of(
            records, [float(count) for count, record in zip(counts, records, strict=True) for _ in record.responses]
        )


@pytest.fixture(scope="module")
def canary():
    visits = []
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:

        def listen():
            while True:
                try:
                    visits.append(listener.accept())
                except OSError:
                    return

        threading.Thread(target=listen, daemon=True).start()
        yield listener.getsockname()[1], visits


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("door")
    (folder / "secret.png").write_bytes(b"the secret")
    root = folder / "media"
    (root / "inside").mkdir(parents=True)
    (root / "in.png").write_bytes(b"in")
    (root / "link_to_secret.png").symlink_to(folder / "secret.png")
    (root / "link_to_outside").symlink_to(folder)
    (root / "link_to_etc").symlink_to("/etc")
    (root / "link_loop").symlink_to("link_loop")
    os.mkfifo(root / "inside" / "fifo")
    return root


@pytest.fixture(scope="module", params=["closed", "open"])
def url(request, place):
    policy = MediaPolicy() if request.param == "closed" else MediaPolicy(root=place, hosts=("*",), seconds=3)
    with served(policy, seeing=Seeing()) as found:
        yield found


def forms(canary):
    return [form.replace("{port}", str(canary[0])) for form in (*GIVEN["paths"], *GIVEN["addresses"])]


def test_the_native_protocol(url, canary):
    """All forms in one request: a row each, refused each, and the last, which is by bytes, scored."""
    ways = (
        lambda form: {"type": "image", "path": form},
        lambda form: {"type": "image_url", "image_url": {"url": form}},
        lambda form: {"image": form},
    )
    records = [about(way(form), "a") for form in forms(canary) for way in ways if form]
    found = rows(ask(url, *records, about({"type": "image", "data": "eA=="}, "a")))
    wrong = [
        row for row in found[:-1] if row["status"] not in ("unreadable_media", "invalid") or row["value"] is not None
    ]
    assert not wrong
    assert found[-1]["status"] == "ok"
    assert len(found) > 600
    assert not canary[1]


def dialects(form):
    """How each dialect asks about a picture."""
    part = {"type": "image_url", "image_url": {"url": form}}
    turns = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "a"}]
    return {
        "/score": {"text_1": {"content": [part]}, "text_2": "a"},
        "/rerank": {"query": {"content": [part]}, "documents": ["a"]},
        "/classify": {"messages": turns},
        "/pooling": {"messages": turns},
    }


def test_the_dialects_take_a_picture_by_its_bytes(url):
    for path, body in dialects("data:image/png;base64,eA==").items():
        assert post(httpx, url + path, body).status_code == 200, path


def test_the_dialects(url, canary):
    with httpx.Client() as client:
        for form in forms(canary):
            for path, body in dialects(form).items():
                reply = post(client, url + path, body)
                if reply.status_code == 200:
                    assert not re.search(r'"(score|value|data)": ?-?\d', reply.text), (path, form, reply.text[:300])
                assert reply.status_code < 500, (path, form, reply.status_code, reply.text[:200])
                assert "root:" not in reply.text
                assert "the secret" not in reply.text
    assert not canary[1]


def test_what_is_under_the_root_is_taken_where_there_is_one(url, place):
    (row,) = rows(ask(url, about({"type": "image", "path": "in.png"}, "a")))
    (absolute,) = rows(ask(url, about({"type": "image", "path": str(place / "in.png")}, "a")))
    assert row["status"] == absolute["status"]
    assert row["status"] in ("ok", "unreadable_media")


def test_a_refusal_names_no_place_of_the_server(url, place):
    (row,) = rows(ask(url, about({"type": "image", "path": "link_to_secret.png"}, "a")))
    assert str(place) not in row["message"]
    assert str(place.parent) not in row["message"]
