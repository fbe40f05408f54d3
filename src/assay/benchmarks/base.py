"""What audits and benchmarks are made of: the pairs that feedback implies, clusters of records, scoring in batches."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from assay import metrics
from assay.media import Image, MediaError, Part, Text
from assay.metrics import Floats, Ints
from assay.records import (
    Critique,
    Feedback,
    Preference,
    Ranking,
    Rating,
    Record,
    SpanLabels,
    StepLabels,
)
from assay.records.pairs import settled
from assay.rewards.base import Reward, spec_of
from assay.rewards.batches import score_each
from assay.scores import Scores

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Better and worse responses, as rows of the flat scores of the same records; every array is ``[pairs]``.

    ``probability`` is the raters' own that ``better`` wins; ``ties`` counts the comparisons raters left undecided,
    which are no pairs.
    """

    better: Ints
    worse: Ints
    record: Ints
    weight: Floats
    probability: Floats
    ties: int = 0

    def __len__(self) -> int:
        return self.better.size

    def margins(self, values: Floats) -> Floats:
        """``[pairs]``: score of the better less score of the worse, from flat scores ``[responses]``."""
        return values[self.better] - values[self.worse]

    def outcomes(self, values: Floats) -> Floats:
        """``[pairs]``: 1 right, 0.5 tie, 0 wrong, NaN abstained."""
        return metrics.pair_outcomes(values[self.better], values[self.worse])


def pairs_of(records: Sequence[Record], *, per_record: bool = False) -> Pairs:
    """All pairs that preferences, rankings and ratings imply.

    A ranking gives a pair for every two responses of unequal rank, ratings for every two that one rater rated unequally
    under one criterion; single raters only where there is no verdict of all (`assay.records.pairs.settled`). With
    ``per_record`` the pairs of a record share a weight of 1; otherwise each pair weighs 1.

    Raises:
        ValueError: feedback names a response that its record does not have.
    """
    rows: list[tuple[int, int, int, float]] = []
    offset, ties = 0, 0
    for number, record in enumerate(records):
        for better, worse, probability in _compared(record):
            if better == worse or probability == 0.5:
                ties += 1
            elif probability > 0.5:
                rows.append((offset + better, offset + worse, number, probability))
            else:
                rows.append((offset + worse, offset + better, number, 1 - probability))
        offset += len(record.responses)
    better, worse, number = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
    share = 1 / np.bincount(number)[number] if per_record and rows else np.ones(len(rows))
    probability = np.array([row[3] for row in rows], dtype=np.float64)
    return Pairs(better, worse, number, share, probability, ties)


def _compared(record: Record) -> Iterator[tuple[int, int, float]]:
    ratings: dict[tuple[str | None, str | None], list[Rating]] = {}
    for item in settled(record.feedback):
        match item:
            case Preference():
                _check(record, item.better, item.worse)
                yield item.better, item.worse, 0.5 if item.tie else item.probability
            case Ranking():
                _check(record, len(item.ranks) - 1)
                known = [(i, rank) for i, rank in enumerate(item.ranks) if rank is not None]
                for place, (first, a) in enumerate(known):
                    yield from ((first, second, _won(b, a)) for second, b in known[place + 1 :])
            case Rating():
                _check(record, item.response)
                ratings.setdefault((item.rater, item.criterion), []).append(item)
            case _:
                pass
    for group in ratings.values():
        for place, first in enumerate(group):
            others = [other for other in group[place + 1 :] if other.response != first.response]
            yield from ((first.response, other.response, _won(first.value, other.value)) for other in others)


def _won(first: float, second: float) -> float:
    return 1.0 if first > second else 0.0 if first < second else 0.5


def _check(record: Record, *responses: int) -> None:
    for response in responses:
        if not 0 <= response < len(record.responses):
            raise ValueError(
                f"record {record.id!r} has {len(record.responses)} responses, its feedback names number {response}"
            )


def clusters(records: Sequence[Record]) -> Ints:
    """``[records]``: which records are not independent of each other, as numbers of clusters.

    Records that share a medium of the prompt belong together (also through others); without media in the prompt,
    records with the same prompt text do.
    """
    parent = list(range(len(records)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first: dict[Hashable, int] = {}
    for number, record in enumerate(records):
        for key in _prompt_keys(record):
            parent[root(number)] = root(first.setdefault(key, number))
    roots = [root(number) for number in range(len(records))]
    return np.unique(np.array(roots, dtype=np.int64), return_inverse=True)[1].reshape(-1).astype(np.int64)


def _prompt_keys(record: Record) -> list[Hashable]:
    parts = [part for message in record.prompt for part in message.parts]
    media = [part for part in parts if not isinstance(part, Text)]
    if media:
        return [_medium_key(part) for part in media]
    return ["\x00".join(f"{message.role}\x01{message.text}" for message in record.prompt)]


def _medium_key(part: Part) -> Hashable:
    if isinstance(part, Image) and part.tensor is not None:
        return ("tensor", id(part.tensor))
    if isinstance(part, Image):
        try:
            return part.content_hash
        except (MediaError, OSError):
            return ("unreadable", str(part.path))
    return part


def values_of(reward: Reward, scores: Scores) -> Floats:
    """``[responses]`` float64, higher better: scores of a reward whose lower values are better are negated."""
    values = metrics.floats(scores.values)
    return -values if spec_of(reward).better == "lower" else values


def score_in_batches(
    reward: Reward, records: Sequence[Record], *, size: int = 256, advance: Advance | None = None
) -> Scores:
    """Scores of all records, ``size`` records a call, without gradient. ``advance`` is told how many are done.

    A record on which the reward raises abstains with a typed status (see `rewards.batches.score_each`).
    """
    parts: list[Scores] = []
    for start in range(0, len(records), size):
        batch = records[start : start + size]
        parts.append(score_each(reward, batch))
        if advance is not None:
            advance(len(batch))
    return Scores.concatenate(parts)


def shuffled(records: Sequence[Record], seed: int) -> tuple[list[Record], list[list[int]]]:
    """The records with each one's responses in a random order, feedback renumbered, and the orders used.

    ``order[r][k]`` is the original index of the response that is now number k of record r.
    """
    rng = random.Random(seed)
    orders: list[list[int]] = []
    for record in records:
        order = list(range(len(record.responses)))
        rng.shuffle(order)
        orders.append(order)
    return [reordered(record, order) for record, order in zip(records, orders, strict=True)], orders


def reordered(record: Record, order: Sequence[int]) -> Record:
    """The record with response ``order[k]`` as number k, and its feedback renumbered."""
    place = {old: new for new, old in enumerate(order)}
    return replace(
        record,
        responses=tuple(record.responses[old] for old in order),
        feedback=tuple(_renumbered(item, place, order) for item in record.feedback),
    )


def _renumbered(item: Feedback, place: dict[int, int], order: Sequence[int]) -> Feedback:
    match item:
        case Preference():
            return replace(item, better=place[item.better], worse=place[item.worse])
        case Ranking():
            padded = (*item.ranks, *(None,) * (len(order) - len(item.ranks)))
            return replace(item, ranks=tuple(padded[old] for old in order))
        case Rating() | StepLabels() | SpanLabels() | Critique():
            return replace(item, response=place[item.response])
