"""Media as outside formats give them: paths, bytes, data URIs, PIL pictures, arrays and tensors of pixels,
``{"bytes", "path"}`` dictionaries."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import unquote, urlsplit

from assay.media import Audio, Image, Part, Video
from assay.records.problems import BadRowError

Kind: TypeAlias = Literal["image", "video", "audio"]
KINDS: tuple[Kind, ...] = ("image", "video", "audio")
ROUNDING = 0.01
"""How far a float may lie outside 0..1, as rounding and resizing leave it."""


def medium(kind: Kind, value: Any, root: Path) -> Part:
    """One medium from whatever a column holds; relative paths start at ``root``. Nothing is opened.

    An array or tensor is a picture, ``[height, width, 3]``, ``[3, height, width]`` or ``[height, width]``, uint8 or
    floats in 0..1 (rounded to 8 bits), or with an axis of frames before these a video.

    Raises:
        BadRowError: an empty value, a remote address, broken base64, pixels that make no picture, or a type that holds
            no medium.
    """
    if isinstance(value, Image | Video | Audio):
        return value
    if isinstance(value, str):
        return _from_address(kind, value, root)
    if isinstance(value, Path):
        return _at(kind, root / value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _holding(kind, bytes(value))
    if isinstance(value, Mapping):
        return _from_mapping(kind, cast(Mapping[str, Any], value), root)
    if kind == "image" and callable(getattr(value, "save", None)):
        return Image.from_pil(value)
    if kind == "image" and of_pixels(value):
        return _drawn(value)
    if kind == "video" and (isinstance(value, Sequence) or (of_pixels(value) and value.ndim == 4)):
        frames = [medium("image", frame, root) for frame in cast(Sequence[Any], value)]
        return Video(frames=tuple(frame for frame in frames if isinstance(frame, Image)))
    cause = f"{type(value).__name__} where {_article(kind)} belongs"
    raise BadRowError("bad_media", cause, "give a path, bytes, a data URI or {'bytes', 'path'}")


def of_pixels(value: Any) -> bool:
    """Whether it is an array or a tensor of numbers."""
    return hasattr(value, "__array__") and hasattr(value, "ndim") and str(getattr(value, "dtype", "")) != "object"


def _drawn(value: Any) -> Image:
    """The picture of an array or tensor of pixels."""
    import numpy as np

    held: Any = value.detach().cpu() if hasattr(value, "detach") else value
    pixels = np.asarray(held.float() if str(held.dtype) == "torch.bfloat16" else held)
    if pixels.dtype.kind == "f":
        if not (
            pixels.size and np.isfinite(pixels).all() and pixels.min() >= -ROUNDING and pixels.max() <= 1 + ROUNDING
        ):
            raise BadRowError("bad_media", "floats that are not all in 0..1", "give uint8, or floats in 0..1")
        pixels = (pixels.clip(0, 1) * np.float32(255)).round().astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[0] == 3:
        pixels = pixels.transpose(1, 2, 0)
    try:
        return Image.from_array(np.ascontiguousarray(pixels))
    except ValueError as error:
        raise BadRowError("bad_media", str(error), "give uint8 or floats in 0..1, [height, width, 3]") from error


def kind_of(part: Part) -> Kind | None:
    """The kind of a medium; None for text."""
    if isinstance(part, Image):
        return "image"
    if isinstance(part, Video):
        return "video"
    return "audio" if isinstance(part, Audio) else None


def _article(kind: Kind) -> str:
    return f"an {kind}" if kind in ("image", "audio") else f"a {kind}"


def _at(kind: Kind, path: Path) -> Part:
    if kind == "image":
        return Image.from_path(path)
    return Video(path=path) if kind == "video" else Audio(path=path)


def _holding(kind: Kind, data: bytes) -> Part:
    if kind == "image":
        return Image.from_bytes(data)
    return Video(data=data) if kind == "video" else Audio(data=data)


def _from_address(kind: Kind, value: str, root: Path) -> Part:
    if value.startswith("data:"):
        return _holding(kind, _from_data_uri(value))
    if value.startswith(("http://", "https://")):
        raise BadRowError("remote_media", f"the {kind} is a web address", "download it and give its path")
    if value.startswith("file://"):
        value = unquote(urlsplit(value).path)
    if not value:
        raise BadRowError(
            "bad_media", f"an empty path where {_article(kind)} belongs", "give the path, or remove the tag"
        )
    return _at(kind, root / value)


def _from_data_uri(value: str) -> bytes:
    head, comma, body = value.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise BadRowError("bad_media", "a data URI that is not base64", "write it as data:TYPE;base64,...")
    return from_base64(body)


def from_base64(text: str) -> bytes:
    """The bytes of a base64 text; spaces and line ends in it, as ``base64`` and MIME write them, mean nothing.

    Raises:
        BadRowError: characters outside the alphabet, or wrong padding.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRowError("bad_media", f"broken base64 ({error})", "encode the medium again") from error


def _from_mapping(kind: Kind, value: Mapping[str, Any], root: Path) -> Part:
    if value.get("bytes") is not None:
        data = value["bytes"]
        if isinstance(data, int):  # bytes() of a number would be that many zeros
            raise BadRowError("bad_media", "a number where bytes belong", "give bytes, or base64 text")
        return _holding(kind, from_base64(data) if isinstance(data, str) else bytes(data))
    if value.get("data") is not None:
        return _holding(kind, from_base64(str(value["data"])))
    for name in ("path", "url", "image", "video", "audio"):
        if value.get(name) is not None:
            return medium(kind, value[name], root)
    cause = f"a dictionary without bytes or path where {_article(kind)} belongs"
    raise BadRowError("bad_media", cause, "give {'bytes': ...} or {'path': ...}")
