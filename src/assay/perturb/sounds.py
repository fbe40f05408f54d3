"""Sounds changed as other speakers, rooms and microphones change them: copies to learn from, and clips cut to size."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from assay.media import Audio, Part
from assay.records import Message, Record

Samples: TypeAlias = npt.NDArray[np.float64]


def wav(samples: Samples, rate: int) -> Audio:
    """Mono samples ``[samples]`` in -1..1 (what lies outside is clipped) as a WAV file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    return Audio.from_bytes(file.getvalue())


@dataclass(frozen=True, slots=True)
class Voice:
    """How far a copy may be from a recording. Every range is drawn from uniformly, noise from its logarithm.

    ``speed`` is the factor that pitch and formants rise by as it gets shorter (a shorter vocal tract, a higher voice);
    ``pace`` further factors at five places along it, so that its parts differ in length too. ``colour`` is the standard
    deviation of eight echoes within a millisecond, each weaker by .8: another microphone. ``noise`` is the standard
    deviation of white noise and ``lead`` the longest silence before and after in seconds.
    """

    speed: tuple[float, float] = (0.7, 1.4)
    pace: tuple[float, float] = (0.85, 1.18)
    colour: float = 0.25
    noise: tuple[float, float] = (1e-4, 2e-2)
    lead: float = 0.125
    level: tuple[float, float] = (0.3, 0.95)


def another_voice(samples: Samples, rate: int, rng: np.random.Generator, voice: Voice | None = None) -> Samples:
    """A copy of a recording ``[samples]`` as if said by somebody else, elsewhere (see `Voice`).

    Sources: speed: Ko et al., Audio augmentation for speech recognition, Interspeech 2015; vocal tracts: Jaitly and
    Hinton, 2013.
    """
    drawn = voice or Voice()
    pace = rng.uniform(*drawn.speed) * rng.uniform(*drawn.pace, 5)
    count = max(2, int(len(samples) / np.interp(np.linspace(0, 1, 50), np.linspace(0, 1, 5), pace).mean()))
    place = np.cumsum(np.interp(np.linspace(0, 1, count), np.linspace(0, 1, 5), pace))
    made = np.interp(place * (len(samples) - 1) / place[-1], np.arange(len(samples)), samples)
    echoes = np.concatenate([[1.0], rng.normal(size=8) * drawn.colour * 0.8 ** np.arange(8)])
    before, after = rng.integers(0, max(1, int(drawn.lead * rate)), 2)
    made = np.pad(np.convolve(made, echoes), (int(before), int(after)))
    made = made / max(float(np.abs(made).max()), 1e-9)
    made = made + rng.normal(size=len(made)) * np.exp(rng.uniform(*np.log(drawn.noise)))
    return made / np.abs(made).max() * rng.uniform(*drawn.level)


def trimmed(samples: Samples, rate: int, *, quiet: float = 0.03, longest: float | None = None) -> Samples:
    """Without the silence before and after, 25 ms left of it; cut at ``longest`` seconds; brought to a peak of .8.

    Silent is where the mean size of 25 ms of samples is below ``quiet`` of its maximum.
    """
    width = max(1, int(0.025 * rate))
    size = np.convolve(np.abs(samples), np.ones(width) / width, "same")
    loud = np.flatnonzero(size > quiet * size.max())
    if not len(loud):
        return samples
    kept = samples[max(0, loud[0] - width) : loud[-1] + width]
    kept = kept if longest is None else kept[: int(longest * rate)]
    return kept / max(float(np.abs(kept).max()), 1e-9) * 0.8


def with_prompt_sounds(record: Record, rate: int, change: Callable[[Samples], Samples], *, name: str = "") -> Record:
    """The record with each sound of its prompt changed, as mono at ``rate``; its id gets ``~name``.

    Raises:
        MediaError: a sound cannot be read.
    """

    def part(given: Part) -> Part:
        return wav(change(given.mono(rate).double().numpy()), rate) if isinstance(given, Audio) else given

    def message(given: Message) -> Message:
        return replace(given, parts=tuple([part(each) for each in given.parts]))

    own = f"{record.id}~{name}" if name else record.id
    return replace(record, id=own, prompt=tuple([message(each) for each in record.prompt]))


def other_voices(
    records: Sequence[Record],
    rate: int,
    *,
    copies: int,
    longest: float | None = None,
    voice: Voice | None = None,
    seed: int = 0,
) -> list[Record]:
    """``copies`` of every record, the sounds of its prompt in `another_voice`, cut at ``longest`` seconds."""
    rng = np.random.default_rng(seed)
    end = None if longest is None else int(longest * rate)
    return [
        with_prompt_sounds(record, rate, lambda given: another_voice(given, rate, rng, voice)[:end], name=str(number))
        for record in records
        for number in range(copies)
    ]
