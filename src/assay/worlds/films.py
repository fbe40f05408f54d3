"""Records of what happens in time: films of moving shapes and tunes of beeps, told rightly and wrongly in one way."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from assay.media import Audio, Video
from assay.records import Preference, Record
from assay.worlds.language import NUMBERS, noun
from assay.worlds.scenes import COLOURS, SHAPES, Scene, Thing, named, picture, placed, some_kinds

MOVES = {"moves left": (0, -2), "moves right": (0, 2)}
CHANGES = ("appears", "vanishes")
EVENTS = (*MOVES, *CHANGES)
FRAMES = 8
PITCHES = {"low": 330.0, "middle": 660.0, "high": 1320.0}
RATE = 8000


@dataclass(frozen=True, slots=True)
class Event:
    """What one shape of a film does: ``verb`` is one of `EVENTS`."""

    thing: str
    verb: str


@dataclass(frozen=True, slots=True)
class Film:
    """Two events, one after the other, and the scene of each of `FRAMES` frames."""

    events: tuple[Event, Event]
    scenes: tuple[Scene, ...]


def sample_film(rng: np.random.Generator) -> Film:
    """Two shapes of different kinds, one in the upper and one in the lower half; first one acts, then the other."""
    kinds = some_kinds(rng, 2)
    verbs = [EVENTS[i] for i in rng.integers(0, len(EVENTS), 2).tolist()]
    halves = rng.permutation(2).tolist()
    tracks: list[list[Thing | None]] = []
    for order, (thing, verb, half) in enumerate(zip(placed(rng, kinds).things, verbs, halves, strict=True)):
        row = int(half * 2 + rng.integers(2))
        start = {"moves left": (2, 4), "moves right": (0, 2)}.get(verb, (0, 4))
        tracks.append(_track(replace(thing, row=row, col=int(rng.integers(*start))), verb, 2 + 3 * order))
    names = [noun(named(next(thing for thing in track if thing is not None))) for track in tracks]
    first, second = (Event(name, verb) for name, verb in zip(names, verbs, strict=True))
    scenes = tuple(Scene(tuple(thing for thing in frame if thing is not None)) for frame in zip(*tracks, strict=True))
    return Film((first, second), scenes)


def tell(events: Sequence[Event]) -> str:
    """``first the red circle moves left. then the blue ring vanishes.`` `recall` is its inverse."""
    return " ".join(
        f"{word} the {event.thing} {event.verb}." for word, event in zip(("first", "then"), events, strict=True)
    )


def recall(text: str) -> tuple[Event, ...]:
    """The events a text tells.

    Raises:
        ValueError: a sentence that `tell` does not write.
    """
    found: list[Event] = []
    for part in filter(None, (part.strip() for part in text.split("."))):
        match = _EVENT.fullmatch(part)
        if match is None:
            raise ValueError(f"no event of a film: {part!r}")
        found.append(Event(match[1], match[2]))
    return tuple(found)


def film_video(film: Film, cell: int = 12, fps: float = 4.0) -> Video:
    """The film's frames as a `Video` of pictures."""
    return Video.from_frames([picture(scene, cell) for scene in film.scenes], fps)


def video_records(n: int, seed: int = 0, cell: int = 12) -> list[Record]:
    """``n`` films, each with a true account preferred to a wrong one.

    Context: ``events`` (thing and verb of each, in order) and ``kind``, what the wrong account gets wrong: ``event``
    (one verb) or ``order`` (the two events exchanged). Either account is as likely by its words alone.
    """
    rng = np.random.default_rng([seed, 5])
    records: list[Record] = []
    for i in range(n):
        film = sample_film(rng)
        first, second = film.events
        kind = ("event", "order")[i % 2]
        wrong = (second, first)
        if kind == "event":
            other = [verb for verb in EVENTS if verb != first.verb]
            wrong = (replace(first, verb=other[int(rng.integers(len(other)))]), second)
        context = {"events": [[event.thing, event.verb] for event in film.events], "kind": kind}
        texts = (tell(film.events), tell(wrong))
        records.append(_record(f"films-{seed}-{i}", [film_video(film, cell), "What happens?"], texts, context, rng))
    return records


def tune(pitches: Sequence[str], seconds: float = 0.1) -> Audio:
    """A WAV of one beep for each pitch (`PITCHES`), 16 bit at 8 kHz, with a pause of half a beep after each."""
    length = int(RATE * seconds)
    time = np.arange(length) / RATE
    swell = np.minimum(1, np.minimum(time, seconds - time) * 100)
    pause = np.zeros(length // 2)
    parts = [part for pitch in pitches for part in (swell * np.sin(2 * np.pi * PITCHES[pitch] * time), pause)]
    samples = (np.concatenate(parts) * 0.5 * 32767).astype("<i2").tobytes() if parts else b""
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return Audio.from_bytes(head + struct.pack("<4sI", b"data", len(samples)) + samples)


def tune_text(pitches: Sequence[str]) -> str:
    """``three beeps: low, high, high.``"""
    return f"{NUMBERS[len(pitches)]} beep{'' if len(pitches) == 1 else 's'}: {', '.join(pitches)}."


def heard(text: str) -> tuple[str, ...]:
    """The pitches that `tune_text` wrote.

    Raises:
        ValueError: another text, or a number that differs from how many pitches follow.
    """
    head, _, listed = text.rstrip(".").partition(": ")
    pitches = tuple(listed.split(", "))
    if not set(pitches) <= set(PITCHES) or tune_text(pitches) != f"{head}: {listed}.":
        raise ValueError(f"no account of a tune: {text!r}")
    return pitches


def tone_records(n: int, seed: int = 0) -> list[Record]:
    """``n`` tunes, each with a true account preferred to a wrong one.

    Context: ``pitches`` and ``kind``, what is wrong: ``pitch`` (one beep) or ``count`` (one beep more or fewer).
    """
    rng = np.random.default_rng([seed, 6])
    names = list(PITCHES)
    records: list[Record] = []
    for i in range(n):
        kind = ("pitch", "count")[i % 2]
        length = int(rng.integers(1, 4))
        notes = [names[k] for k in rng.integers(0, len(names), length + 1).tolist()]
        place = int(rng.integers(length))
        if kind == "pitch":
            changed = names[(names.index(notes[place]) + int(rng.integers(1, len(names)))) % len(names)]
            pair = [notes[:length], [*notes[:place], changed, *notes[place + 1 : length]]]
        else:
            pair = [notes[:length], notes]
            if rng.random() < 0.5:
                pair.reverse()
        context = {"pitches": pair[0], "kind": kind}
        texts = (tune_text(pair[0]), tune_text(pair[1]))
        records.append(_record(f"tones-{seed}-{i}", [tune(pair[0]), "What do you hear?"], texts, context, rng))
    return records


def _track(thing: Thing, verb: str, begin: int) -> list[Thing | None]:
    """The thing in each frame; it acts in frames ``begin`` and ``begin + 1``."""
    track: list[Thing | None] = []
    for frame in range(FRAMES):
        done = min(max(frame - begin + 1, 0), 2)
        if verb in MOVES:
            down, across = MOVES[verb]
            track.append(replace(thing, row=thing.row + down * done // 2, col=thing.col + across * done // 2))
        else:
            there = done == 0 if verb == "vanishes" else done > 0
            track.append(thing if there else None)
    return track


def _record(
    name: str, prompt: Sequence[Any], texts: Sequence[str], context: dict[str, Any], rng: np.random.Generator
) -> Record:
    """``texts`` is the better, then the worse; which comes first is chance."""
    better = int(rng.integers(2))
    answers = list(texts) if better == 0 else [texts[1], texts[0]]
    feedback = [Preference(better, 1 - better, criterion=context["kind"])]
    return Record.of(prompt, answers, id=name, feedback=feedback, **context)


_EVENT = re.compile(rf"(?:first|then) the ((?:{'|'.join(COLOURS)}) (?:{'|'.join(SHAPES)})) ({'|'.join(EVENTS)})")
