"""Media sent to a browser: by the place they have in a record, as what their bytes are, whole or by range."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import HTTPException, Request
from fastapi.responses import FileResponse, Response

from assay.media import Audio, Image, MediaError, Part, Video
from assay.media.source import open_source, read_source
from assay.records import Record

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_STARTS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"\x1aE\xdf\xa3": "video/webm",
    b"fLaC": "audio/flac",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"\xff\xf3": "audio/mpeg",
    b"OggS": "audio/ogg",
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_HEAD = 64


def content_type(head: bytes) -> str | None:
    """What a browser is told that bytes beginning with ``head`` are; None of what no browser plays or shows."""
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return "image/avif" if head[8:12] in (b"avif", b"avis") else "video/mp4"
    return next((kind for start, kind in _STARTS.items() if head.startswith(start)), None)


def media_of(record: Record) -> tuple[Part, ...]:
    """The parts of a record in the order that media are addressed by: the prompt's, then each response's."""
    return tuple(record.parts())


def send(part: Part, request: Request, frame: int | None = None) -> Response:
    """A medium, or one frame of a video given as pictures, as an answer to ``request``; a part of it where the request
    has a range. A picture that browsers do not know is sent as PNG.

    Raises:
        HTTPException: 404 where it is no medium or cannot be read, 415 where no browser plays it, 416 for a range that
            is not there.
    """
    try:
        medium = part.frames[frame] if isinstance(part, Video) and frame is not None else part
        if isinstance(medium, Image):
            return _picture(medium)
        if isinstance(medium, Video | Audio) and not (isinstance(medium, Video) and medium.frames):
            return _stream(medium, request)
    except MediaError as error:
        raise HTTPException(404, str(error)) from error
    except IndexError:
        pass
    raise HTTPException(404, "there is no such medium in this record")


def _picture(picture: Image) -> Response:
    data = b"" if picture.path is None and picture.data is None else picture.read()
    kind = content_type(data[:_HEAD])
    if kind is None or not kind.startswith("image/"):
        data, kind = Image.from_pil(picture.pil()).read(), "image/png"
    return Response(data, media_type=kind, headers=_HEADERS)


def _stream(medium: Video | Audio, request: Request) -> Response:
    with open_source(medium.path, medium.data, medium.limits) as file:
        kind = content_type(file.read(_HEAD))
    if kind is None:
        raise HTTPException(415, "no browser plays this kind of file; convert it to MP4, WebM, WAV, MP3, FLAC or Ogg")
    if medium.path is not None:
        return FileResponse(Path(medium.path), media_type=kind, headers=_HEADERS)
    return _ranged(read_source(None, medium.data, medium.limits), kind, request.headers.get("range", ""))


def _ranged(data: bytes, kind: str, asked: str) -> Response:
    headers = {**_HEADERS, "accept-ranges": "bytes"}
    found = _RANGE.fullmatch(asked.strip())
    if found is None or found.groups() == ("", ""):
        return Response(data, media_type=kind, headers=headers)
    first, last = found.groups()
    start = int(first) if first else max(len(data) - int(last), 0)
    stop = min(int(last) + 1, len(data)) if first and last else len(data)
    if start >= stop:
        raise HTTPException(416, "no such range", headers={"content-range": f"bytes */{len(data)}"})
    headers["content-range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return Response(data[start:stop], 206, media_type=kind, headers=headers)


_HEADERS = {"content-security-policy": "default-src 'none'; sandbox", "cache-control": "no-cache"}
