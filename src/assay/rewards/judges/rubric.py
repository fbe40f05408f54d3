"""Rubric judges: criteria with weights and scales, the same for all records or each record's own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast, final

from assay.models.asking import Cost
from assay.records import Record
from assay.rewards.base import name_of
from assay.rewards.judges.pointwise import answered, reference_of
from assay.rewards.judges.prompts import AT_ONCE, RUBRIC, JudgePrompt
from assay.rewards.judges.together import Questions, Together
from assay.rewards.judges.verdicts import YES_NO, Question, Scale, Verdict, Way, asked_of, points, rows_of, total
from assay.scores import Scores, Status
from assay.spec import Spec


@final
@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing to look at: its name, what it says, its weight, and the scale it is judged on.

    Raises:
        ValueError: a weight that is not above 0, or nothing said.
    """

    name: str
    text: str
    weight: float = 1.0
    scale: Scale = field(default_factory=points)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0) or not self.text.strip():
            raise ValueError(f"criterion {self.name!r}: a weight above 0 and a text, got {self.weight}, {self.text!r}")

    def share(self, value: float) -> float:
        """A value of its scale as 0..1."""
        return (value - self.scale.low) / (self.scale.high - self.scale.low)


Criteria: TypeAlias = Callable[[Any], Sequence[Criterion]]
"""A record's context column to its criteria.

Raises:
    ValueError: it holds none, or what cannot be read.
"""

_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])?\s*(.+?)\s*[:(,]\s*(\d+(?:\.\d+)?)\s*(?:points?|pts?|점)\s*\)?\.?\s*$", re.I)


def in_points(column: Any) -> tuple[Criterion, ...]:
    """Criteria with points, each met or not: lines ``- text: 3 points``, or a list of mappings of ``text`` (or
    ``criterion``) and ``points`` (or ``weight``).

    Raises:
        ValueError: nothing of that kind, or a line that is none.
    """
    if isinstance(column, str):
        lines = [line for line in column.splitlines() if line.strip()]
        found = [_ITEM.match(line) for line in lines]
        if bad := [line for line, match in zip(lines, found, strict=True) if match is None]:
            raise ValueError(f"{bad[0].strip()!r} is no criterion: write '- text: 3 points'")
        rows = [(match[1], float(match[2])) for match in found if match is not None]
    elif isinstance(column, Sequence):
        rows = [_row(each) for each in cast("Sequence[object]", column)]
    else:
        raise ValueError(f"a rubric is lines or a list, not a {type(column).__name__}")
    if not rows:
        raise ValueError("a rubric without criteria")
    return tuple(Criterion(str(number), text, worth, YES_NO) for number, (text, worth) in enumerate(rows, start=1))


def _row(given: object) -> tuple[str, float]:
    row = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}
    text = row.get("text", row.get("criterion"))
    worth = row.get("points", row.get("weight"))
    if not isinstance(text, str) or isinstance(worth, bool) or not isinstance(worth, int | float):
        raise ValueError(f"{given!r} is no criterion: it needs a text and points")
    return text, float(worth)


@final
@dataclass(frozen=True)
class _Rubric:
    way: Way
    criteria: tuple[Criterion, ...]
    column: str | None
    read: Criteria
    reference: str | None
    prompt: JudgePrompt
    seed: int
    together: bool = False

    @property
    def spec(self) -> Spec:
        return Spec(
            modalities=self.way.modalities,
            low=0.0,
            high=1.0,
            unit="share",
            deterministic=self.way.deterministic,
            needs=tuple(name for name in (self.column, self.reference) if name is not None),
        )

    def __call__(self, records: Sequence[Record], /) -> Scores:
        asked = [self._questions(record, place) for record in records for place in range(len(record.responses))]
        rows = self._told(asked)
        values = {
            criterion.name: [verdicts[place].value if given else math.nan for given, verdicts in rows]
            for place, criterion in enumerate(self.criteria)
        }
        return rows_of(records, [_summed(criteria, verdicts, self.together) for criteria, verdicts in rows], values)

    def _told(
        self, asked: Sequence[tuple[tuple[Criterion, ...], list[Question | Verdict]]]
    ) -> list[tuple[tuple[Criterion, ...], list[Verdict]]]:
        """The verdicts on the criteria of each response, each asked about by itself or all in one call."""
        if not self.together:
            told = iter(answered(self.way, [question for _, questions in asked for question in questions]))
            return [(criteria, [next(told) for _ in questions]) for criteria, questions in asked]
        assert isinstance(self.way, Together)
        cells = [(criteria, _at_once(questions, self.prompt)) for criteria, questions in asked]
        found = iter(self.way.together([cell for _, cell in cells if isinstance(cell, Questions)]))
        return [(criteria, next(found) if isinstance(cell, Questions) else cell) for criteria, cell in cells]

    def _questions(self, record: Record, place: int) -> tuple[tuple[Criterion, ...], list[Question | Verdict]]:
        known = reference_of(record, self.reference)
        if isinstance(known, Verdict):
            return (), [known]
        try:
            criteria = self.criteria or tuple(self._own(record))
        except (ValueError, LookupError) as error:
            status = Status.MISSING_CONTEXT if isinstance(error, LookupError) else Status.INVALID
            return (), [Verdict.missing(status, str(error.args[0]))]
        parts, fence = asked_of(record, {"": record.responses[place]}, self.prompt, reference=known, seed=self.seed)
        return criteria, [
            Question(parts, self.prompt, criterion.scale, fence.code, criterion.text) for criterion in criteria
        ]

    def _own(self, record: Record) -> Sequence[Criterion]:
        assert self.column is not None
        if record.context.get(self.column) is None:
            raise LookupError(f"the record has no {self.column!r}, the criteria of this judge")
        return self.read(record.context[self.column])

    def __repr__(self) -> str:
        what = repr(self.criteria) if self.column is None else f"column={self.column!r}, read={name_of(self.read)}"
        rest = f"reference={self.reference!r}, prompt={self.prompt!r}, seed={self.seed}"
        rest += ", together=True" if self.together else ""
        return f"rubric({self.way!r}, {what}, {rest})"


def rubric(
    way: Way,
    criteria: Sequence[Criterion],
    *,
    reference: str | None = None,
    prompt: JudgePrompt | None = None,
    seed: int = 0,
    together: bool = False,
) -> _Rubric:
    """A reward: how far a response meets the criteria, each asked by itself behind the same quotation:

        r = Σ_c w_c (v_c - low_c) / (high_c - low_c) / Σ_c w_c        in 0..1

    Each criterion's value, on its own scale, is the attribute of its name. A response that lacks the verdict on one
    criterion abstains: nothing is summed around a hole.

    With ``together`` all criteria are asked about in one call, whose answer gives each its own verdict under its own
    code (`by_votes`): one call in the place of as many as there are criteria, at the price that a verdict may lean on
    those written before it. What cannot be read of one criterion is its own loss, told by its name; the others stay.

    Raises:
        ValueError: no criterion, two of one name, or ``together`` with a way that reads odds.
    """
    if not criteria or len({each.name for each in criteria}) < len(criteria):
        raise ValueError("a rubric needs criteria of different names")
    asks = prompt or (AT_ONCE if together else RUBRIC)
    return _Rubric(_way(way, together), tuple(criteria), None, in_points, reference, asks, seed, together)


def own_rubric(
    way: Way,
    column: str = "rubric",
    *,
    read: Criteria = in_points,
    reference: str | None = None,
    prompt: JudgePrompt | None = None,
    seed: int = 0,
    together: bool = False,
) -> _Rubric:
    """As `rubric`, with the criteria that each record brings in its context column ``column``, as `in_points` or your
    own ``read`` reads them: so is KOFFVQA graded (Kim and Jung, 2025, arXiv 2503.23730), whose points are ten times
    this value. Records have criteria of their own number, so there is no attribute for each."""
    asks = prompt or (AT_ONCE if together else RUBRIC)
    return _Rubric(_way(way, together), (), column, read, reference, asks, seed, together)


def _way(way: Way, together: bool) -> Way:
    if together and not isinstance(way, Together):
        raise ValueError(
            f"{way!r} reads the odds of one criterion's labels, so together is not for it: take by_votes, or leave "
            "together out (in this process the criteria share their prompt)"
        )
    return way


def _at_once(questions: Sequence[Question | Verdict], prompt: JudgePrompt) -> Questions | list[Verdict]:
    """Questions about one response as one; what is known of it without asking."""
    asked = [each for each in questions if isinstance(each, Question)]
    if len(asked) < len(questions):
        return [each for each in questions if isinstance(each, Verdict)]
    criteria = tuple([(each.criterion, each.scale) for each in asked])
    return Questions(asked[0].parts, asked[0].code, criteria, prompt)


def _lost(criteria: Sequence[Criterion], verdicts: Sequence[Verdict], cost: Cost) -> Verdict | None:
    """No verdict, for the first criterion without one; the others without are named with their status."""
    lost = [(place, each) for place, each in enumerate(verdicts) if each.status is not Status.OK]
    if not lost:
        return None
    first = lost[0][1]
    if not criteria:
        return Verdict.missing(first.status, first.message, cost)
    others = "".join(f"; criterion {criteria[place].name}: {each.status}" for place, each in lost[1:])
    return Verdict.missing(first.status, f"criterion {criteria[lost[0][0]].name}: {first.message}{others}", cost)


def _summed(criteria: Sequence[Criterion], verdicts: Sequence[Verdict], together: bool) -> Verdict:
    cost = total([verdict.cost for verdict in verdicts])
    if lost := _lost(criteria, verdicts, cost):
        return lost
    weight = math.fsum(criterion.weight for criterion in criteria)
    met = math.fsum(c.weight * c.share(v.value) for c, v in zip(criteria, verdicts, strict=True))
    said = [v.text if together else f"{c.name}: {v.text}" for c, v in zip(criteria, verdicts, strict=True) if v.text]
    masses, votes = [v.mass for v in verdicts], [v.read for v in verdicts]
    return Verdict(min(met / weight, 1.0), text="\n\n".join(said), mass=min(masses), read=min(votes), cost=cost)
