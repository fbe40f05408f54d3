"""Which question comes next: where the reward is least sure, else what fewest have answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import TypeAlias, final

import numpy as np

from assay.view.store import Array
from assay.view.table import Table
from assay.view.tasks import Answer, Question

_NOTHING: Mapping[str, int] = MappingProxyType({})
Sure: TypeAlias = Callable[[Array, Array], float]
"""Values and stds ``[responses]`` of a question to how sure the reward is of it; NaN where it cannot say."""


@final
@dataclass(frozen=True)
class Choice:
    """Questions in the order they are asked in: ``sure`` (lowest first, NaN last) where a reward was asked, else by how
    many answers they have. Each is asked of at most ``overlap`` raters (None: of all)."""

    questions: tuple[Question, ...]
    sure: Mapping[str, float] | None = None
    overlap: int | None = None

    def ordered(self) -> tuple[Question, ...]:
        """The questions, the least sure first; of equal ones the first in the data."""
        if self.sure is None:
            return self.questions
        known = self.sure

        def key(question: Question) -> float:
            value = known.get(question.key, math.nan)
            return math.inf if math.isnan(value) else value

        return tuple(sorted(self.questions, key=key))

    def next(
        self, rater: str, standing: Mapping[str, Mapping[str, Answer]], held: Mapping[str, int] = _NOTHING
    ) -> Question | None:
        """The next question for a rater: one not answered by them; None when nothing is left to ask them.

        Skips count as answers of the one who skipped, and leave the question to others. ``held`` says how many others
        have a question before them; with ``overlap`` it is left to them.
        """
        best: tuple[int, Question] | None = None
        for question in self.questions:
            said = standing.get(question.key, {})
            given = sum(not answer.get("skip") for answer in said.values())
            if rater in said or (self.overlap is not None and given + held.get(question.key, 0) >= self.overlap):
                continue
            if self.sure is not None or given == 0:
                return question
            if best is None or given < best[0]:
                best = given, question
        return None if best is None else best[1]


def choice(
    questions: Sequence[Question],
    *,
    table: Table | None = None,
    names: Sequence[str] = (),
    sure: Sure | None = None,
    overlap: int | None = None,
) -> Choice:
    """The order of questions; with ``table``, scores of the records called ``names``, by how ``sure`` the reward is."""
    if table is None or sure is None:
        return Choice(tuple(questions), overlap=overlap)
    places = table.places(names)
    starts, ends, value = table.starts, table.ends(), table.column("value")
    std = table.column("std") if "std" in table.numbers else None
    found: dict[str, float] = {}
    for question in questions:
        place = int(places[question.record])
        first, length = (int(starts[place]), int(ends[place]) - int(starts[place])) if place >= 0 else (0, 0)
        if max(question.responses) >= length:
            continue
        rows = first + np.array(question.responses)
        stds = np.full(len(rows), np.nan) if std is None else np.asarray(std[rows])
        found[question.key] = sure(np.asarray(value[rows]), stds)
    ordered = Choice(tuple(questions), found, overlap).ordered()
    return Choice(ordered, found, overlap)


def by_margin(values: Array, stds: Array) -> float:
    """The smallest ``|a - b| / sqrt(std_a^2 + std_b^2)`` of two responses; without stds the smallest ``|a - b|``."""
    spread = np.where(np.isnan(stds), 0.0, stds)
    found = [
        abs(values[a] - values[b]) / (math.hypot(spread[a], spread[b]) or 1.0)
        for a, b in combinations(range(len(values)), 2)
    ]
    known = [float(margin) for margin in found if not math.isnan(margin)]
    return min(known, default=math.nan)


def by_std(values: Array, stds: Array) -> float:
    """Minus the largest std; without stds as `by_margin`."""
    return by_margin(values, stds) if bool(np.isnan(stds).all()) else -float(np.nanmax(stds))
