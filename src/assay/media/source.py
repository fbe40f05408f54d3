"""Where a medium's bytes come from, read within limits; the errors and limits every medium shares."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MEBIBYTE = 2**20


class MediaError(ValueError):
    """A medium that cannot be used. ``code`` is stable (``image_truncated``); the text names source and remedy.

    Codes: ``missing_file`` ``not_a_file`` ``unreadable_file`` ``empty_file`` ``file_too_large``
    ``outside_root`` (any medium);
    ``not_an_image`` ``image_truncated`` ``image_corrupt`` ``too_many_pixels`` ``unsupported_pixels``;
    ``not_a_video`` ``video_truncated`` ``video_corrupt`` ``too_many_frames`` ``missing_frames``
    ``too_few_frames`` ``no_rate``;
    ``not_audio`` ``audio_truncated`` ``audio_corrupt`` ``too_many_samples``
    ``too_long_sound`` ``too_short_sound``;
    ``not_encoded`` (a tensor picture has no bytes and no hash) and ``missing_extra``.
    """

    def __init__(self, code: str, source: str, message: str) -> None:
        super().__init__(f"{code}: {source}: {message}")
        self.code = code
        self.source = source
        self.message = message

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str, str]]:
        return MediaError, (self.code, self.source, self.message)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may claim or hold before it is refused. Make the medium with another where a larger one is trusted.

    ``max_bytes`` of the encoded file, ``max_pixels`` (width x height) and ``max_side`` of a picture or frame,
    ``max_frames`` of a video, ``max_samples`` (samples x channels) of a sound. The defaults admit a 64-megapixel
    photograph (192 MB decoded; above any phone's default mode and any encoder's input), an hour of 30 fps video, and
    twenty minutes of 48 kHz stereo (460 MB decoded).
    """

    max_bytes: int = 64 * MEBIBYTE
    max_pixels: int = 64_000_000
    max_side: int = 32_768
    max_frames: int = 108_000
    max_samples: int = 115_200_000


PICTURES = Limits()
VIDEOS = Limits(max_bytes=2048 * MEBIBYTE, max_pixels=16_000_000, max_side=16_384)
SOUNDS = Limits(max_bytes=512 * MEBIBYTE)


def name_of(path: Path | None, data: bytes | None) -> str:
    """How errors name a source."""
    return str(path) if path is not None else f"{len(data or b'')} bytes in memory"


def shown(kind: str, path: Path | None, data: bytes | None) -> str:
    """The repr of a medium: its path, or how many bytes it holds."""
    return f"{kind}({str(path)!r})" if path is not None else f"{kind}({len(data or b'')} bytes)"


def path_within(root: Path, path: str | Path) -> Path:
    """``path`` under ``root``, resolved; for paths that come from outside, such as a request or a downloaded file.

    Raises:
        MediaError: ``outside_root`` where ``..``, an absolute path or a symbolic link leads out of ``root``.
    """
    try:
        home = root.resolve()
        found = (home / path).resolve()
    except (ValueError, OSError, RuntimeError):  # a NUL byte, or links that form a loop
        raise MediaError("outside_root", repr(str(path)), "not a path under the root") from None
    if not found.is_relative_to(home):
        raise MediaError("outside_root", str(path), "it leads out of the root; give a path under it")
    return found


def open_source(path: Path | None, data: bytes | None, limits: Limits) -> BinaryIO:
    """The bytes as a file. Nothing is read before size and kind were checked; a pipe or device is refused.

    Raises:
        MediaError: ``missing_file``, ``not_a_file``, ``unreadable_file``, ``empty_file``, ``file_too_large``.
    """
    if data is not None:
        _check_size(len(data), name_of(path, data), limits)
        return io.BytesIO(data)
    assert path is not None
    source = str(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise MediaError("not_a_file", source, "a directory, pipe or device; give the path of a file")
        _check_size(found.st_size, source, limits)
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        hint = "" if path.is_absolute() else f" (relative to {Path.cwd()})"
        raise MediaError("missing_file", source, f"no such file{hint}; check the path in the data") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise MediaError("unreadable_file", source, f"{reason}; check the permissions") from None
    except ValueError as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError("missing_file", repr(source), "not a valid path") from None


def read_source(path: Path | None, data: bytes | None, limits: Limits) -> bytes:
    """All bytes of the source; raises as `open_source`."""
    with open_source(path, data, limits) as file:
        if data is not None:
            return data
        content = file.read(limits.max_bytes + 1)
    _check_size(len(content), name_of(path, data), limits)
    return content


def digest(path: Path | None, data: bytes | None, limits: Limits) -> str:
    """sha256 of the bytes in hexadecimal, read in pieces; raises as `open_source`."""
    with open_source(path, data, limits) as file:
        found = hashlib.sha256()
        while piece := file.read(MEBIBYTE):
            found.update(piece)
    return found.hexdigest()


def is_cut(file: BinaryIO) -> bool:
    """Whether the container itself says that bytes are missing at the end. Unknown containers: False."""
    file.seek(0, os.SEEK_END)
    length = file.tell()
    head = _at(file, 0, 16)
    tail = _at(file, max(length - 64, 0), 64)
    if head.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if head.startswith(b"\xff\xd8"):
        return not tail.rstrip(b"\x00").endswith(b"\xff\xd9")
    if head.startswith(b"GIF8"):
        return not tail.rstrip(b"\x00").endswith(b";")
    if head.startswith(b"RIFF"):
        return length < 8 + int.from_bytes(head[4:8], "little") != 0xFFFFFFFF + 8
    if head.startswith(b"BM"):
        return length < int.from_bytes(head[2:6], "little")
    if head.startswith((b"II*\x00", b"MM\x00*")):
        return length <= int.from_bytes(head[4:8], "little" if head.startswith(b"II") else "big")
    return head[4:8] in (b"ftyp", b"moov", b"wide", b"free", b"mdat") and _boxes_end(file, length) > length


def _boxes_end(file: BinaryIO, length: int) -> int:
    """Where the top-level boxes of an ISO media file (mp4, mov, avif) say that it ends."""
    place = 0
    while place + 8 <= length:
        box = _at(file, place, 16)
        size = int.from_bytes(box[:4], "big")
        if size == 1:
            size = int.from_bytes(box[8:16], "big")
        if size < 8:  # 0: the box runs to the end of the file
            return length
        place += size
    return place


def _at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _check_size(size: int, source: str, limits: Limits) -> None:
    if size == 0:
        raise MediaError("empty_file", source, "0 bytes; fetch or write it again")
    if size > limits.max_bytes:
        raise MediaError(
            "file_too_large",
            source,
            f"{size:,} bytes, over the limit of {limits.max_bytes:,}; make it with larger Limits",
        )
