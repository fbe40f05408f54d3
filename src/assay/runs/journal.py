"""The journal: an append-only file of committed batches that survives a kill at any instant."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from assay.runs.files import append_whole, sync_directory

FORMAT = 1


class JournalError(ValueError):
    """A journal or result belongs to another job, is damaged, or is in use. The message names file and remedy."""


@dataclass(frozen=True, slots=True)
class Job:
    """What makes two runs the same job: the reward's fingerprint, the data's digest, and the journal's format.

    ``recipe`` is how the reward prints; ``records`` and ``responses`` are how many there are to do.
    """

    fingerprint: str
    recipe: str
    data: str
    records: int
    responses: int
    format: int = FORMAT

    def differs(self, other: Mapping[str, Any]) -> str | None:
        """What is not the same in another job's description; None when it is the same job."""
        if other.get("format") != self.format:
            return f"format {other.get('format')}, not {self.format}"
        if other.get("fingerprint") != self.fingerprint:
            recipe = other.get("recipe")
            how = "the same recipe with other weights, code or settings" if recipe == self.recipe else f"{recipe}"
            return f"another reward ({how})"
        if other.get("data") != self.data:
            return f"other data ({other.get('responses')} responses, not {self.responses}, or other content)"
        return None


class Journal:
    """Committed batches, one JSON line each, after a line that names the job.

    A batch is appended in one unbuffered write and flushed, so that after a kill the file ends in whole batches and at
    most one torn line, which is dropped on opening. Reading streams: memory does not grow with the file.

    Raises:
        JournalError: the file is of another job, damaged before its end, or held by another run.
        StorageError: the disk is full.
    """

    def __init__(self, path: Path, job: Job) -> None:
        self.path = path
        self.records = 0
        self.rows = 0
        fresh = not path.exists()
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            self._lock()
            self._recover(job)
            if fresh:
                sync_directory(path.parent)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, rows: Sequence[Mapping[str, Any]], records: int) -> None:
        """Commit one batch: when this returns, its rows are on the disk."""
        line = {"first": self.records, "records": records, "rows": list(rows)}
        self._write(line)
        self.records += records
        self.rows += len(rows)

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """The rows of each committed batch, in order."""
        with self.path.open("rb") as file:
            next(file)
            for line in file:
                yield json.loads(line)["rows"]

    def remove(self) -> None:
        """Delete the journal: the result is whole under its own name."""
        self.path.unlink()
        self.close()

    def close(self) -> None:
        """Let go of the file; what was committed stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        append_whole(self._descriptor, json.dumps(line, allow_nan=False).encode() + b"\n", self.path)

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(
                f"{self.path} is being written by another run; wait for it, or choose another -o"
            ) from None

    def _recover(self, job: Job) -> None:
        """Read what is there up to the last whole line, and drop what follows it."""
        end = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                entry = _parsed(line)
                if entry is None:
                    if file.read(1):
                        raise JournalError(f"{self.path}: line {number + 1} is damaged; remove the file to start over")
                    break
                self._accept(number, entry, job)
                end += len(line)
        os.ftruncate(self._descriptor, end)
        if end == 0:
            self._write({"job": asdict(job)})

    def _accept(self, number: int, entry: dict[str, Any], job: Job) -> None:
        if number == 0:
            _check_job(self.path, entry, job)
            return
        if entry.get("first") != self.records:
            raise JournalError(f"{self.path}: line {number + 1} does not follow line {number}; remove the file")
        self.records += entry["records"]
        self.rows += len(entry["rows"])


def committed_rows(path: Path, job: Job) -> int:
    """How many rows a journal holds, without locking or changing it.

    Raises:
        JournalError: it is of another job.
    """
    rows = 0
    with path.open("rb") as file:
        for number, line in enumerate(file):
            entry = _parsed(line)
            if entry is None:
                break
            if number == 0:
                _check_job(path, entry, job)
            else:
                rows += len(entry["rows"])
    return rows


def _check_job(path: Path, entry: Mapping[str, Any], job: Job) -> None:
    if "job" not in entry:
        raise JournalError(f"{path} is no journal; choose another -o, or remove it")
    if difference := job.differs(entry["job"]):
        raise JournalError(f"{path} is the journal of {difference}; choose another -o, or start over with --no-resume")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object on a whole line; None for a torn or damaged one."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry: object = json.loads(line)
    except ValueError:
        return None
    return cast("dict[str, Any]", entry) if isinstance(entry, dict) else None
