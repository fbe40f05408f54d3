"""What is wrong or suspicious in records before anything is spent on them."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from assay.media import Text, Video
from assay.records.attachments import kind_of
from assay.records.pairs import preferences_of
from assay.records.record import Preference, Ranking, Rating, Record, SpanLabels, StepLabels, content_id

_MOST_FINDINGS = 1000
_LONE_POSITION = 0.99


class DuplicateIdsError(ValueError):
    """Records that share an id; ``duplicates``: at most 1,000 (id, first position, later position), from 0."""

    def __init__(self, duplicates: Sequence[tuple[str, int, int]]) -> None:
        listed = "; ".join(f"{name!r} at {first} and {later}" for name, first, later in duplicates[:20])
        more = f"; and {len(duplicates) - 20} more" if len(duplicates) > 20 else ""
        super().__init__(f"duplicate ids, nothing was done: {listed}{more}; give every record its own id")
        self.duplicates = tuple(duplicates)


class SeenIds:
    """Ids seen so far, with their positions, in 16 bytes each at most 3/4 full (a 64-bit hash and a position).

    Two different ids have the same hash with probability 3e-6 among 10 million (n²/2^65).
    """

    def __init__(self) -> None:
        self._hashes = array("Q", bytes(8 * 1024))
        self._positions = array("q", [-1]) * 1024
        self._count = 0

    def add(self, name: str, position: int) -> int | None:
        """Note an id; the position of the same id if it was seen before."""
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if 4 * self._count >= 3 * len(self._hashes):
            self._grow()
        return self._put(int.from_bytes(digest, "little"), position)

    def _put(self, value: int, position: int) -> int | None:
        mask = len(self._hashes) - 1
        slot = value & mask
        while self._positions[slot] >= 0:
            if self._hashes[slot] == value:
                return self._positions[slot]
            slot = (slot + 1) & mask
        self._hashes[slot], self._positions[slot] = value, position
        self._count += 1
        return None

    def _grow(self) -> None:
        hashes, positions = self._hashes, self._positions
        size = 2 * len(hashes)
        self._hashes, self._positions, self._count = array("Q", bytes(8 * size)), array("q", [-1]) * size, 0
        for value, position in zip(hashes, positions, strict=True):
            if position >= 0:
                self._put(value, position)


def refuse_duplicates(records: Iterable[Record]) -> Iterator[Record]:
    """The same records, passed through; go through them before work starts.

    Raises:
        DuplicateIdsError: after the last record, if some share an id; the message lists both positions.
    """
    seen = SeenIds()
    duplicates: list[tuple[str, int, int]] = []
    for position, record in enumerate(records):
        first = seen.add(record.id, position)
        if first is not None and len(duplicates) < _MOST_FINDINGS:
            duplicates.append((record.id, first, position))
        yield record
    if duplicates:
        raise DuplicateIdsError(duplicates)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one record: ``code``, what, and where (position counted from 0)."""

    code: str
    record: str
    position: int
    message: str


@dataclass
class Report:
    """What `check` found. ``counts`` holds all findings by code, ``findings`` the first 1,000.

    ``first_is_best`` is the share of preferences whose better response comes before the worse one; ``directions`` says
    in words how each kind of feedback was read. ``repeated`` counts records whose prompt and responses are those of an
    earlier one. ``notes`` are suspicions about the whole.
    """

    records: int = 0
    responses: int = 0
    modalities: dict[str, int] = field(default_factory=dict[str, int])
    feedback: dict[str, int] = field(default_factory=dict[str, int])
    counts: dict[str, int] = field(default_factory=dict[str, int])
    findings: list[Finding] = field(default_factory=list[Finding])
    preferences: int = 0
    repeated: int = 0
    first_is_best: float | None = None
    longer_is_better: float | None = None
    directions: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether no record has anything wrong."""
        return not self.counts

    def to_json(self) -> dict[str, Any]:
        """The report as a dictionary that JSON can hold."""
        return asdict(self)


def check(records: Iterable[Record], *, media: bool = True) -> Report:
    """Look through records, streamed: duplicate ids, missing or empty media files, equal answers with a preference
    between them, empty prompts and responses, feedback on responses or steps that are not there, which way ranks
    and preferences point, and whole records that repeat. Memory: some 80 bytes a record for ids and contents, nothing
    else grows. ``media=False`` leaves the
    files alone.
    """
    counter = _Counter()
    seen, contents = SeenIds(), SeenIds()
    for position, record in enumerate(records):
        counter.take(record, position)
        counter.result.repeated += contents.add(content_id(record.prompt, record.responses), position) is not None
        first = seen.add(record.id, position)
        if first is not None:
            counter.find("duplicate_id", record, position, f"also at position {first}")
        for code, message in _wrong(record, media):
            counter.find(code, record, position, message)
    return counter.report()


class _Counter:
    def __init__(self) -> None:
        self.result = Report()
        self.counts: Counter[str] = Counter()
        self.modalities: Counter[str] = Counter()
        self.feedback: Counter[str] = Counter()
        self.first = self.longer = self.unequal = self.from_one = 0

    def find(self, code: str, record: Record, position: int, message: str) -> None:
        self.counts[code] += 1
        if len(self.result.findings) < _MOST_FINDINGS:
            self.result.findings.append(Finding(code, record.id, position, message))

    def take(self, record: Record, position: int) -> None:
        self.result.records = position + 1
        self.result.responses += len(record.responses)
        kinds = {kind_of(part) or "text" for part in record.parts()}
        self.modalities["+".join(sorted(kinds)) or "nothing"] += 1
        self.feedback.update(type(feedback).__name__ for feedback in record.feedback)
        for feedback in record.feedback:
            if isinstance(feedback, Ranking):
                self.from_one += min((rank for rank in feedback.ranks if rank is not None), default=0) == 1
        count = len(record.responses)
        for preference in preferences_of(record):
            if preference.tie or not (0 <= preference.better < count and 0 <= preference.worse < count):
                continue
            self.result.preferences += 1
            self.first += preference.better < preference.worse
            better, worse = (len(record.responses[n].text) for n in (preference.better, preference.worse))
            self.unequal += better != worse
            self.longer += better > worse

    def report(self) -> Report:
        result = self.result
        result.counts, result.modalities = dict(self.counts), dict(self.modalities)
        result.feedback = dict(self.feedback)
        result.directions = [_DIRECTIONS[name] for name in self.feedback if name in _DIRECTIONS]
        if self.unequal:
            result.longer_is_better = self.longer / self.unequal
        if self.from_one:
            result.notes.append(
                f"{self.from_one:,} rankings count from 1; a lower rank was read as better all the same"
            )
        if result.repeated:
            result.notes.append(
                f"{result.repeated:,} of {result.records:,} records repeat an earlier one: they count double in "
                "training, and must not stand on both sides of a split"
            )
        if result.preferences:
            result.first_is_best = self.first / result.preferences
            result.notes.extend(_suspicions(result.first_is_best, result.preferences))
        return result


_DIRECTIONS = {
    "Preference": "preference: `better` is preferred to `worse`; in chosen/rejected rows the chosen one is number 0",
    "Ranking": "ranking: rank 0 is best, equal ranks are tied",
    "Rating": "rating: higher is better",
    "StepLabels": "step labels: 1 is right, 0 is wrong",
}


def _suspicions(first: float, count: int) -> Iterator[str]:
    if count < 20:
        return
    if first >= _LONE_POSITION:
        yield (
            f"the better response comes first in {first:.1%} of {count:,} preferences: a judge that always says "
            "'first' would be right; shuffle the order before judging by position"
        )
    elif first <= 1 - _LONE_POSITION:
        yield (
            f"the better response comes last in {1 - first:.1%} of {count:,} preferences: if ranks count from the "
            "worst, or 1 was read as best, the direction is reversed"
        )


def _wrong(record: Record, media: bool) -> Iterator[tuple[str, str]]:
    if not record.responses:
        yield "no_responses", "no responses"
    if not any(message.parts or message.tool_calls for message in record.prompt):
        yield "empty_prompt", "the prompt holds nothing"
    for index, response in enumerate(record.responses):
        if not any(message.tool_calls or _holds_something(message.parts) for message in response.messages):
            yield "empty_response", f"response {index} holds nothing"
    yield from _wrong_feedback(record)
    for preference in preferences_of(record):
        pair = (preference.better, preference.worse)
        if pair[0] != pair[1] and max(pair) < len(record.responses) and not preference.tie:
            better, worse = (record.responses[index].messages for index in pair)
            if better is worse or better == worse:
                yield "equal_answers", f"responses {pair[0]} and {pair[1]} are equal, yet one is preferred"
    if media:
        yield from _wrong_media(record)


def _holds_something(parts: Sequence[Any]) -> bool:
    return any(not isinstance(part, Text) or part.text.strip() for part in parts)


def _wrong_feedback(record: Record) -> Iterator[tuple[str, str]]:
    count = len(record.responses)
    for feedback in record.feedback:
        name = type(feedback).__name__
        if isinstance(feedback, Ranking):
            if len(feedback.ranks) != count:
                yield "bad_feedback", f"{len(feedback.ranks)} ranks for {count} responses"
            continue
        indices = (feedback.better, feedback.worse) if isinstance(feedback, Preference) else (feedback.response,)
        if any(not 0 <= index < count for index in indices) or len(set(indices)) != len(indices):
            yield "bad_feedback", f"{name} of responses {', '.join(map(str, indices))}, but there are {count}"
            continue
        if isinstance(feedback, StepLabels):
            steps = len(record.responses[feedback.response].step_ends)
            if steps != len(feedback.labels):
                yield "bad_feedback", f"{len(feedback.labels)} step labels for {steps} steps"
        if isinstance(feedback, SpanLabels):
            length = len(record.responses[feedback.response].text)
            if any(not 0 <= span.start <= span.end <= length for span in feedback.spans):
                yield "bad_feedback", f"a span outside the {length} characters of response {feedback.response}"
        if isinstance(feedback, Rating) and feedback.value != feedback.value:
            yield "bad_feedback", f"the rating of response {feedback.response} is not a number"


def _wrong_media(record: Record) -> Iterator[tuple[str, str]]:
    for part in record.parts():
        if isinstance(part, Text) or (isinstance(part, Video) and part.frames):
            continue
        if part.path is not None:
            try:
                size = os.stat(part.path).st_size
            except OSError as error:
                yield "missing_media", f"{part.path}: {error.strerror}; check media_root"
                continue
            if size == 0:
                yield "empty_media", f"{part.path} has no bytes; fetch it again"
        elif part.data == b"":
            yield "empty_media", f"{kind_of(part)} of no bytes"
