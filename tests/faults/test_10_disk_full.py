"""Fault 10: the disk fills up at any write. The error is clean, the last good state is intact, and the job resumes."""

import errno
import json
import os
import subprocess
import sys

import pytest

from assay.records import Record
from assay.rewards import rules
from assay.runs import files
from assay.runs.files import StorageError
from assay.runs.score import score_file

RECORDS = [Record.of("q", ["word " * i, "x"], id=f"r{i}") for i in range(12)]
LENGTH = rules.length(per_words=1)


class FullAfter:
    """A disk with room for so many bytes more: the write that does not fit is cut short, all later ones fail."""

    def __init__(self, room):
        self.room = room
        self.write = os.write

    def append(self, descriptor, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken, self.room = min(self.room, len(data)), max(0, self.room - len(data))
        return self.write(descriptor, data[:taken])

    def wrap(self, file):
        original = file.write

        def write(data):
            if len(data) > self.room:
                self.room = 0
                raise OSError(errno.ENOSPC, "No space left on device")
            self.room -= len(data)
            return original(data)

        class Full:
            def __getattr__(self, name):
                return write if name == "write" else getattr(file, name)

        return Full()


@pytest.mark.parametrize("name", ["scores.jsonl", "scores.parquet"])
def test_whichever_write_fails_the_job_resumes_to_the_same_result(tmp_path, monkeypatch, name):
    score_file(LENGTH, RECORDS, tmp_path / f"whole.{name}", batch=4)
    whole = (tmp_path / f"whole.{name}").read_bytes()
    errors = []
    for room in range(0, 6000, 251):
        output = tmp_path / f"{room}.{name}"
        disk = FullAfter(room)
        with monkeypatch.context() as patched:
            patched.setattr(files.os, "write", disk.append)
            patched.setattr("assay.runs.results.write_whole", lambda path, write, d=disk: through(path, write, d))
            try:
                score_file(LENGTH, RECORDS, output, batch=4)
            except StorageError as error:
                errors.append(str(error))
        assert not output.exists() or output.read_bytes() == whole
        assert score_file(LENGTH, RECORDS, output, batch=4).responses == 24
        assert output.read_bytes() == whole
    assert len(errors) > 10
    assert all("free space and run the same command again" in error for error in errors)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith((".journal", ".partial"))]


def through(path, write, disk):
    files.write_whole(path, lambda file: write(disk.wrap(file)))


def test_an_old_result_survives_a_full_disk(tmp_path, monkeypatch):
    output = tmp_path / "scores.jsonl"
    score_file(rules.length(per_words=2), RECORDS, output)
    old = output.read_bytes()
    disk = FullAfter(6000)
    with monkeypatch.context() as patched:
        patched.setattr("assay.runs.results.write_whole", lambda path, write: through(path, write, FullAfter(100)))
        patched.setattr(files.os, "write", disk.append)
        with pytest.raises(StorageError):
            score_file(LENGTH, RECORDS, output, resume=False)
    assert output.read_bytes() == old


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from assay.cli.main import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_the_command_says_what_to_do_when_the_system_refuses_to_write(tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"prompt": "q", "chosen": "a b", "rejected": "c"}) + "\n" for _ in range(200)))
    (tmp_path / "mine.py").write_text("from assay.rewards import rules\nwords = rules.length(per_words=1)\n")
    output = tmp_path / "scores.jsonl"

    def run(limit):
        arguments = ["score", str(tmp_path / "mine.py:words"), str(data), "-o", str(output), "--batch", "8", "--json"]
        command = [sys.executable, "-c", LIMITED, str(limit), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = run(20_000)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert "free space" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not output.exists()
    done = run(10_000_000)
    assert done.returncode == 0, done.stderr
    assert 0 < json.loads(done.stdout)["resumed"] < 400
    assert len(output.read_text().splitlines()) == 400


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_real_full_disk_leaves_a_journal_that_resumes(small_disk, tmp_path):
    records = [Record.of("q", ["word " * 10, "x"], id=f"r{i}") for i in range(300)]
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"0" * 40_000)
    output = small_disk / "scores.parquet"
    with pytest.raises(StorageError, match="free space"):
        score_file(LENGTH, records, output, batch=16)
    assert not output.exists()
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    summary = score_file(LENGTH, records, output, batch=16)
    assert 0 < summary.resumed < summary.responses == 600
    score_file(LENGTH, records, tmp_path / "whole.parquet", batch=16)
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
