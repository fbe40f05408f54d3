"""Which frames of a video a picture backbone is shown, and videos written as those pictures."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import final

from assay.media import Image, MediaError, Part, Text, Video
from assay.records import Message, Response, StepEnd


@dataclass(frozen=True, slots=True)
class Shown:
    """The frames of one video that are shown: their numbers, when each is shown in seconds from the first (NaN where
    the video has no rate), and the video's own frames a second and seconds."""

    numbers: tuple[int, ...]
    seconds: tuple[float, ...]
    fps: float
    duration: float


@final
@dataclass(frozen=True, slots=True)
class Frames:
    """Which frames of a video stand for it, each a picture in the video's place.

    Frame ``floor((k + 1/2) N / n)`` of N, k = 0 .. n - 1: the middles of n equal parts. ``n`` is ``count``, or with
    ``fps`` so many a second of the video's duration, at most ``at_most``; never more than N. A video of fewer frames
    than ``at_least`` is refused. With ``times`` the text ``<1.5 seconds>`` stands before each frame in a prompt, never
    in a response, whose text is its author's alone.

    Raises:
        ValueError: a number that is not positive.
    """

    count: int = 8
    fps: float | None = None
    at_most: int = 64
    at_least: int = 1
    times: bool = False

    def __post_init__(self) -> None:
        if min(self.count, self.at_most, self.at_least) < 1 or (self.fps is not None and not 0 < self.fps < math.inf):
            raise ValueError(f"need positive numbers, got {self}")

    @property
    def fingerprint(self) -> str:
        """sha256 of the choice."""
        return hashlib.sha256(json.dumps(["frames", asdict(self)], sort_keys=True).encode()).hexdigest()

    def of(self, video: Video) -> Shown:
        """The frames of a video that are shown; nothing is decoded.

        Raises:
            MediaError: it cannot be read (as `Video.window`), has ``too_few_frames``, or ``no_rate`` where one is
                needed: for ``fps`` and for ``times``.
        """
        total = len(video)
        if total < self.at_least:
            raise MediaError("too_few_frames", repr(video), f"{total} frames, but at least {self.at_least} are needed")
        if (self.fps is not None or self.times) and not video.rate:
            raise MediaError("no_rate", repr(video), "it does not say its frames a second; give Video(..., fps=)")
        wanted = self.count if self.fps is None else min(self.at_most, max(1, round(video.duration * self.fps)))
        parts = min(wanted, total)
        numbers = tuple([(2 * k + 1) * total // (2 * parts) for k in range(parts)])
        return Shown(numbers, tuple([video.seconds(number) for number in numbers]), video.rate, video.duration)

    def pictures(self, video: Video, *, told: bool = True) -> tuple[Part, ...]:
        """What stands for a video: its frames as pictures, each after its time where ``times`` and ``told``.

        Raises as `of`.
        """
        parts: list[Part] = []
        shown = self.of(video)
        for number, second in zip(shown.numbers, shown.seconds, strict=True):
            if self.times and told:
                parts.append(Text(f"<{second:.1f} seconds>"))
            parts.append(Image.from_video(video, number))
        return tuple(parts)


EIGHT = Frames()
"""Eight frames, evenly over the video: what backbones show unless told otherwise."""


def holds_video(messages: Sequence[Message]) -> bool:
    """Whether any part is a video."""
    return any(isinstance(part, Video) for message in messages for part in message.parts)


def unrolled(messages: Sequence[Message], frames: Frames) -> tuple[Message, ...]:
    """The messages with every video written as its frames.

    Raises:
        MediaError: as `Frames.of`.
    """
    return tuple([_unrolled(message, frames, told=True)[0] for message in messages])


def unrolled_response(response: Response, frames: Frames) -> Response:
    """A response with every video written as its frames; its steps end where they did. Raises as `unrolled`."""
    written = [_unrolled(message, frames, told=False) for message in response.messages]

    def moved(end: StepEnd) -> StepEnd:
        known = end.message < len(written) and end.part < len(written[end.message][1])
        return replace(end, part=written[end.message][1][end.part]) if known else end

    return Response(tuple([message for message, _ in written]), tuple([moved(end) for end in response.step_ends]))


def _unrolled(message: Message, frames: Frames, *, told: bool) -> tuple[Message, list[int]]:
    """A message and, for each part of the old one, the place of its last piece in the new one."""
    parts: list[Part] = []
    last: list[int] = []
    for part in message.parts:
        parts += frames.pictures(part, told=told) if isinstance(part, Video) else (part,)
        last.append(len(parts) - 1)
    return replace(message, parts=tuple(parts)), last
