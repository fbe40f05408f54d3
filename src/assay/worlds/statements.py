"""Records of three short statements about something shown or told, with any shape of feedback: what a matrix runs on.

Something has one of two properties: a text that says so, a picture, a film, a tune, or pictures in the responses
themselves. Every response makes three statements about it, each right or wrong, and each kind or rude. What a rater
counts (right statements, kind ones, wrong ones) makes his feedback, in whatever shape it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import numpy as np

from assay.media import Audio, Image, Part, Text, Video
from assay.records import (
    Critique,
    Feedback,
    Message,
    Preference,
    Ranking,
    Rating,
    Record,
    Response,
    Span,
    SpanLabels,
    StepEnd,
    StepLabels,
)
from assay.worlds.films import tune

STEPS = 3
COUNTS = ("none", "one", "two", "three")
TONES = ("rude", "kind")
COLOURS = ("green", "red")
PITCHES = ("low", "high")
_SEEN = {"green": (30, 150, 50), "red": (220, 30, 30)}


@final
@dataclass(frozen=True, slots=True)
class Statement:
    """One step of a response."""

    right: bool
    kind: bool


Facet: TypeAlias = Callable[[Statement], bool]
"""What a rater counts."""


def right(statement: Statement) -> bool:
    """The statement is right."""
    return statement.right


def kind(statement: Statement) -> bool:
    """The statement is kind."""
    return statement.kind


def wrong(statement: Statement) -> bool:
    """The statement is wrong: what somebody of the opposite taste counts."""
    return not statement.right


@final
@dataclass(frozen=True, slots=True)
class Telling:
    """How a world is told: ``shown`` stands in the prompt for the property 0 or 1, ``said`` is one statement of it."""

    shown: Callable[[int, np.random.Generator], Part]
    said: Callable[[int, Statement, np.random.Generator], tuple[Part, ...]]


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """A record, and what is true of it: ``counts`` of every response by what was counted (None: the overall score),
    and ``facts`` ``[responses, steps]``, whether each statement is what the overall score counts."""

    record: Record
    counts: Mapping[str | None, tuple[int, ...]]
    facts: tuple[tuple[bool, ...], ...]


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what: the question, the facet counted under each criterion, and further columns of the context."""

    question: str
    facets: Mapping[str | None, Facet]
    context: Mapping[str, str]


Ask: TypeAlias = Callable[[int], Asked]
"""The number of a record to what is asked."""
Tell: TypeAlias = Callable[[str | None, Sequence[int], Sequence[Sequence[bool]], np.random.Generator], list[Feedback]]
"""Criterion, counts ``[responses]`` and facts ``[responses, steps]`` to what a rater says."""


@final
@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of feedback: how it is told, about how many responses, and whether every other record is a tie."""

    tell: Tell
    responses: int = 2
    ties: bool = False


def samples(
    telling: Telling, shape: Shape, ask: Ask, count: int, seed: int = 0, name: str = "statements"
) -> list[Sample]:
    """``count`` records. Within a record responses differ in what the overall score (or the first criterion) counts,
    except where they are to be tied. Everybody also writes a critique of every response: how many he counted."""
    rng = np.random.default_rng([seed, 11])
    return [_sample(telling, shape, ask(i), shape.ties and i % 2 == 1, f"{name}-{seed}-{i}", rng) for i in range(count)]


def _sample(telling: Telling, shape: Shape, asked: Asked, tied: bool, name: str, rng: np.random.Generator) -> Sample:
    shown = int(rng.integers(2))
    first = next(iter(asked.facets.values()))
    while True:
        bits = rng.integers(0, 2, (shape.responses, STEPS, 2)).astype(bool).tolist()
        answers = [tuple(Statement(*pair) for pair in response) for response in bits]
        levels = {sum(map(first, answer)) for answer in answers}
        if (len(levels) == 1) == tied and len({tuple(map(first, answer)) for answer in answers}) > 1:
            break
    feedback: list[Feedback] = []
    counts: dict[str | None, tuple[int, ...]] = {}
    for criterion, facet in asked.facets.items():
        counts[criterion] = tuple(sum(map(facet, answer)) for answer in answers)
        feedback += shape.tell(criterion, counts[criterion], [list(map(facet, answer)) for answer in answers], rng)
    told = [Critique(place, f"{COUNTS[sum(map(first, answer))]}.") for place, answer in enumerate(answers)]
    record = Record.of(
        [telling.shown(shown, rng), Text(f" {asked.question}")],
        [_response([telling.said(shown, each, rng) for each in answer]) for answer in answers],
        id=name,
        feedback=[*feedback, *told],
        **asked.context,
    )
    return Sample(record, counts, tuple(tuple(map(first, answer)) for answer in answers))


def _response(steps: Sequence[Sequence[Part]]) -> Response:
    """Steps as one message, texts that meet joined by a line break; each step ends with its last character."""
    parts: list[Part] = []
    ends: list[StepEnd] = []
    for step in steps:
        for part in step:
            before = parts[-1] if parts else None
            if isinstance(part, Text) and isinstance(before, Text):
                parts[-1] = Text(f"{before.text}\n{part.text}")
            else:
                parts.append(part)
        last = parts[-1]
        ends.append(StepEnd(0, len(parts) - 1, len(last.text) if isinstance(last, Text) else None))
    return Response((Message("assistant", tuple(parts)),), tuple(ends))


def as_spans(record: Record) -> Record:
    """The record with its step labels as spans of text, one a labelled step: ``value`` 1 for a good one, else 0."""
    made: list[Feedback] = []
    for item in record.feedback:
        if isinstance(item, StepLabels):
            places = _texts(record.responses[item.response])
            spans = [
                Span(*place, TONES[int(label)], label)
                for place, label in zip(places, item.labels, strict=True)
                if label is not None
            ]
            made.append(SpanLabels(item.response, tuple(spans), criterion=item.criterion))
    return replace(record, feedback=(*record.feedback, *made))


def _texts(response: Response) -> list[tuple[int, int]]:
    """Where in the response's text each step stands."""
    starts: list[int] = []
    total = 0
    for part in response.messages[0].parts:
        starts.append(total)
        total += len(part.text) if isinstance(part, Text) else 0
    found: list[tuple[int, int]] = []
    before = 0
    for end in response.step_ends:
        stop = starts[end.part] + (end.offset or 0)
        found.append((before, stop))
        before = stop
    return found


# -- who asks for what -------------------------------------------------------------------------------------------------


def one(number: int) -> Asked:
    """Everybody asks what is right."""
    return Asked("Is it right?", {None: right}, {})


def two(number: int) -> Asked:
    """What is right, and what is kind, each by its criterion."""
    return Asked("Is it right?", {"right": right, "kind": kind}, {})


def gate(number: int) -> Asked:
    """Every other prompt asks for kindness, and only what it asks for counts."""
    wanted, facet = (("right", right), ("kind", kind))[number % 2]
    return Asked(f"Is it {wanted}?", {None: facet}, {"wanted": wanted})


def users(number: int) -> Asked:
    """Two users take turns; one likes what is right, the other what is wrong."""
    name, facet = (("anna", right), ("bruno", wrong))[number % 2]
    return Asked("Is it right?", {None: facet}, {"who": name})


# -- how it is told ----------------------------------------------------------------------------------------------------


def _words(names: Sequence[str]) -> Callable[[int, Statement, np.random.Generator], tuple[Part, ...]]:
    def said(shown: int, statement: Statement, rng: np.random.Generator) -> tuple[Part, ...]:
        return (Text(f"{TONES[statement.kind]} {names[shown if statement.right else 1 - shown]}"),)

    return said


def _text(shown: int, rng: np.random.Generator) -> Part:
    return Text(f"{('the shape is', 'there is')[int(rng.integers(2))]} {COLOURS[shown]}.")


def _picture(shown: int, rng: np.random.Generator) -> Image:
    """A square of one colour on a ground of some brightness."""
    canvas = np.full((32, 32, 3), int(rng.integers(150, 256)), dtype=np.uint8)
    top, left = rng.integers(0, 9, 2).tolist()
    canvas[top : top + 24, left : left + 24] = _SEEN[COLOURS[shown]]
    return Image.from_array(canvas)


def _film(shown: int, rng: np.random.Generator) -> Video:
    """Four frames: the colour of the first half gives way to that which the film ends with."""
    return Video.from_frames([_picture(each, rng) for each in (1 - shown, 1 - shown, shown, shown)], 4.0)


def _tune(shown: int, rng: np.random.Generator) -> Audio:
    return tune([PITCHES[shown]] * int(rng.integers(1, 4)))


def _named(shown: int, rng: np.random.Generator) -> Part:
    return Text(f"show {COLOURS[shown]}.")


def _drawn(shown: int, statement: Statement, rng: np.random.Generator) -> tuple[Part, ...]:
    return _picture(shown if statement.right else 1 - shown, rng), Text(TONES[statement.kind])


MEDIA: Mapping[str, Telling] = {
    "text": Telling(_text, _words(COLOURS)),
    "image": Telling(_picture, _words(COLOURS)),
    "video": Telling(_film, _words(COLOURS)),
    "audio": Telling(_tune, _words(PITCHES)),
    "media that differ": Telling(_named, _drawn),
}

# -- what is said of it ------------------------------------------------------------------------------------------------


def _better(
    criterion: str | None, counts: Sequence[int], rng: np.random.Generator, **more: float | bool
) -> Preference | None:
    first, second = counts
    if first == second:
        return None
    better = int(second > first)
    return replace(Preference(better, 1 - better, criterion=criterion), **more)


def _pairs(
    criterion: str | None, counts: Sequence[int], facts: Sequence[Sequence[bool]], rng: np.random.Generator
) -> list[Feedback]:
    found = _better(criterion, counts, rng)
    return [] if found is None else [found]


def _ties(
    criterion: str | None, counts: Sequence[int], facts: Sequence[Sequence[bool]], rng: np.random.Generator
) -> list[Feedback]:
    return [_better(criterion, counts, rng) or Preference(0, 1, tie=True, criterion=criterion)]


def _soft(
    criterion: str | None, counts: Sequence[int], facts: Sequence[Sequence[bool]], rng: np.random.Generator
) -> list[Feedback]:
    """``sigmoid(2 (count_0 - count_1))`` that the first one wins."""
    likely = float(1.0 / (1.0 + np.exp(2.0 * (counts[1] - counts[0]))))
    return [Preference(0, 1, probability=likely, criterion=criterion)]


def _margins(
    criterion: str | None, counts: Sequence[int], facts: Sequence[Sequence[bool]], rng: np.random.Generator
) -> list[Feedback]:
    found = _better(criterion, counts, rng, margin=float(abs(counts[0] - counts[1])))
    return [] if found is None else [found]


def _rankings(
    criterion: str | None, counts: Sequence[int], facts: Sequence[Sequence[bool]], rng: np.random.Generator
) -> list[Feedback]:
    levels = sorted(set(counts), reverse=True)
    return [Ranking(tuple(levels.index(count) for count in counts), criterion=criterion)]


def _ratings(
    criterion: str | None, counts: Sequence[int], facts: Sequence[Sequence[bool]], rng: np.random.Generator
) -> list[Feedback]:
    return [Rating(place, float(count), criterion=criterion) for place, count in enumerate(counts)]


def _step_labels(
    criterion: str | None, counts: Sequence[int], facts: Sequence[Sequence[bool]], rng: np.random.Generator
) -> list[Feedback]:
    return [StepLabels(place, tuple(map(float, own)), criterion=criterion) for place, own in enumerate(facts)]


def _missing(
    criterion: str | None, counts: Sequence[int], facts: Sequence[Sequence[bool]], rng: np.random.Generator
) -> list[Feedback]:
    """Ratings and step labels, of which two in five are not there."""
    found: list[Feedback] = [item for item in _ratings(criterion, counts, facts, rng) if rng.random() > 0.4]
    for place, own in enumerate(facts):
        labels = tuple(float(fact) if rng.random() > 0.4 else None for fact in own)
        found.append(StepLabels(place, labels, criterion=criterion))
    return found


SHAPES: Mapping[str, Shape] = {
    "pairs": Shape(_pairs),
    "ties": Shape(_ties, ties=True),
    "soft labels": Shape(_soft),
    "margins": Shape(_margins),
    "rankings": Shape(_rankings, responses=3),
    "ratings": Shape(_ratings),
    "step labels": Shape(_step_labels),
    "missing cells": Shape(_missing),
}
