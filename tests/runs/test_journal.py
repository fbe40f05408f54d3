import errno
import json
import os
from dataclasses import replace

import pytest

from assay.runs import files
from assay.runs.files import StorageError, write_whole
from assay.runs.journal import Job, Journal, JournalError

JOB = Job("f" * 64, "length(per_words=1)", "d" * 64, records=10, responses=20)
ROWS = [{"id": "a/0", "value": 1.5}, {"id": "a/1", "value": None}]


def filled(path, batches=3):
    with Journal(path, JOB) as journal:
        for _ in range(batches):
            journal.append(ROWS, 1)
    return path.read_bytes()


def test_what_was_appended_is_there_after_opening_again(tmp_path):
    path = tmp_path / "j"
    filled(path)
    with Journal(path, JOB) as journal:
        assert (journal.records, journal.rows) == (3, 6)
        assert list(journal.batches()) == [ROWS] * 3


def test_a_journal_cut_at_any_byte_opens_with_its_whole_batches(tmp_path):
    whole = filled(tmp_path / "whole")
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 0x0A]
    path = tmp_path / "j"
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        with Journal(path, JOB) as journal:
            kept = max(0, sum(end <= cut for end in ends) - 1)
            assert journal.records == kept
            journal.append(ROWS, 1)
        with Journal(path, JOB) as journal:
            assert journal.records == kept + 1


def test_a_torn_tail_of_zeros_is_dropped_but_damage_before_whole_batches_is_refused(tmp_path):
    path = tmp_path / "j"
    whole = filled(path)
    path.write_bytes(whole + b"\0" * 100)
    with Journal(path, JOB) as journal:
        assert journal.records == 3
    lines = whole.splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{damaged\n" + lines[2])
    with pytest.raises(JournalError, match="line 2 is damaged"):
        Journal(path, JOB)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(JournalError, match="does not follow"):
        Journal(path, JOB)


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (replace(JOB, fingerprint="0" * 64), "other weights, code or settings"),
        (replace(JOB, fingerprint="0" * 64, recipe="constant"), r"another reward \(length"),
        (replace(JOB, data="0" * 64), "other data"),
        (replace(JOB, format=2), "format 1, not 2"),
    ],
)
def test_a_journal_of_another_job_is_refused_and_left_alone(tmp_path, other, match):
    path = tmp_path / "j"
    before = filled(path)
    with pytest.raises(JournalError, match=match):
        Journal(path, other)
    assert path.read_bytes() == before


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "j"
    path.write_text('{"id": 1}\n')
    with pytest.raises(JournalError, match="no journal"):
        Journal(path, JOB)
    assert path.read_text() == '{"id": 1}\n'


def test_one_journal_has_one_writer(tmp_path):
    path = tmp_path / "j"
    with Journal(path, JOB), pytest.raises(JournalError, match="another run"):
        Journal(path, JOB)
    Journal(path, JOB).close()


def test_every_batch_is_one_write_and_is_flushed(tmp_path, monkeypatch):
    calls = []
    write, sync = os.write, os.fsync
    monkeypatch.setattr(files.os, "write", lambda fd, data: calls.append("write") or write(fd, data))
    monkeypatch.setattr(files.os, "fsync", lambda fd: calls.append("fsync") or sync(fd))
    with Journal(tmp_path / "j", JOB) as journal:
        calls.clear()
        journal.append(ROWS, 1)
    assert calls == ["write", "fsync"]


@pytest.mark.parametrize("written", [0, 1, 20])
def test_a_write_cut_short_by_a_full_disk_is_taken_back(tmp_path, monkeypatch, written):
    path = tmp_path / "j"
    with Journal(path, JOB) as journal:
        journal.append(ROWS, 1)
        before = path.read_bytes()
        write = os.write

        def full(descriptor, data):
            if written:
                return write(descriptor, data[:written])
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(files.os, "write", full)
            with pytest.raises(StorageError, match="free space"):
                journal.append(ROWS, 1)
        assert path.read_bytes() == before
        journal.append(ROWS, 1)
    assert [json.loads(line).get("first") for line in path.read_text().splitlines()] == [None, 0, 1]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "result"
    path.write_bytes(b"old")

    def broken(file):
        file.write(b"half of the ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="result"):
        write_whole(path, broken)
    assert path.read_bytes() == b"old"
    write_whole(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert [found.name for found in tmp_path.iterdir()] == ["result"]


def test_other_errors_of_the_file_system_keep_their_kind(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "missing" / "result", lambda file: None)
