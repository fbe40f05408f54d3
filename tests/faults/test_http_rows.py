"""Faults 1 to 8 over HTTP: the row has a status and a cause and no value, and its neighbours have theirs."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import struct
import threading
import time
import zlib
from pathlib import Path

import httpx
import PIL.Image
import pytest
from over_http import about, ask, rows, served, shown

from assay.media import Image
from assay.records import Record
from assay.rewards import rules
from assay.rewards.base import score, scores_of
from assay.serving.admission import MediaPolicy
from assay.serving.client import connect
from assay.serving.queue import QueueLimits
from assay.testing import learned_reward, tiny_llava


def encoded(form: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.effect_noise(size, 90).convert(mode).save(buffer, format=form, **options)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A valid PNG of ``side`` x ``side`` black pixels, compressed about a thousandfold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(bytes(1 + 3 * side)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def odd(records):
    return scores_of(records, [1.0, math.nan, math.inf, 3.0] * len(records))


@pytest.fixture(scope="module")
def pictures():
    return learned_reward(tiny_llava())


@pytest.fixture(scope="module")
def url(pictures):
    short = learned_reward(max_length=100)
    words = rules.length(per_words=1)
    limits = QueueLimits(tokens=10_000_000)
    policy = MediaPolicy(max_pixels=1_000_000)
    with served(policy, limits, pictures=pictures, short=short, odd=odd, words=words) as found:
        yield found


def status(url, *records, reward="pictures"):
    return [(row["status"], row["value"], row["message"]) for row in rows(ask(url, *records, reward=reward))]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_1_a_truncated_picture(url, form):
    whole = encoded(form)
    first, cut, last = status(
        url, about(shown(whole), "a"), about(shown(whole[: len(whole) // 2]), "a"), about(shown(whole), "a")
    )
    assert first == last
    assert first[0] == "ok"
    assert cut[:2] == ("unreadable_media", None)
    assert "image_truncated" in cut[2]


def memory() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
def test_2_a_bomb_is_refused_from_its_header(url):
    large = bomb(9_000)
    good = about(shown(encoded()), "a")
    status(url, good)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory()
    found = status(url, about(shown(large), "a"), good)
    assert memory() - before < 40
    assert found[0][:2] == ("unreadable_media", None)
    assert "too_many_pixels" in found[0][2]
    assert found[1][0] == "ok"


def test_2_a_bomb_is_refused_at_the_door_also_where_no_reward_looks_at_it(url):
    good, large = about(shown(encoded()), "a"), about(shown(bomb(2_000)), "a")
    found = status(url, good, large, reward="words")
    assert [state for state, _, _ in found] == ["ok", "unreadable_media"]
    assert "too_many_pixels" in found[1][2]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"this is a note, not a photograph", "not_an_image"),
        (b"<html><body>404</body></html>", "not_an_image"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "not_an_image"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 60, "image_"),
    ],
)
def test_3_what_is_no_picture(url, content, code):
    ((state, value, message),) = status(url, about(shown(content), "a"))
    assert (state, value) == ("unreadable_media", None)
    assert code in message
    assert "0x" not in message  # no address of the server's process


def test_3_an_empty_picture_is_said(url):
    ((state, value, message),) = status(url, about({"type": "image", "data": ""}, "a"))
    assert value is None
    assert state in ("invalid", "unreadable_media")
    assert message


@pytest.mark.parametrize(
    "data",
    [
        encoded(size=(1, 1)),
        encoded("JPEG", mode="CMYK"),
        encoded("GIF", mode="P", save_all=True, append_images=[PIL.Image.new("P", (40, 30))]),
        encoded(mode="L"),
    ],
)
def test_3_odd_pictures_are_scored_as_they_are_here(url, pictures, data):
    ((state, value, _),) = status(url, about(shown(data), "a"))
    assert state == "ok"
    here = score(pictures, [Record.of([Image.from_bytes(data), "what is it?"], ["a"])])
    assert value == pytest.approx(here.values.item(), abs=1e-5)


def test_4_a_score_that_is_not_finite(url):
    reply = ask(url, {"prompt": "q", "responses": ["a", "b", "c", "d"]}, reward="odd")
    assert "NaN" not in reply.text
    assert "Infinity" not in reply.text
    assert [(row["value"], row["status"]) for row in rows(reply)] == [
        (1.0, "ok"),
        (None, "non_finite"),
        (None, "non_finite"),
        (3.0, "ok"),
    ]
    assert reply.json()["counts"] == {"ok": 2, "non_finite": 2}


def test_5_what_is_too_long_abstains_and_nothing_else(url):
    found = status(url, {"prompt": "short", "responses": ["a", "and " * 300, "b"]}, reward="short")
    assert [state for state, _, _ in found] == ["ok", "too_long", "ok"]
    assert "the limit is 100" in found[1][2]


def test_6_what_is_empty_has_a_score_of_its_own(url):
    found = status(
        url,
        {"prompt": "why?", "responses": ["", "because"]},
        {"prompt": "", "responses": ["yes"]},
        {"prompt": "why?", "responses": []},
        {"prompt": "why?", "responses": [{"messages": []}]},
        reward="short",
    )
    assert [state for state, _, _ in found] == ["ok", "ok", "ok", "invalid", "ok"]
    assert len({value for state, value, _ in found if state == "ok"}) == 4
    assert rows(ask(url, reward="short")) == []


def test_7_duplicate_ids_are_refused_before_work(url):
    record = {"id": "r7", "prompt": "q", "responses": ["a"]}
    reply = ask(url, record, {**record, "id": "other"}, record, reward="words")
    assert reply.status_code == 422
    assert "0 and 2" in reply.json()["error"]["message"]


ODD = {
    "lone surrogates": "a\ud800b\udfff",
    "nul": "a\0b\0",
    "right to left": "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd",
    "joined emoji": "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "controls": "".join(map(chr, range(32))) + "\x7f",
    "a megabyte": "wide é 🙂 " * 120_000,
}


def test_8_odd_text_comes_back_as_it_went(url):
    records = [Record.of(text, [text, text + " and"], id=f"{name} {text[:30]}") for name, text in ODD.items()]
    found = connect(url, "words")(records)
    assert found.ids == tuple(record.response_id(i) for record in records for i in (0, 1))
    assert found.values.tolist() == score(rules.length(per_words=1), records).values.tolist()


def test_8_odd_text_as_a_stream(url):
    lines = [json.dumps({"id": name, "prompt": text, "responses": [text]}) for name, text in ODD.items()]
    lines.insert(2, '{"prompt": "half')
    lines.insert(4, "[]")
    reply = httpx.post(f"{url}/v1/scores/stream?reward=words", content="\n".join(lines).encode(), timeout=60)
    told = [json.loads(line) for line in reply.text.split("\n") if line]
    assert [row.get("status") for row in told] == ["ok", "ok", "invalid", "ok", "invalid", "ok", "ok", "ok", "ok", None]
    assert told[-1]["summary"]["counts"] == {"ok": 7, "invalid": 2}


@pytest.mark.parametrize("path", ["/v1/scores", "/score", "/classify", "/rerank", "/v1/chat/completions", "/pooling"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"NaN",
        b"1" * 10_000,
        b'"\\ud800"',
        b'{"records": 3}',
        b'{"records": [[[[]]]]}',
        b'{"records": [{"prompt": {"$part": {}}, "responses": {"a": 1}}]}',
        b'{"records": [{"prompt": "a", "responses": [null, 1, {"messages": 7}]}]}',
        b'{"text_1": {}, "text_2": 9}',
        b'{"query": null, "documents": [[]]}',
        b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    ],
)
def test_rubbish_is_refused_and_never_the_server_s_fault(url, path, body):
    reply = httpx.post(url + path, content=body, headers={"Content-Type": "application/json"}, timeout=30)
    assert reply.status_code < 500, reply.text[:300]
    if reply.status_code == 200:
        assert all(row["value"] is None for row in reply.json()["rows"])


def test_18_a_pickle_is_not_opened_where_it_was_not_asked_for(url, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    for path in ("/", "/flow_grpo", "/score", "/v1/scores"):
        for kind in ("application/octet-stream", "application/json"):
            reply = httpx.post(url + path, content=pickle.dumps(Payload()), headers={"Content-Type": kind})
            assert 400 <= reply.status_code < 500
    assert not (tmp_path / "ran").exists()


def test_the_loop_is_not_held_up_by_media(url):
    """A dozen pictures of a megapixel are checked while others ask for something small."""
    large = shown(encoded("PNG", (999, 999)))
    slowest = 0.0
    done = threading.Event()

    def upload() -> None:
        status(url, *[about(large, "a") for _ in range(12)], reward="words")
        done.set()

    uploading = threading.Thread(target=upload)
    uploading.start()
    with httpx.Client() as client:
        while not done.is_set():
            started = time.monotonic()
            assert client.get(f"{url}/health").status_code == 200
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.005)
    uploading.join()
    assert slowest < 1.0
