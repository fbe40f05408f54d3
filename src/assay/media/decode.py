"""The decode gate: a picture's header is checked against limits before any pixel is decoded.

Every file gets one treatment, and the same one everywhere:

| file | treatment |
|---|---|
| JPEG, PNG, GIF, WebP, BMP, TIFF, PPM, AVIF, MPO | recognised by content; the name's extension is not looked at |
| any other content | error ``not_an_image`` |
| over `Limits` in pixels, side or bytes | error ``too_many_pixels`` or ``file_too_large``; nothing is decoded |
| cut off before its end | error ``image_truncated``, even where Pillow was told to load it (PPM aside) |
| damaged otherwise | error ``image_corrupt`` |
| EXIF (or TIFF) orientation | applied: pixels and ``size`` are upright; a damaged EXIF block counts as upright |
| animation, several pages | the first |
| alpha, transparent colour | composited on white |
| palette, 1-bit, grey | RGB |
| 16 bits a channel | the upper 8 bits |
| CMYK, YCbCr, HSV | RGB by Pillow's formula; colour profiles are not applied |
| 32-bit integer, float, LAB | error ``unsupported_pixels``: the file does not say which value is white |

Safe to call from many threads: nothing global is read or changed but Pillow's own state.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import PIL.Image
import PIL.ImageFile
import PIL.TiffImagePlugin

from assay.media.source import PICTURES, Limits, MediaError, is_cut, name_of, open_source, read_source

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
WHITE = (255, 255, 255, 255)
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_HINTS = (
    (b"version https://git-lfs", "a Git LFS pointer; run `git lfs pull`"),
    (b"<svg", "an SVG drawing; render it to PNG"),
    (b"<!doc", "an HTML page: the download failed; fetch it again"),
    (b"<html", "an HTML page: the download failed; fetch it again"),
    (b"%pdf", "a PDF; render its pages to PNG"),
)
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


class Counter:
    """A count that threads may share. ``DECODED`` counts every picture and video frame decoded by this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    def add(self, number: int = 1) -> None:
        with self._lock:
            self._count += number


DECODED = Counter()


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says: format, Pillow's pixel mode, and ``size`` (width, height) after turning upright."""

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int = 1


@cache
def formats() -> tuple[str, ...]:
    """The formats that are opened: those of the table that this Pillow was built with."""
    PIL.Image.init()
    return tuple(name for name in _FORMATS if name in PIL.Image.OPEN)


def read_header(path: Path | None, data: bytes | None, limits: Limits = PICTURES) -> Header:
    """The header of an encoded picture, held against ``limits``; no pixel is decoded.

    Raises:
        MediaError: see the table of this module.
    """
    source = name_of(path, data)
    with open_source(path, data, limits) as file, opened_picture(file, source, limits) as (_, header):
        return header


def decode(path: Path | None, data: bytes | None, limits: Limits = PICTURES) -> PIL.Image.Image:
    """The picture as 8-bit RGB, upright, under the treatments of this module's table.

    Raises:
        MediaError: see the table of this module.
    """
    source = name_of(path, data)
    content = read_source(path, data, limits)
    with opened_picture(io.BytesIO(content), source, limits) as (picture, header):
        cut = is_cut(io.BytesIO(content)) or _strips_end(picture) > len(content)
        if cut and PIL.ImageFile.LOAD_TRUNCATED_IMAGES:
            raise MediaError("image_truncated", source, "the file ends before the picture does; fetch it again")
        try:
            picture.load()
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise any kind on damaged bytes
            raise _reworded(error, cut, source) from None
        DECODED.add()
        return treated(picture, source, 1 if header.format == "TIFF" else header.orientation)


def treated(picture: PIL.Image.Image, source: str = "a PIL picture", orientation: int = 1) -> PIL.Image.Image:
    """Any Pillow picture as 8-bit RGB, turned upright, under the treatments of this module's table.

    Raises:
        MediaError: ``unsupported_pixels``.
    """
    rgb = _rgb(picture, source)
    return rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb


@contextmanager
def opened_picture(file: BinaryIO, source: str, limits: Limits) -> Generator[tuple[PIL.Image.Image, Header]]:
    """A Pillow picture whose header passed; nothing is decoded yet.

    Raises:
        MediaError: see the table of this module.
    """
    start = file.read(64)
    _check_pixels(_webp_size(start), source, limits)
    file.seek(0)
    try:
        picture = PIL.Image.open(file, formats=formats())
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise _too_many("more than Pillow opens", source, limits) from None
    except Exception as error:  # noqa: BLE001 - Pillow's parsers raise any kind on damaged bytes
        raise _unopened(error, file, start, source) from None
    with picture:
        orientation = _orientation(picture)
        width, height = _stored_size(picture)
        size = (height, width) if orientation >= 5 else (width, height)
        header = Header(picture.format or "", picture.mode, size, orientation)
        _check_pixels(size, source, limits)
        yield picture, header


def _stored_size(picture: PIL.Image.Image) -> tuple[int, int]:
    """(width, height) before turning upright; of a TIFF from its tags, as Pillow turns those by itself."""
    if isinstance(picture, PIL.TiffImagePlugin.TiffImageFile):
        return int(picture.tag_v2[256]), int(picture.tag_v2[257])
    return picture.size


def _strips_end(picture: PIL.Image.Image) -> int:
    """Where the pixels of a TIFF end, by its table of strips or tiles; 0 for other formats."""
    if not isinstance(picture, PIL.TiffImagePlugin.TiffImageFile):
        return 0
    tags = picture.tag_v2
    starts, counts = (tags.get(273), tags.get(279)) if 273 in tags else (tags.get(324), tags.get(325))
    return max((int(start) + int(count) for start, count in zip(starts or (), counts or (), strict=False)), default=0)


def _check_pixels(size: tuple[int, int] | None, source: str, limits: Limits) -> None:
    if size and (size[0] * size[1] > limits.max_pixels or max(size) > limits.max_side):
        raise _too_many(f"{size[0]} x {size[1]} pixels", source, limits)


def _too_many(found: str, source: str, limits: Limits) -> MediaError:
    return MediaError(
        "too_many_pixels",
        source,
        f"{found}, over the limit of {limits.max_pixels:,} pixels or {limits.max_side:,} a side; "
        "make it smaller, or the medium with larger Limits",
    )


def _unopened(error: Exception, file: BinaryIO, start: bytes, source: str) -> MediaError:
    if start.startswith(_MAGIC) or start[8:12] == b"WEBP" or start[4:12] in (b"ftypavif", b"ftypavis"):
        return _reworded(error, is_cut(file), source)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    hint = next((hint for begin, hint in _HINTS if text.startswith(begin)), "")
    known = "its content is none of JPEG, PNG, GIF, WebP, BMP, TIFF, PPM, AVIF"
    return MediaError("not_an_image", source, f"{known}{'; it looks like ' + hint if hint else ''}")


def _reworded(error: Exception, cut: bool, source: str) -> MediaError:
    """Pillow's own text may hold addresses of this process: only what it means is kept."""
    if isinstance(error, MemoryError):
        return MediaError("too_many_pixels", source, "not enough memory to decode it; make it smaller")
    if cut or "truncated" in str(error).lower():
        return MediaError("image_truncated", source, "the file ends before the picture does; fetch it again")
    return MediaError("image_corrupt", source, f"damaged ({type(error).__name__}); fetch or write it again")


def _orientation(picture: PIL.Image.Image) -> int:
    try:
        # The base method: that of PNG would decode the picture to look for EXIF behind the pixels.
        found = PIL.Image.Image.getexif(picture).get(0x0112, 1)
    except Exception:  # noqa: BLE001 - a damaged EXIF block, documented as upright
        return 1
    return found if found in _UPRIGHT else 1


def _webp_size(start: bytes) -> tuple[int, int] | None:
    """The canvas of a WebP file; Pillow allocates it when opening, before its size can be asked."""
    if start[:4] != b"RIFF" or start[8:12] != b"WEBP":
        return None
    kind, body = start[12:16], start[20:]
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _rgb(picture: PIL.Image.Image, source: str) -> PIL.Image.Image:
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        import numpy as np

        return PIL.Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F", "LAB"):
        raise MediaError(
            "unsupported_pixels", source, f"pixels of mode {picture.mode} name no white; save it as 8- or 16-bit RGB"
        )
    straight = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode)
    if straight:
        picture = picture.convert(straight)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        return PIL.Image.alpha_composite(PIL.Image.new("RGBA", layer.size, WHITE), layer).convert("RGB")
    if picture.mode == "RGB":
        return picture.copy()
    return picture.convert("RGB")
