"""Feedback as index tensors over the flat responses of a batch: pairs, lists, ratings, and labels of steps and spans.

A record gives each shape from its most direct feedback and from no other, so that nothing is counted twice:
pairs from preferences, else rankings, else ratings; lists from rankings, else ratings, else preferences; all others
from their own kind alone. What is compared always comes from one rater and one criterion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from assay.records import Feedback, Preference, Ranking, Rating, Record, SpanLabels, StepLabels
from assay.records.pairs import settled

Weigh: TypeAlias = Callable[[Record, Feedback], float]
Select: TypeAlias = Callable[[Feedback], bool]
Reduce: TypeAlias = Callable[[Tensor], Tensor]
"""Labels ``[1, steps]`` to ``[1]``: the functions of `models.heads.aggregate`."""

NO_RANK = torch.iinfo(torch.int64).max


@dataclass(frozen=True, slots=True)
class Pairs:
    """``[pairs]`` each: ``better`` and ``worse`` index the flat responses; the rest is what an objective may name.

    ``margin`` in the source's unit (NaN where none was given), ``probability`` that ``better`` wins, ``weight`` >= 0.
    ``criterion`` is what each was judged by; ``silent`` the number of records without any pair.
    """

    better: Tensor
    worse: Tensor
    margin: Tensor
    probability: Tensor
    tie: Tensor
    weight: Tensor
    criterion: tuple[str | None, ...]
    silent: int


@dataclass(frozen=True, slots=True)
class Lists:
    """``[lists, width]`` each: ``index`` into the flat responses, ``ranks`` (0 best), ``mask`` (False: padding).

    Responses without a rank are left out. ``weight`` is ``[lists]``; ``silent`` counts records without any list.
    """

    index: Tensor
    ranks: Tensor
    mask: Tensor
    weight: Tensor
    criterion: tuple[str | None, ...]
    silent: int


@dataclass(frozen=True, slots=True)
class Ratings:
    """``[ratings]`` each: ``index`` into the flat responses, ``targets`` in the rater's unit, ``weight``."""

    index: Tensor
    targets: Tensor
    weight: Tensor
    criterion: tuple[str | None, ...]
    silent: int


@dataclass(frozen=True, slots=True)
class Marks:
    """What raters said of parts of responses: ``index`` ``[rows]`` into the flat responses, and of each row the marks.

    ``weight`` is ``[rows]``; ``silent`` counts records without any mark.
    """

    index: Tensor
    marks: tuple[StepLabels | SpanLabels, ...]
    weight: Tensor
    silent: int


def everything(item: Feedback) -> bool:
    """Selects all feedback."""
    return True


def of_criterion(criterion: str) -> Select:
    """Selects the feedback of one criterion."""
    return lambda item: item.criterion == criterion


def alike(record: Record, item: Feedback) -> float:
    """Gives every piece of feedback the weight 1."""
    return 1.0


def pairs_of(records: Sequence[Record], *, select: Select = everything, weigh: Weigh = alike) -> Pairs:
    """The pairs of a batch.

    A ranking or a set of ratings gives a pair for every two responses it sets apart. Equal ranks give none: a shared
    rank does not say that the two are equally good. Only a preference can state a tie.
    """
    rows: list[tuple[int, int, float, float, bool, float, str | None]] = []
    silent = 0
    for start, record in with_offsets(records):
        found = [
            (
                start + p.better,
                start + p.worse,
                math.nan if p.margin is None else p.margin,
                p.probability,
                p.tie,
                weigh(record, source),
                source.criterion,
            )
            for p, source in _preferences(record, select)
        ]
        silent += not found
        rows += found
    better, worse, margin, probability, tie, weight, criterion = zip(*rows, strict=True) if rows else ((),) * 7
    return Pairs(
        better=torch.tensor(better, dtype=torch.long),
        worse=torch.tensor(worse, dtype=torch.long),
        margin=torch.tensor(margin, dtype=torch.float32),
        probability=torch.tensor(probability, dtype=torch.float32),
        tie=torch.tensor(tie, dtype=torch.bool),
        weight=torch.tensor(weight, dtype=torch.float32),
        criterion=criterion,
        silent=silent,
    )


def lists_of(records: Sequence[Record], *, select: Select = everything, weigh: Weigh = alike) -> Lists:
    """The lists of a batch, padded to the longest.

    Ratings of one rater and criterion are ranked, equal values tied. Preferences that share their better response make
    one list, that response above the others; ties and soft labels make no list.
    """
    rows: list[tuple[list[tuple[int, int]], float, str | None]] = []
    silent = 0
    for start, record in with_offsets(records):
        found = [
            ([(start + response, rank) for response, rank in ranked], weigh(record, source), source.criterion)
            for ranked, source in _ranked(record, select)
            if len({rank for _, rank in ranked}) > 1
        ]
        silent += not found
        rows += found
    width = max((len(cells) for cells, _, _ in rows), default=2)
    index = torch.zeros(len(rows), width, dtype=torch.long)
    ranks = torch.full((len(rows), width), NO_RANK, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for row, (cells, _, _) in enumerate(rows):
        index[row, : len(cells)] = torch.tensor([response for response, _ in cells])
        ranks[row, : len(cells)] = torch.tensor([rank for _, rank in cells])
        mask[row, : len(cells)] = True
    weight = torch.tensor([weight for _, weight, _ in rows], dtype=torch.float32)
    return Lists(index, ranks, mask, weight, tuple(criterion for _, _, criterion in rows), silent)


def ratings_of(records: Sequence[Record], *, select: Select = everything, weigh: Weigh = alike) -> Ratings:
    """The ratings of a batch, each on its own."""
    return _rated(records, lambda item: item.value if isinstance(item, Rating) else None, select, weigh)


def outcomes_of(
    records: Sequence[Record], reduce: Reduce, *, select: Select = everything, weigh: Weigh = alike
) -> Ratings:
    """One rating a labelled response: what ``reduce`` makes of the labels of its steps; unlabelled steps left out."""

    def value(item: Feedback) -> float | None:
        if not isinstance(item, StepLabels):
            return None
        labels = [label for label in item.labels if label is not None]
        return float(reduce(torch.tensor([labels]))) if labels else None

    return _rated(records, value, select, weigh)


def step_labels_of(records: Sequence[Record], *, select: Select = everything, weigh: Weigh = alike) -> Marks:
    """The step labels of a batch: a row for each rater's labels of a response."""
    return _marked(records, StepLabels, select, weigh)


def span_labels_of(records: Sequence[Record], *, select: Select = everything, weigh: Weigh = alike) -> Marks:
    """The span labels of a batch: a row for each rater's spans of a response."""
    return _marked(records, SpanLabels, select, weigh)


def _marked(records: Sequence[Record], kind: type[StepLabels | SpanLabels], select: Select, weigh: Weigh) -> Marks:
    rows: list[tuple[int, StepLabels | SpanLabels, float]] = []
    silent = 0
    for start, record in with_offsets(records):
        found = [
            (start + item.response, item, weigh(record, item))
            for item in record.feedback
            if isinstance(item, kind) and select(item)
        ]
        silent += not found
        rows += found
    return Marks(
        index=torch.tensor([row[0] for row in rows], dtype=torch.long),
        marks=tuple(row[1] for row in rows),
        weight=torch.tensor([row[2] for row in rows], dtype=torch.float32),
        silent=silent,
    )


def _rated(
    records: Sequence[Record], value: Callable[[Feedback], float | None], select: Select, weigh: Weigh
) -> Ratings:
    rows: list[tuple[int, float, float, str | None]] = []
    silent = 0
    for start, record in with_offsets(records):
        found = [
            (start + item.response, target, weigh(record, item), item.criterion)
            for item in record.feedback
            if isinstance(item, Rating | StepLabels) and select(item) and (target := value(item)) is not None
        ]
        silent += not found
        rows += found
    return Ratings(
        index=torch.tensor([row[0] for row in rows], dtype=torch.long),
        targets=torch.tensor([row[1] for row in rows], dtype=torch.float32),
        weight=torch.tensor([row[2] for row in rows], dtype=torch.float32),
        criterion=tuple(row[3] for row in rows),
        silent=silent,
    )


def with_offsets(records: Sequence[Record]) -> Iterator[tuple[int, Record]]:
    """Each record with the position of its first response in the flat batch."""
    start = 0
    for record in records:
        yield start, record
        start += len(record.responses)


def _preferences(record: Record, select: Select) -> list[tuple[Preference, Feedback]]:
    """Preferences with the feedback they come from, from the most direct kind the record has."""
    chosen = settled(item for item in record.feedback if select(item))
    stated: list[tuple[Preference, Feedback]] = [(item, item) for item in chosen if isinstance(item, Preference)]
    if stated:
        return stated
    return [
        (Preference(first, second) if a < b else Preference(second, first), source)
        for ranked, source in _rankings(chosen) or _ranked_ratings(chosen)
        for (first, a), (second, b) in combinations(ranked, 2)
        if a != b
    ]


def _ranked(record: Record, select: Select) -> list[tuple[list[tuple[int, int]], Feedback]]:
    chosen = settled(item for item in record.feedback if select(item))
    return _rankings(chosen) or _ranked_ratings(chosen) or _ranked_preferences(chosen)


def _rankings(chosen: Sequence[Feedback]) -> list[tuple[list[tuple[int, int]], Feedback]]:
    return [
        ([(response, rank) for response, rank in enumerate(item.ranks) if rank is not None], item)
        for item in chosen
        if isinstance(item, Ranking)
    ]


def _ranked_ratings(chosen: Sequence[Feedback]) -> list[tuple[list[tuple[int, int]], Feedback]]:
    ratings = [item for item in chosen if isinstance(item, Rating)]
    found: list[tuple[list[tuple[int, int]], Feedback]] = []
    for group in _grouped(ratings, lambda item: (item.rater, item.criterion)):
        order = {value: rank for rank, value in enumerate(sorted({item.value for item in group}, reverse=True))}
        found.append(([(item.response, order[item.value]) for item in group], group[0]))
    return found


def _ranked_preferences(chosen: Sequence[Feedback]) -> list[tuple[list[tuple[int, int]], Feedback]]:
    certain = [item for item in chosen if isinstance(item, Preference) and not item.tie and item.probability == 1.0]
    groups = _grouped(certain, lambda item: (item.rater, item.criterion, item.better))
    return [
        ([(group[0].better, 0), *((worse, 1) for worse in dict.fromkeys(item.worse for item in group))], group[0])
        for group in groups
    ]


Item = TypeVar("Item")


def _grouped(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())
