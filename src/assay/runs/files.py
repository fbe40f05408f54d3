"""Files that are whole or absent, and appends that are whole or taken back."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import BinaryIO

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StorageError(OSError):
    """The disk is full or a quota is reached. What was committed before is intact; the message names the remedy."""


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Give ``path`` new content: at every instant it holds all of the old content, or all of the new.

    The content goes to a hidden file beside it, is flushed to the disk, and takes the name in one step.

    Raises:
        StorageError: there was no space; ``path`` is as before.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with naming(path), temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def append_whole(descriptor: int, data: bytes, path: Path) -> None:
    """Append all of ``data`` in one write and flush it to the disk, or leave the file as it was.

    Raises:
        StorageError: there was no space; the file has its old length.
    """
    before = os.fstat(descriptor).st_size
    with naming(path):
        try:
            written = os.write(descriptor, data)
            if written != len(data):
                raise OSError(errno.ENOSPC, f"wrote {written} of {len(data)} bytes")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise


@contextlib.contextmanager
def naming(path: Path) -> Generator[None, None, None]:
    """Turn the operating system's ways of saying that the disk is full into one error that names file and remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE or isinstance(error, StorageError):
            raise
        raise StorageError(
            error.errno,
            f"no space left to write {path} ({error.strerror}); what was committed is safe: "
            "free space and run the same command again",
        ) from error


def sync_directory(directory: Path) -> None:
    """Flush a directory, so that a new name in it survives a power cut."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
