"""From records to units that may share a prompt, from units to the records that a reward is called with, and back."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias, final

import torch

from assay.media import Audio, Image, Part, Text, Video
from assay.records import Record
from assay.records.record import Message, Response
from assay.rewards.base import ContractError, Reward, score
from assay.rewards.batches import score_each
from assay.runs.content import Content, content_of
from assay.runs.results import rows_of
from assay.runs.score_cache import kept_under, may_be_kept
from assay.scores import Status
from assay.serving.queue import Request, Row, Unit, abstention
from assay.spec import Spec

Mark: TypeAlias = bytes | None
"""A digest of content; None where there is nothing to know it by."""

_IMAGE, _FRAME, _VIDEO, _AUDIO = 576, 144, 4_608, 768
_MESSAGE = 8


@final
class Measure:
    """How many tokens text and media are, about.

    Text counts by its bytes, at a rate that is 3 bytes a token until the reward's own tokeniser has said otherwise
    (`learn`): tokenising everything twice would cost more than the estimate is worth. A medium counts as a usual
    encoder has it: 576 tokens a picture (a 24 x 24 grid), 144 a frame, 32 frames a video file, 30 s of sound at 25.
    """

    def __init__(self, bytes_per_token: float = 3.0) -> None:
        self.bytes_per_token = bytes_per_token
        self._seen = (0.0, 0.0)

    def learn(self, size: int, tokens: int) -> None:
        """Text of this many bytes was this many tokens. What was learned long ago weighs less."""
        if not size or not tokens:
            return
        before_size, before_tokens = self._seen
        self._seen = before_size * 0.9 + size, before_tokens * 0.9 + tokens
        self.bytes_per_token = self._seen[0] / self._seen[1]

    def of(self, messages: Iterable[Message]) -> int:
        """Tokens of messages."""
        return sum(_MESSAGE + sum(self._part(part) for part in message.parts) for message in messages)

    def _part(self, part: Part) -> int:
        match part:
            case Text():
                return math.ceil(size_of(part.text) / self.bytes_per_token)
            case Image():
                return _IMAGE if part.frame is None else _FRAME
            case Video():
                return _FRAME * len(part.frames) or _VIDEO
            case Audio():
                return _AUDIO


def size_of(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Known:
    """A record as the reward sees it; what its prompt and responses are known by, and its rows are kept under."""

    record: Record
    content: Content
    kept: tuple[Mark, ...]


def known(records: Sequence[Record], spec: Spec, *, caching: bool) -> list[Known]:
    """The reward's view of the records by content, as far as it is of use. The media are read for it."""
    caching = caching and may_be_kept(spec)
    wanted = caching or are_apart(spec)
    found: list[Known] = []
    for record in records:
        view = record.view(spec.needs)
        nothing = (None,) * len(record.responses)
        content = content_of(view, spec.needs) if wanted else Content(None, nothing)
        found.append(Known(view, content, kept_under(content, spec) if caching else nothing))
    return found


def are_apart(spec: Spec) -> bool:
    """Whether the score of a response depends on nothing but its prompt and itself."""
    return spec.scale == "absolute" and spec.order_invariant


def add_units(request: Request, first: int, records: Sequence[Known], spec: Spec, measure: Measure) -> None:
    """Cut what a request lacks of these records, whose rows begin at ``first``, into units: responses, or records where
    their responses belong together. For a reward that minds no order."""
    for each in records:
        places = range(first, first + len(each.record.responses))
        first = places.stop
        missing = [i for i in places if request.rows[i] is None]
        if missing and are_apart(spec):
            _add_responses(request, each, places.start, missing, spec, measure)
        elif missing:
            own = sum(measure.of(response.messages) for response in each.record.responses)
            shared = measure.of(each.record.prompt)
            key = (id(request), places.start)
            request.add(Unit(request, (each.record,), places, each.kept, places.start, key, shared, own))


def _add_responses(
    request: Request, known: Known, first: int, missing: Sequence[int], spec: Spec, measure: Measure
) -> None:
    key: Hashable = known.content.prompt or (id(request), first)
    shared = measure.of(known.record.prompt)
    for place in missing:
        response, mark = known.record.responses[place - first], known.content.responses[place - first]
        record = replace(known.record, responses=(response,))
        twin = (key, mark) if mark is not None and spec.deterministic else None
        kept = (known.kept[place - first],)
        own = measure.of(response.messages)
        request.add(Unit(request, (record,), range(place, place + 1), kept, first, key, shared, own, twin))


def add_whole(request: Request, records: Sequence[Known], measure: Measure) -> None:
    """All of a request as one unit, for a reward that minds order."""
    if not request.rows:
        return
    all_records = tuple(each.record for each in records)
    parts = (messages for r in all_records for messages in (r.prompt, *(each.messages for each in r.responses)))
    tokens = sum(map(measure.of, parts))
    places = range(len(request.rows))
    kept = (None,) * len(places)
    request.add(Unit(request, all_records, places, kept, 0, id(request), 0, tokens, alone=True))


@dataclass(frozen=True, slots=True)
class Piece:
    """A record to judge, and how many of its responses in a row came from one record of one request each."""

    record: Record
    parts: tuple[int, ...]


@final
@dataclass(frozen=True, slots=True)
class Work:
    """What a reward is called with for a batch, and which of its rows answer which unit.

    ``grouped`` rows are those that share their prompt with a row of another request or record.
    """

    pieces: tuple[Piece, ...]
    answers: tuple[tuple[Unit, tuple[int, ...]], ...]
    grouped: int

    def settle(self, rows: Sequence[Row], first: int = 0, last: int | None = None) -> None:
        """Hand each unit its rows; ``first`` and ``last`` choose among the units."""
        for unit, places in self.answers[first:last]:
            unit.request.settle(unit.places, [rows[place] for place in places])

    def kept(self, rows: Sequence[Row]) -> list[tuple[Mark, Row]]:
        """The rows with what they are kept under, those of equal content once."""
        found = {
            mark: rows[place]
            for unit, places in self.answers
            for mark, place in zip(unit.kept, places, strict=True)
            if mark is not None
        }
        return list(found.items())


def work_of(units: Sequence[Unit]) -> Work:
    """The units as records: those of equal prompt as one record of several responses, equal responses once."""
    by_key: dict[Hashable, list[Unit]] = {}
    for unit in units:
        by_key.setdefault(unit.key, []).append(unit)
    pieces: list[Piece] = []
    answers: list[tuple[Unit, tuple[int, ...]]] = []
    taken: set[str] = set()
    row = grouped = 0
    for of_key in by_key.values():
        if len(of_key) == 1:
            unit = of_key[0]
            pieces.extend(_named(record, (len(record.responses),), taken) for record in unit.records)
            answers.append((unit, tuple(range(row, row + len(unit.places)))))
            row += len(unit.places)
            continue
        piece, places = _merged(of_key, taken)
        answers.extend((unit, (row + place,)) for unit, place in places)
        row += len(piece.record.responses)
        grouped += len(of_key) if len({(id(unit.request), unit.origin) for unit in of_key}) > 1 else 0
        pieces.append(piece)
    return Work(tuple(pieces), tuple(answers), grouped)


def _merged(units: Sequence[Unit], taken: set[str]) -> tuple[Piece, list[tuple[Unit, int]]]:
    """One record of units of one response each, those of one origin side by side; each unit with its response in it."""
    by_origin: dict[tuple[int, int], list[Unit]] = {}
    for unit in units:
        by_origin.setdefault((id(unit.request), unit.origin), []).append(unit)
    leaders: dict[Hashable, int] = {}
    responses: list[Response] = []
    places: list[tuple[Unit, int]] = []
    parts: list[int] = []
    for of_origin in by_origin.values():
        before = len(responses)
        for unit in of_origin:
            twin = unit.twin or id(unit)
            if twin not in leaders:
                leaders[twin] = len(responses)
                responses.append(unit.records[0].responses[0])
            places.append((unit, leaders[twin]))
        parts.append(len(responses) - before)
    record = replace(units[0].records[0], responses=tuple(responses))
    return _named(record, tuple(part for part in parts if part), taken), places


def _named(record: Record, parts: tuple[int, ...], taken: set[str]) -> Piece:
    """The piece under its own id, or a new one where several records became one or another piece has that id."""
    stem = record.id if len(parts) == 1 else "shared"
    name = stem
    number = count(len(taken))
    while name in taken:
        name = f"{stem}-{next(number)}"
    taken.add(name)
    return Piece(record if name == record.id else replace(record, id=name), parts)


def judged(reward: Reward, pieces: Sequence[Piece]) -> list[Row]:
    """A row for each response of the pieces, in order, whatever the reward does.

    When it raises, what came as a record of its own is judged as one again, each alone, so that a row that cannot be
    judged takes no more with it than it would have offline. A reward that breaks the contract gives ``FAILED`` rows.
    """
    records = [piece.record for piece in pieces]
    try:
        with torch.no_grad():
            return list(rows_of(score(reward, records), records))
    except ContractError as error:
        return [abstention(Status.FAILED, str(error)) for record in records for _ in record.responses]
    except Exception:  # noqa: BLE001 - whatever a reward raises is a failure of rows, not of the server
        return [row for piece in pieces for record in _apart(piece) for row in _alone(reward, record)]


def _apart(piece: Piece) -> Iterator[Record]:
    """The records that a piece was made of."""
    first = 0
    for size in piece.parts:
        yield replace(piece.record, responses=piece.record.responses[first : first + size])
        first += size


def _alone(reward: Reward, record: Record) -> list[Row]:
    try:
        return list(rows_of(score_each(reward, [record]), [record]))
    except ContractError as error:
        return [abstention(Status.FAILED, str(error))] * len(record.responses)
