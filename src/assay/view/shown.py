"""Records and scores as what a page shows of them: turns, pieces of text by step, media by address, standings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from assay.media import Audio, Image, MediaError, Part, Text, Video
from assay.media.source import open_source
from assay.records import Critique, Message, Preference, Ranking, Rating, Record, Response, SpanLabels, StepLabels
from assay.records.steps import lines, sentences

SHADES = 7
Address: TypeAlias = Callable[[int, int | None], str]
"""The place of a part in its record, and of a frame in it, to where a browser finds it."""
_KINDS = {Image: "image", Video: "video", Audio: "audio"}


@final
@dataclass(frozen=True)
class Piece:
    """Text, or a medium and where it lies; of kind ``lost`` a medium that cannot be read, and ``text`` says why.
    ``step`` is the number of the step it belongs to, 0 the first; ``shade`` how good that is, 0 worst to `SHADES` - 1;
    ``score`` stands behind the last piece of a step."""

    kind: str
    text: str = ""
    urls: tuple[str, ...] = ()
    step: int | None = None
    shade: int | None = None
    score: str = ""


@final
@dataclass(frozen=True)
class Turn:
    """What one message shows."""

    role: str
    pieces: tuple[Piece, ...]
    calls: tuple[Mapping[str, Any], ...] = ()


@final
@dataclass(frozen=True)
class Candidate:
    """A response beside its score. ``rank`` is 1 for the best of its record; ``turns`` is empty without the data."""

    response: int
    row: Mapping[str, Any]
    turns: tuple[Turn, ...] = ()
    said: tuple[str, ...] = ()
    rank: int | None = None
    other: Mapping[str, Any] = field(default_factory=dict[str, Any])
    other_rank: int | None = None
    loose_steps: tuple[Piece, ...] = ()


def turns_of(messages: Sequence[Message], address: Address, first: int) -> tuple[Turn, ...]:
    """Messages as turns; ``first`` is the place of their first part in the record."""
    made: list[Turn] = []
    for message in messages:
        pieces = tuple(_piece(part, first + place, address) for place, part in enumerate(message.parts))
        made.append(Turn(message.role, pieces, message.tool_calls))
        first += len(message.parts)
    return tuple(made)


def response_turns(
    response: Response, address: Address, first: int, steps: Sequence[float | None] = ()
) -> tuple[Turn, ...]:
    """A response as turns, its text cut where its steps end and shaded by ``steps``, the score of each.

    Where no steps are marked, they are lines or sentences if there are as many as scores; else nothing is shaded.
    """
    ends = _ends(response, len(steps))
    scale = _scale(steps)
    made: list[Turn] = []
    step = 0
    for number, message in enumerate(response.messages):
        pieces: list[Piece] = []
        for place, part in enumerate(message.parts):
            here = [end for end in ends if (end.message, end.part) == (number, place)]
            cuts = [end.offset for end in here if end.offset is not None]
            for piece, closes in _cut(part, cuts, bool(here) and not cuts, first + place, address):
                pieces.append(_shaded(piece, step, steps, scale, closes) if step < len(ends) else piece)
                step += closes
        made.append(Turn(message.role, tuple(pieces), message.tool_calls))
        first += len(message.parts)
    return tuple(made)


def by_step(turns: Sequence[Turn]) -> list[list[Piece]]:
    """The pieces of a response, those of each step together; what stands behind the last step goes with it."""
    found: list[list[Piece]] = []
    for piece in (piece for turn in turns for piece in turn.pieces):
        if not found or (piece.step is not None and piece.step >= len(found)):
            found.append([])
        found[-1].append(piece)
    return found


def loose_steps(steps: Sequence[float | None]) -> tuple[Piece, ...]:
    """Scores of steps that cannot be laid upon the text."""
    return tuple(_shaded(Piece("text", f"step {n + 1}"), n, steps, _scale(steps), 1) for n in range(len(steps)))


def places(record: Record) -> list[int]:
    """The place in the record of the first part of the prompt and of each response."""
    found = [0]
    for messages in (record.prompt, *(response.messages for response in record.responses)):
        found.append(found[-1] + sum(len(message.parts) for message in messages))
    return found


def text_of(messages: Sequence[Message], most: int) -> str:
    """The text of messages on one line, cut to ``most`` characters, media by their kind."""
    words: list[str] = []
    for message in messages:
        for part in message.parts:
            words.append(part.text if isinstance(part, Text) else f"[{_KINDS[type(part)]}]")
    whole = " ".join(" ".join(words).split())
    return whole if len(whole) <= most else whole[: most - 1] + "\u2026"


def ranks(values: Sequence[float | None], sign: float = 1.0) -> list[int | None]:
    """1 for the best of the values, equal ones share a rank; None for none."""
    known = [sign * value for value in values if value is not None]
    return [None if value is None else 1 + sum(other > sign * value for other in known) for value in values]


def said_of(record: Record, response: int) -> tuple[str, ...]:
    """What raters said of one response, a line each."""
    return tuple(line for item in record.feedback for line in _said(item, response))


def _said(item: Any, response: int) -> Iterator[str]:
    by = (
        f" ({', '.join(each for each in (item.rater, item.criterion) if each)})" if item.rater or item.criterion else ""
    )
    match item:
        case Preference() if response in (item.better, item.worse):
            other = item.worse if response == item.better else item.better
            tied = item.tie or item.probability == 0.5
            yield f"{'tied with' if tied else 'preferred to' if response == item.better else 'below'} {other}{by}"
        case Rating() if item.response == response:
            yield f"rated {item.value:g}{by}"
        case Ranking() if response < len(item.ranks) and (place := item.ranks[response]) is not None:
            yield f"ranked {place + 1} of {sum(rank is not None for rank in item.ranks)}{by}"
        case StepLabels() if item.response == response:
            yield f"steps {' '.join('-' if label is None else f'{label:g}' for label in item.labels)}{by}"
        case SpanLabels() if item.response == response:
            yield f"marked {', '.join(f'{span.label} [{span.start}, {span.end})' for span in item.spans)}{by}"
        case Critique() if item.response == response:
            yield f"\u201c{item.text}\u201d{by}"
        case _:
            pass


def _piece(part: Part, place: int, address: Address) -> Piece:
    if isinstance(part, Text):
        return Piece("text", part.text)
    if isinstance(part, Video) and part.frames:
        return Piece("frames", urls=tuple(address(place, frame) for frame in range(len(part.frames))))
    kind, lost = _KINDS[type(part)], _lost(part)
    return Piece("lost" if lost else kind, lost and f"{kind}: {lost}", (address(place, None),))


def _lost(part: Image | Video | Audio) -> str:
    """Why the file of a medium cannot be read; empty where it can, or where there is none."""
    if part.path is None:
        return ""
    try:
        open_source(part.path, None, part.limits).close()
    except MediaError as error:
        return error.code.replace("_", " ")
    return ""


def _cut(part: Part, cuts: Sequence[int], closes: bool, place: int, address: Address) -> Iterator[tuple[Piece, int]]:
    """The pieces of a part, each with 1 where a step ends with it."""
    if not isinstance(part, Text) or not cuts:
        yield _piece(part, place, address), int(closes)
        return
    before = 0
    for cut in cuts:
        text = part.text[before:cut]
        bare = text.lstrip()
        if bare != text:
            yield Piece("text", text[: len(text) - len(bare)]), 0
        yield Piece("text", bare), 1
        before = cut
    if part.text[before:]:
        yield Piece("text", part.text[before:]), 0


def _ends(response: Response, count: int) -> Sequence[Any]:
    if response.step_ends or not count:
        return response.step_ends
    return next((ends for rule in (lines, sentences) if len(ends := rule(response)) == count), ())


def _scale(steps: Sequence[float | None]) -> tuple[float, float]:
    """What the worst and the best shade stand for: 0 and 1 where all scores lie there, else the lowest and highest."""
    known = [step for step in steps if step is not None and math.isfinite(step)]
    if not known or (min(known) >= 0 and max(known) <= 1):
        return 0.0, 1.0
    return min(known), max(known)


def _shaded(piece: Piece, step: int, steps: Sequence[float | None], scale: tuple[float, float], closes: int) -> Piece:
    value = steps[step] if step < len(steps) else None
    blank = piece.kind == "text" and not piece.text.strip() and not closes
    if value is None or blank or not math.isfinite(value):
        return Piece(piece.kind, piece.text, piece.urls, step)
    low, high = scale
    share = 0.5 if high == low else (value - low) / (high - low)
    shade = min(int(share * SHADES), SHADES - 1)
    return Piece(piece.kind, piece.text, piece.urls, step, shade, f"{value:.2f}" if closes else "")
