"""Opening encoded video and sound with PyAV: known containers only, from bytes, never from a name or an address."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, BinaryIO

from assay.media.source import MediaError, is_cut

_CONTAINERS = (
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (8, b"AVI ", "avi"),
    (8, b"WAVE", "wav"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (8, b"AIFF", "aiff"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    *((4, box, "mov") for box in (b"ftyp", b"moov", b"wide", b"free", b"mdat")),
)


def container_of(start: bytes) -> str | None:
    """The container named by the first bytes of a file; None where it is none of those that are opened."""
    for place, magic, name in _CONTAINERS:
        if start[place : place + len(magic)] == magic:
            return name
    return "mpegts" if start[:1] == b"G" and start[188:189] == b"G" else None


@contextmanager
def opened(file: BinaryIO, source: str, kind: str) -> Generator[tuple[Any, Any]]:
    """A PyAV container and its first stream of ``kind`` (``video``, ``audio``), decoding on one thread.

    The demuxer is chosen here from the content, because those that PyAV would try by itself include playlists, which
    open other files and addresses.

    Raises:
        MediaError: ``missing_extra``, ``not_a_video`` / ``not_audio``, ``..._truncated``, ``..._corrupt``.
    """
    absent = "not_a_video" if kind == "video" else "not_audio"
    try:
        av: Any = importlib.import_module("av")
    except ModuleNotFoundError:
        raise MediaError(
            "missing_extra", source, f"{kind} of this format is read by PyAV: `pip install 'assay[video]'`"
        ) from None
    file.seek(0)
    name = container_of(file.read(256))
    if name is None:
        raise MediaError(absent, source, f"its content is no container of {kind} that is read here")
    if is_cut(file):
        raise MediaError(f"{kind}_truncated", source, "the file ends before its content does; fetch it again")
    file.seek(0)
    try:
        with av.open(file, format=name, metadata_errors="replace") as container:
            streams = getattr(container.streams, kind)
            if not streams:
                raise MediaError(absent, source, f"the file holds no {kind}")
            stream = streams[0]
            if stream.codec_context is None:
                raise MediaError(absent, source, f"its {kind} is in a codec that is not known; convert it")
            stream.codec_context.thread_count = 1
            yield container, stream
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged bytes raise any kind in PyAV, not only its own
        raise MediaError(f"{kind}_corrupt", source, f"damaged ({type(error).__name__}); fetch it again") from None
