"""Text, Image, Video and Audio: frozen values. Media are lazy: nothing is decoded until it is asked for."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import PIL.Image
    from torch import Tensor


class MediaError(ValueError):
    """A medium that cannot be read: ``code`` is stable (``image_truncated``), the message names source and remedy."""

    def __init__(self, code: str, source: str, message: str) -> None:
        super().__init__(f"{code}: {source}: {message}")
        self.code = code
        self.source = source


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, by path, by encoded bytes, or by a float tensor ``[3, height, width]`` in 0..1 that keeps its graph.

    Two images are equal when their content is. An image made by `from_tensor` has no content hash.
    """

    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    tensor: Tensor | None = field(default=None, repr=False, compare=False)

    @staticmethod
    def from_path(path: str | Path) -> Image:
        return Image(path=Path(path))

    @staticmethod
    def from_bytes(data: bytes) -> Image:
        return Image(data=data)

    @staticmethod
    def from_pil(picture: PIL.Image.Image) -> Image:
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        return Image(data=buffer.getvalue())

    @staticmethod
    def from_tensor(tensor: Tensor) -> Image:
        return Image(tensor=tensor)

    def read(self) -> bytes:
        """The encoded bytes."""
        if self.data is not None:
            return self.data
        assert self.path is not None
        return self.path.read_bytes()

    @property
    def content_hash(self) -> str:
        """sha256 of the encoded bytes, in hexadecimal."""
        return hashlib.sha256(self.read()).hexdigest()

    def pil(self) -> PIL.Image.Image:
        """The decoded picture, RGB, upright."""
        import PIL.Image

        return PIL.Image.open(io.BytesIO(self.read())).convert("RGB")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, from the header."""
        import PIL.Image

        return PIL.Image.open(io.BytesIO(self.read())).size


@dataclass(frozen=True, slots=True)
class Video:
    """A video, by path, by encoded bytes, or by frames; ``fps`` in frames a second."""

    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    frames: tuple[Image, ...] = ()
    fps: float | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """A sound, by path or by encoded bytes."""

    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)


Part: TypeAlias = Text | Image | Video | Audio
