"""How well a reward learned what samples of known truth ask for: one figure for each shape of feedback."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias, final

import numpy as np

from assay import metrics
from assay.scores import Scores, numbers
from assay.worlds.statements import Sample

Value: TypeAlias = Callable[[Sequence[Sample], Scores], float]


@final
@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of merit, higher is better, and what a trained reward has to reach at least."""

    name: str
    of: Value
    floor: float


def columns(samples: Sequence[Sample], scores: Scores) -> Iterator[tuple[metrics.Floats, metrics.Floats]]:
    """What was scored and what is true, both ``[responses]``, of every record and everything counted in it: under a
    criterion that is an attribute of the scores that attribute, else the overall score."""
    start = 0
    for sample in samples:
        own = slice(start, start + len(sample.record.responses))
        start = own.stop
        for criterion, counts in sample.counts.items():
            column = scores.attributes.get(criterion or "", scores.values)
            yield numbers(column)[own].astype(np.float64), np.asarray(counts, dtype=np.float64)


def pair_accuracy(samples: Sequence[Sample], scores: Scores) -> float:
    """The share of pairs that differ whose better response scores higher; equal scores count half."""
    gaps, truth = _pairs(samples, scores)
    decided = truth != 0
    return float(metrics.pair_outcomes(np.sign(truth) * gaps, np.zeros_like(gaps))[decided].mean())


def tie_separation(samples: Sequence[Sample], scores: Scores) -> float:
    """The chance that a decided pair is apart, the right way round, by more than a tied pair is apart."""
    gaps, truth = _pairs(samples, scores)
    decided = truth != 0
    return metrics.auroc(np.where(decided, np.sign(truth) * gaps, np.abs(gaps)), decided)


def gap_correlation(samples: Sequence[Sample], scores: Scores) -> float:
    """The rank correlation of gaps between two scores with how far the two are truly apart, both ways round."""
    gaps, truth = _pairs(samples, scores)
    return metrics.spearman(np.concatenate([gaps, -gaps]), np.concatenate([truth, -truth]))


def list_agreement(samples: Sequence[Sample], scores: Scores) -> float:
    """Kendall's tau-b of scores and truth within a record, averaged over records."""
    found = [metrics.kendall(score, count) for score, count in columns(samples, scores)]
    return float(np.nanmean(found))


def correlation(samples: Sequence[Sample], scores: Scores) -> float:
    """The rank correlation of scores with truth over all responses; of several criteria the mean."""
    by: dict[int, list[tuple[metrics.Floats, metrics.Floats]]] = {}
    width = len(samples[0].counts)
    for number, pair in enumerate(columns(samples, scores)):
        by.setdefault(number % width, []).append(pair)
    found = [metrics.spearman(*(np.concatenate(side) for side in zip(*pairs, strict=True))) for pairs in by.values()]
    return float(np.mean(found))


def _pairs(samples: Sequence[Sample], scores: Scores) -> tuple[metrics.Floats, metrics.Floats]:
    gaps: list[float] = []
    truth: list[float] = []
    for score, count in columns(samples, scores):
        for one, other in combinations(range(len(count)), 2):
            gaps.append(float(score[one] - score[other]))
            truth.append(float(count[one] - count[other]))
    return np.asarray(gaps), np.asarray(truth)


STEP_ACCURACY = "step accuracy"
STEP_FLOOR = 0.75

FIGURES: Mapping[str, Figure] = {
    "pairs": Figure("pair accuracy", pair_accuracy, 0.75),
    "ties": Figure("tie separation", tie_separation, 0.7),
    "soft labels": Figure("gap correlation", gap_correlation, 0.5),
    "margins": Figure("gap correlation", gap_correlation, 0.5),
    "rankings": Figure("list agreement", list_agreement, 0.5),
    "ratings": Figure("correlation", correlation, 0.5),
    "step labels": Figure("correlation", correlation, 0.5),
    "missing cells": Figure("correlation", correlation, 0.5),
}
