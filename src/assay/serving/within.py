"""Files under one folder, and none outside of it, whatever the path says and whatever is laid there meanwhile."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from assay.media import MediaError, path_within
from assay.serving.policy import refused, shown


def read_within(root: Path, path: str, most: int) -> bytes:
    """The bytes of a regular file under ``root``.

    The path is resolved first; then every folder on the way is opened from the one before it without following a link,
    so that a link laid there after the check leads nowhere.

    Raises:
        Refused: ``path_not_allowed`` where it leads out, or is no file that can be read; ``too_large``.
    """
    name = shown(path)
    try:
        home = root.resolve()
        parts = path_within(home, path).relative_to(home).parts
        descriptor = _opened(home, parts)
    except (MediaError, OSError, ValueError):
        raise refused("path_not_allowed", f"{name}: no such file under the media folder") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise refused("path_not_allowed", f"{name}: not a file")
        if found.st_size > most:
            raise refused("too_large", f"{name}: {found.st_size:,} bytes, over the limit of {most:,}")
        data = file.read(most + 1)
    if len(data) > most:
        raise refused("too_large", f"{name}: over the limit of {most:,} bytes")
    return data


def _opened(home: Path, parts: Sequence[str]) -> int:
    """A descriptor of the file at ``parts`` below ``home``; no link is followed on the way."""
    if not parts:
        raise IsADirectoryError
    only = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if os.open not in os.supports_dir_fd:
        return os.open(home.joinpath(*parts), only)
    folder = os.open(home, only | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, only | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        descriptor = os.open(parts[-1], only | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError
    return descriptor
