"""Video: a file decoded frame by frame, or a tuple of pictures."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import PIL.Image

from assay.media.decode import DECODED, opened_picture, treated
from assay.media.source import VIDEOS, Limits, MediaError, digest, is_cut, name_of, open_source, shown
from assay.media.streams import container_of, opened

if TYPE_CHECKING:
    from assay.media.values import Image

_TURNS = {
    90: PIL.Image.Transpose.ROTATE_90,
    180: PIL.Image.Transpose.ROTATE_180,
    270: PIL.Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True)
class _Facts:
    """What one pass over the packets, without decoding, says of a video.

    ``times`` are when each frame is shown, in units of ``unit`` seconds, empty where frames carry none.
    """

    count: int
    fps: float
    duration: float
    size: tuple[int, int]
    times: tuple[int, ...] = ()
    unit: float = 0.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Video:
    """A video, by path, by encoded bytes, or by ``frames`` (pictures, then with ``fps``, frames a second).

    ``frames`` is empty for a file: `window` reads either kind. MP4, MOV, Matroska, WebM, AVI, FLV, MPEG and Ogg need
    the extra ``assay[video]``; GIF, animated WebP and PNG do not. Frames are RGB, upright (rotation written in the file
    is applied), in order of presentation.

    Raises:
        ValueError: not exactly one of path, data and frames was given.
    """

    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    frames: tuple[Image, ...] = ()
    fps: float | None = None
    limits: Limits = VIDEOS
    _digest: str | None = field(default=None, init=False, repr=False)
    _facts: _Facts | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if (self.path is not None) + (self.data is not None) + bool(self.frames) != 1:
            raise ValueError("a Video has exactly one origin: a path, encoded bytes, or one frame or more")

    @staticmethod
    def from_path(path: str | Path, limits: Limits = VIDEOS) -> Video:
        return Video(path=Path(path), limits=limits)

    @staticmethod
    def from_bytes(data: bytes, limits: Limits = VIDEOS) -> Video:
        return Video(data=data, limits=limits)

    @staticmethod
    def from_frames(frames: Sequence[Image], fps: float) -> Video:
        return Video(frames=tuple(frames), fps=fps)

    @property
    def content_hash(self) -> str:
        """sha256 of the encoded bytes, or of the frames' hashes and fps, in hexadecimal, computed once."""
        if self._digest is None:
            if self.frames:
                text = "\n".join([f"fps {self.fps}", *(frame.content_hash for frame in self.frames)])
                found = hashlib.sha256(text.encode()).hexdigest()
            else:
                found = digest(self.path, self.data, self.limits)
            object.__setattr__(self, "_digest", found)
        assert self._digest is not None
        return self._digest

    def __len__(self) -> int:
        """The number of frames, counted without decoding any. Raises as `window`."""
        return self._read_facts().count

    @property
    def rate(self) -> float:
        """Frames a second: ``fps`` where given, else the average that the file states. Raises as `window`."""
        return self.fps if self.fps is not None else self._read_facts().fps

    @property
    def duration(self) -> float:
        """Seconds. Raises as `window`."""
        return self._read_facts().duration

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of a stored frame, before any rotation, from the header. Raises as `window`."""
        return self._read_facts().size

    def window(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[PIL.Image.Image]:
        """Frames ``start``, ``start + step``, ... before ``stop`` (None: to the end), decoded one at a time.

        A window that starts late seeks to the key frame before it. Only the frame yielded last is held.

        Raises:
            MediaError: the file cannot be read, exceeds its limits, or decodes to fewer frames than it says.
            ValueError: ``start`` is negative or ``step`` not positive.
        """
        if start < 0 or step < 1:
            raise ValueError(f"need start >= 0 and step >= 1, got {start} and {step}")
        count = self._read_facts().count
        yield from self._decoded(range(start, count if stop is None else min(stop, count), step))

    def at(self, numbers: Sequence[int]) -> Iterator[PIL.Image.Image]:
        """The frames of these numbers, ascending, decoded one at a time; far between, each is sought on its own.

        Raises:
            MediaError: as `window`.
            ValueError: numbers that do not ascend, or that this video does not have.
        """
        count = self._read_facts().count
        ascends = all(one < other for one, other in pairwise(numbers))
        if not ascends or (numbers and not 0 <= numbers[0] <= numbers[-1] < count):
            raise ValueError(f"need ascending numbers below {count}, got {list(numbers)}")
        for run in _runs(numbers):
            yield from self._decoded(run)

    def seconds(self, number: int) -> float:
        """When a frame is shown, in seconds from the first: what the file says, or by the rate; NaN without a rate."""
        facts = self._read_facts()
        if not 0 <= number < facts.count:
            raise ValueError(f"need a number below {facts.count}, got {number}")
        if facts.times and facts.unit:
            return (facts.times[number] - facts.times[0]) * facts.unit
        return number / self.rate if self.rate else math.nan

    def _decoded(self, wanted: Sequence[int]) -> Iterator[PIL.Image.Image]:
        if not wanted:
            return
        if self.frames:
            for number in wanted:
                yield self.frames[number].pil()
            return
        facts = self._read_facts()
        source = name_of(self.path, self.data)
        given = 0
        with open_source(self.path, self.data, self.limits) as file:
            read = _still_frames if _is_still(file) else _stream_frames
            for number, picture in read(file, source, wanted, facts):
                DECODED.add()
                given += 1
                yield picture
                if number >= wanted[-1]:
                    break
        if given < len(wanted):
            raise MediaError("missing_frames", source, f"{given} of {len(wanted)} frames of the window were there")

    def __repr__(self) -> str:
        if self.frames:
            return f"Video({len(self.frames)} frames, fps={self.fps})"
        return shown("Video", self.path, self.data)

    def fingerprint(self) -> str:
        """The content hash: what a score that depends on this video depends on."""
        return self.content_hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Video):
            return NotImplemented
        return self is other or self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> object:
        try:
            return self.content_hash, self.fps
        except MediaError:
            return self.path, self.data, self.frames, self.fps

    def _read_facts(self) -> _Facts:
        if self._facts is None:
            if self.frames:
                rate = self.fps or 0.0
                facts = _Facts(len(self.frames), rate, len(self.frames) / rate if rate else 0.0, self.frames[0].size)
            else:
                source = name_of(self.path, self.data)
                with open_source(self.path, self.data, self.limits) as file:
                    facts = (_still_facts if _is_still(file) else _stream_facts)(file, source, self.limits)
            _check(facts, name_of(self.path, self.data), self.limits)
            object.__setattr__(self, "_facts", facts)
        assert self._facts is not None
        return self._facts


_FAR = 240
"""Frames between two wanted ones from which on seeking is cheaper than decoding what lies between."""


def _runs(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """The numbers, cut where two neighbours lie far apart."""
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] - numbers[place - 1] > _FAR:
            yield numbers[start:place]
            start = place


def _check(facts: _Facts, source: str, limits: Limits) -> None:
    width, height = facts.size
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise MediaError(
            "too_many_pixels", source, f"frames of {width} x {height}, over the limit of {limits.max_pixels:,} pixels"
        )
    if facts.count > limits.max_frames:
        raise MediaError("too_many_frames", source, f"more than the limit of {limits.max_frames:,} frames")


def _is_still(file: BinaryIO) -> bool:
    """Whether Pillow reads it: GIF, WebP, PNG."""
    start = file.read(16)
    file.seek(0)
    return start.startswith((b"GIF8", b"\x89PNG")) or start[8:12] == b"WEBP"


def _still_facts(file: BinaryIO, source: str, limits: Limits) -> _Facts:
    with _still(file, source, limits) as picture:
        count = int(getattr(picture, "n_frames", 1))
        _check(_Facts(count, 0.0, 0.0, picture.size), source, limits)
        seconds = 0.0
        for number in range(count):
            picture.seek(number)
            seconds += float(picture.info.get("duration", 0)) / 1000
        return _Facts(count, count / seconds if seconds else 0.0, seconds, picture.size)


def _still_frames(
    file: BinaryIO, source: str, wanted: Sequence[int], facts: _Facts
) -> Iterator[tuple[int, PIL.Image.Image]]:
    width, height = facts.size
    with _still(file, source, Limits(max_pixels=width * height, max_side=max(width, height))) as picture:
        for number in wanted:
            picture.seek(number)
            picture.load()
            yield number, treated(picture, source)


@contextmanager
def _still(file: BinaryIO, source: str, limits: Limits) -> Generator[PIL.Image.Image]:
    """A file of frames that Pillow reads; whatever goes wrong inside is a `MediaError` of a video."""
    try:
        with opened_picture(file, source, limits) as (picture, _):
            yield picture
    except MediaError as error:
        raise MediaError(error.code.replace("image_", "video_"), source, error.message) from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise any kind on damaged bytes
        raise _damaged(file, error, source) from None


def _damaged(file: BinaryIO, error: Exception, source: str) -> MediaError:
    if "truncated" in str(error) or (not file.closed and is_cut(file)):
        return MediaError("video_truncated", source, "the file ends before its content does; fetch it again")
    return MediaError("video_corrupt", source, f"damaged ({type(error).__name__}); fetch it again")


def _stream_facts(file: BinaryIO, source: str, limits: Limits) -> _Facts:
    if container_of(file.read(256)) in ("wav", "flac", "mp3", "aac", "aiff"):
        raise MediaError("not_a_video", source, "the file is sound; use Audio")
    with opened(file, source, "video") as (container, stream):
        size = (int(stream.codec_context.width), int(stream.codec_context.height))
        _check(_Facts(1, 0.0, 0.0, size), source, limits)
        times: list[int | None] = []
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                times.append(packet.pts)
            if len(times) > limits.max_frames:
                break
        known = sorted(time for time in times if time is not None)
        fps = float(stream.average_rate or stream.guessed_rate or 0.0)
        duration = len(times) / fps if fps else 0.0
        distinct = len(known) == len(times) == len(set(known))
        unit = float(stream.time_base or 0.0)
        return _Facts(len(times), fps, duration, size, tuple(known) if distinct else (), unit)


def _stream_frames(
    file: BinaryIO, source: str, wanted: Sequence[int], facts: _Facts
) -> Iterator[tuple[int, PIL.Image.Image]]:
    start = _seekable(file, source, facts.times, wanted[0])
    among = wanted if isinstance(wanted, range) else frozenset(wanted)
    with opened(file, source, "video") as (container, stream):
        if start:
            container.seek(facts.times[wanted[0]], stream=stream, backward=True, any_frame=False)
        for number, frame in enumerate(container.decode(stream), start):
            if number in among:
                yield number, _picture(frame)


def _seekable(file: BinaryIO, source: str, times: tuple[int, ...], number: int) -> int:
    """The number of the key frame that a seek to frame ``number`` lands on; 0 (decode from the start) where in doubt.

    Some containers (MPEG transport streams) land between key frames, where pictures decode from nothing.
    """
    if not number or not times:
        return 0
    with opened(file, source, "video") as (container, stream):
        container.seek(times[number], stream=stream, backward=True, any_frame=False)
        frame = next(iter(container.decode(stream)), None)
    if frame is None or not frame.key_frame or frame.pts is None or frame.pts > times[number]:
        return 0
    found = bisect_left(times, frame.pts)
    return found if times[found] == frame.pts else 0


def _picture(frame: Any) -> PIL.Image.Image:
    picture: PIL.Image.Image = frame.to_image()
    turn = _TURNS.get(int(frame.rotation) % 360)
    return picture if turn is None else picture.transpose(turn)
