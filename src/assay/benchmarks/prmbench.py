"""PRMBench: how well step scores tell right steps from planted errors (Song et al., 2025, arXiv 2501.03124)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from assay.records import Record, StepLabels
from assay.rewards.base import scores_of
from assay.scores import Scores, Status

ORIGINALS = "redundency"
"""The class (in the data's spelling) whose original solutions are the benchmark's correct samples."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Steps by what they are and what was said: right called right ``tp``, wrong called right ``fp``, wrong called
    wrong ``tn``, right called wrong ``fn``."""

    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.tn + other.tn, self.fn + other.fn)

    @property
    def steps(self) -> int:
        """All of them."""
        return self.tp + self.fp + self.tn + self.fn

    @property
    def f1(self) -> float:
        """``2 tp / (2 tp + fp + fn)``; NaN without right steps."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn) if self.tp + self.fn else math.nan

    @property
    def negative_f1(self) -> float:
        """``2 tn / (2 tn + fn + fp)``; NaN without wrong steps."""
        return _ratio(2 * self.tn, 2 * self.tn + self.fn + self.fp) if self.tn + self.fp else math.nan

    @property
    def score(self) -> float:
        """PRMScore, ``.5 f1 + .5 negative_f1``, 0..1; NaN where either is."""
        return 0.5 * self.f1 + 0.5 * self.negative_f1

    @property
    def accuracy(self) -> float:
        """Steps that were called what they are."""
        return _ratio(self.tp + self.tn, self.steps)


@dataclass(frozen=True, slots=True)
class Result:
    """What PRMBench reports, pooled over steps; rates in 0..1.

    ``total`` counts the modified solutions, ``by_class`` each kind of error (and ``multi_solutions``, which has none),
    ``originals`` the correct samples, which are not in the total. ``first_error_accuracy``: the first wrong step was
    called wrong. ``similarity``: mean difference of the shares called right in a modified solution and its original,
    0 for a reward that sees no error. A solution that is there twice (``idx`` and class) counts once; ``abstained``
    responses have no step scores and are left out.
    """

    total: Counts
    by_class: Mapping[str, Counts]
    originals: Counts
    first_error_accuracy: float
    first_error_by_class: Mapping[str, float]
    similarity: float
    judged: int
    abstained: int
    threshold: float

    @property
    def score(self) -> float:
        """PRMScore over all steps, 0..1."""
        return self.total.score

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers; NaN becomes None."""

        def told(counts: Counts) -> dict[str, Any]:
            rates = {"score": counts.score, "f1": counts.f1, "negative_f1": counts.negative_f1}
            known = {name: None if math.isnan(value) else value for name, value in rates.items()}
            return {"steps": counts.steps, "accuracy": counts.accuracy, **known}

        return {
            "total": told(self.total),
            "by_class": {name: told(counts) for name, counts in self.by_class.items()},
            "originals": told(self.originals) if self.originals.steps else None,
            "first_error_accuracy": _known(self.first_error_accuracy),
            "first_error_by_class": {name: _known(value) for name, value in self.first_error_by_class.items()},
            "similarity": _known(self.similarity),
            "judged": self.judged,
            "abstained": self.abstained,
            "threshold": self.threshold,
        }


@dataclass(frozen=True, slots=True)
class _Judged:
    """One solution: its class, whether it is an original, what its steps are and what they were called."""

    kind: str
    source: str
    original: bool
    right: tuple[bool, ...]
    said: tuple[bool, ...]

    @property
    def counts(self) -> Counts:
        found = list(zip(self.right, self.said, strict=True))
        return Counts(*(found.count(pair) for pair in ((True, True), (False, True), (False, False), (True, False))))

    @property
    def share(self) -> float:
        return sum(self.said) / len(self.said)

    @property
    def first_error(self) -> bool | None:
        return not self.said[self.right.index(False)] if False in self.right else None


def prmbench(scores: Scores, records: Sequence[Record], *, threshold: float = 0.5) -> Result:
    """The official figures from the step scores of records in the ``prmbench`` format; a step is called right when its
    score is above ``threshold``.

    Raises:
        ValueError: the scores have no steps, or another number of responses or steps than the records.
    """
    judged = list(_judged(scores, records, threshold))
    modified = [each for each in judged if not each.original]
    originals = [each for each in judged if each.original and each.kind == ORIGINALS]
    kinds = sorted({each.kind for each in modified})
    shares = {each.source: each.share for each in originals if each.share > 0}
    return Result(
        total=_total(modified),
        by_class={kind: _total([each for each in modified if each.kind == kind]) for kind in kinds},
        originals=_total(originals),
        first_error_accuracy=_first_errors(modified),
        first_error_by_class={kind: _first_errors([e for e in modified if e.kind == kind]) for kind in kinds},
        similarity=_mean([abs(each.share - shares[each.source]) for each in modified if each.source in shares]),
        judged=len(judged),
        abstained=sum(status is not Status.OK for status in scores.status),
        threshold=threshold,
    )


def fit_threshold(scores: Scores, records: Sequence[Record]) -> float:
    """The threshold with the best PRMScore on other data than is reported: halfway between two step scores, or .5.

    Raises as `prmbench`.
    """
    right: list[bool] = []
    values: list[float] = []
    for row, _, _, labels in _rows(scores, records):
        if scores.status[row] is Status.OK:
            right += [label >= 0.5 for label in labels]
            values += _steps(scores, row, len(labels))
    if not any(right) or all(right):
        return 0.5
    order = sorted(range(len(values)), key=values.__getitem__)
    wrong_below = right_below = 0
    wrong, best, chosen = right.count(False), -1.0, 0.5
    for place, index in enumerate(order):
        right_below += right[index]
        wrong_below += not right[index]
        following = values[order[place + 1]] if place + 1 < len(order) else math.inf
        if following == values[index]:
            continue
        found = Counts(len(right) - wrong - right_below, wrong - wrong_below, wrong_below, right_below).score
        if found > best:
            best, chosen = found, values[index] if math.isinf(following) else 0.5 * (values[index] + following)
    return chosen


def every_step(value: float) -> Any:
    """A reward that scores every marked step ``value``: 1 is the null that calls all steps right, 0 all wrong."""

    def reward(records: Sequence[Record], /) -> Scores:
        responses = [response for record in records for response in record.responses]
        steps = tuple(torch.full((len(response.step_ends),), value) for response in responses)
        return scores_of(records, [value] * len(responses), steps=steps)

    return reward


def _rows(scores: Scores, records: Sequence[Record]) -> Iterator[tuple[int, Record, int, tuple[float, ...]]]:
    if scores.steps is None:
        raise ValueError("these scores have no steps: PRMBench is about step scores")
    if len(scores) != sum(len(record.responses) for record in records):
        raise ValueError(f"{len(scores)} scores for {sum(len(r.responses) for r in records)} responses")
    row = 0
    for record in records:
        labels = {found.response: found.labels for found in record.feedback if isinstance(found, StepLabels)}
        for index in range(len(record.responses)):
            if index in labels:
                known = tuple([label for label in labels[index] if label is not None])
                if len(known) != len(labels[index]):
                    raise ValueError(f"{record.response_id(index)}: a step has no label")
                yield row, record, index, known
            row += 1


def _judged(scores: Scores, records: Sequence[Record], threshold: float) -> Iterator[_Judged]:
    seen: set[tuple[str, str, int]] = set()
    for row, record, index, labels in _rows(scores, records):
        kind, source = str(record.context.get("classification", "")), str(record.context.get("idx", record.id))
        if scores.status[row] is not Status.OK or not labels or (kind, source, index) in seen:
            continue
        seen.add((kind, source, index))
        said = tuple([value > threshold for value in _steps(scores, row, len(labels))])
        yield _Judged(kind, source, index > 0, tuple([label >= 0.5 for label in labels]), said)


def _steps(scores: Scores, row: int, count: int) -> list[float]:
    assert scores.steps is not None
    values: list[float] = scores.steps[row].tolist()
    if len(values) != count:
        raise ValueError(f"{scores.ids[row]} has {count} labelled steps, but {len(values)} scores of steps")
    return values


def _total(judged: Sequence[_Judged]) -> Counts:
    return sum((each.counts for each in judged), Counts())


def _first_errors(judged: Sequence[_Judged]) -> float:
    return _mean([float(found) for each in judged if (found := each.first_error) is not None])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
