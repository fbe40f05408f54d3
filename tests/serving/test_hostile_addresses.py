"""More than a hundred hostile forms of paths and addresses, by every way into the server: no file, no fetch."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.serving.admission import MediaPolicy, Refused, admitted
from assay.serving.within import read_within

PROGRAM = Path(__file__).with_name("hostile_addresses.py")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forms are those of Linux")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows(found, *policies):
    for form, told in found["forms"].items():
        for policy in policies:
            for row in told[policy]:
                yield form, policy, *row


def test_there_are_more_than_a_hundred_forms(found):
    assert len(found["forms"]) > 200


def test_every_form_is_refused_by_a_code(found):
    codes = {"path_not_allowed", "url_not_allowed", "url_failed", "bad_media", "bad_row", "too_large"}
    wrong = [(form, policy, outcome) for form, policy, outcome, *_ in rows(found, *POLICIES) if outcome not in codes]
    assert not wrong


def test_without_a_root_and_hosts_nothing_is_opened_looked_up_or_connected_to(found):
    touched = [row for row in rows(found, "closed") if any(row[3:])]
    assert not touched


def test_with_a_root_nothing_outside_of_it_is_opened(found):
    """What is opened is the root, and below it one name after the other."""
    for form, policy, _, opened, connected, _ in rows(found, "rooted", "everywhere", "listed"):
        for path in opened:
            name = path.strip("'")
            assert name == found["root"] or ("/" not in name and name not in (".", "..")), (form, policy, path)
        assert not connected, (form, policy)


def test_no_form_reached_the_canary(found):
    assert found["knows"][0] == "ADMITTED"
    assert found["knows"][2], "the hook hears connections"
    assert found["visits"] == 1, "the one of the program itself"


def test_what_is_under_the_root_is_read(found):
    assert {form: row[0] for form, row in found["kept"].items()} == dict.fromkeys(found["kept"], "ADMITTED")
    assert all(row[1] for row in found["kept"].values()), "the hook hears files"


POLICIES = ("closed", "rooted", "everywhere", "listed")


def test_a_link_laid_after_the_check_is_not_followed(tmp_path, monkeypatch):
    """Between resolving and opening, a folder on the way becomes a link to the outside."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    inside = tmp_path / "media" / "inside"
    inside.mkdir(parents=True)
    (inside / "secret.png").write_bytes(b"allowed")
    from assay.serving import within

    def late(root, path):
        (inside / "secret.png").unlink()
        inside.rmdir()
        inside.symlink_to(tmp_path)
        return root / "inside" / "secret.png"

    monkeypatch.setattr(within, "path_within", late)
    with pytest.raises(Refused, match="no such file"):
        read_within(tmp_path / "media", "inside/secret.png", 100)
    inside.unlink()
    inside.mkdir()

    def later(root, path):
        (inside / "secret.png").symlink_to(tmp_path / "secret.png")
        return root / "inside" / "secret.png"

    monkeypatch.setattr(within, "path_within", later)
    with pytest.raises(Refused, match="no such file"):
        read_within(tmp_path / "media", "inside/secret.png", 100)


def test_a_file_under_the_root_is_held_to_the_limit_of_bytes(tmp_path):
    (tmp_path / "large.png").write_bytes(b"x" * 1_001)
    with pytest.raises(Refused, match="over the limit"):
        asyncio.run(admitted("image", "large.png", MediaPolicy(root=tmp_path, max_bytes=1_000)))


def test_descriptors_are_closed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "in.png").write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("a/in.png", "a", "a/missing", "missing/in.png") * 5:
        try:
            read_within(tmp_path, path, 10)
        except Refused:
            continue
    assert len(os.listdir("/proc/self/fd")) == before
