"""Calibration: transforms fitted on records with feedback, so that a score says how likely it is to be right.

What a preference says of two scores is their difference: `fit_temperature` makes ``sigmoid(r_i - r_j)`` the probability
that i is preferred. What a single label says of one score is its chance of being good: `fit_isotonic`. `per_slice`
keeps a fit for each slice of the data. All of them are written by `transforms.written`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from assay import metrics
from assay.records import Rating, Record
from assay.records.pairs import preferences_of
from assay.scores import Scores
from assay.spec import Spec
from assay.transforms.shape import monotone

Fit = Callable[[Scores, Sequence[Record]], Callable[[Scores], Scores]]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Pairs of rows with what was said of them, ``[pairs]`` each: ``better`` and ``worse`` index the scores,
    ``outcome`` is the probability that ``better`` wins (a tie is .5)."""

    better: Tensor
    worse: Tensor
    outcome: Tensor


def outcomes(scores: Scores, records: Sequence[Record]) -> Outcomes:
    """The pairs that the records' feedback orders, among rows that were judged (see `records.pairs.preferences_of`).

    Raises:
        ValueError: the scores are of other responses than the records'.
    """
    expected = tuple(record.response_id(i) for record in records for i in range(len(record.responses)))
    if scores.ids != expected:
        raise ValueError(f"the scores are of {len(scores)} responses, the records have {len(expected)} or others")
    ok = scores.ok.tolist()
    found: list[tuple[int, int, float]] = []
    start = 0
    for record in records:
        for item in preferences_of(record):
            better, worse = start + item.better, start + item.worse
            if ok[better] and ok[worse]:
                found.append((better, worse, 0.5 if item.tie else item.probability))
        start += len(record.responses)
    better, worse, outcome = zip(*found, strict=True) if found else ((),) * 3
    return Outcomes(
        torch.tensor(better, dtype=torch.long),
        torch.tensor(worse, dtype=torch.long),
        torch.tensor(outcome, dtype=torch.float64),
    )


def win_probability(chosen: Tensor, rejected: Tensor, *, tie_theta: float = 1.0) -> Tensor:
    """The probability that ``chosen`` wins, 0..1, of two calibrated scores: ``sigmoid(chosen - rejected - log theta)``.

    With ``tie_theta = 1`` a tie counts as half a win, and both sides add up to 1.

    Raises:
        ValueError: ``tie_theta`` is below 1.
    """
    if not (tie_theta >= 1.0 and math.isfinite(tie_theta)):
        raise ValueError(f"tie_theta is {tie_theta}; it is a finite ratio of at least 1")
    return torch.sigmoid(chosen - rejected - math.log(tie_theta))


def win_probabilities(scores: Scores) -> list[Tensor]:
    """For each record ``[responses, responses]``: the probability that the row's response beats the column's; NaN where
    one of them abstained."""
    return [
        win_probability(scores.values[rows].unsqueeze(1), scores.values[rows].unsqueeze(0)) for rows in scores.groups()
    ]


@dataclass(frozen=True)
class _Temperature:
    value: float

    def __call__(self, scores: Scores, /) -> Scores:
        std = None if scores.std is None else scores.std / self.value
        return scores.with_values(scores.filled() / self.value, std=std)

    def spec_after(self, spec: Spec) -> Spec:
        low, high = (None if bound is None else bound / self.value for bound in (spec.low, spec.high))
        return replace(spec, low=low, high=high, unit="logit")

    def __repr__(self) -> str:
        return f"temperature({self.value!r})"


def temperature(value: float) -> Callable[[Scores], Scores]:
    """``r / T``: no order changes, differences become log-odds of winning. A std is divided too.

    Raises:
        ValueError: the temperature is not positive and finite.
    """
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"a temperature is positive and finite, got {value}")
    return _Temperature(value)


def fit_temperature(scores: Scores, records: Sequence[Record]) -> Callable[[Scores], Scores]:
    """`temperature` that makes the records' preferences likeliest, by ``sigmoid((r_i - r_j) / T)``.

    Raises:
        ValueError: the records order no two judged rows, or no finite temperature is likeliest: every pair is right
            (more pairs, or held-out ones, are needed), or the scores say nothing about the preferences.

    Source: Guo et al., 2017, arXiv 1706.04599.
    """
    pairs = outcomes(scores, records)
    values = scores.values.detach().double().cpu()
    if not len(pairs.better):
        raise ValueError(f"fit_temperature: none of {len(records)} records orders two responses that were judged")
    gaps = (values[pairs.better] - values[pairs.worse]).numpy()
    found = metrics.fit_temperature(gaps, pairs.outcome.numpy())
    if found.bounded:
        helps = float((gaps * (pairs.outcome.numpy() - 0.5)).sum()) > 0
        why = "are right on every one of" if helps else "say nothing about"
        raise ValueError(
            f"fit_temperature: the scores {why} the {len(gaps)} pairs, so that no finite temperature is likeliest; "
            "fit on pairs that the reward was not trained on"
        )
    return temperature(found.value)


@dataclass(frozen=True)
class _Isotonic:
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, scores: Scores, /) -> Scores:
        return scores.with_values(monotone(scores, self._at))

    def _at(self, wide: Tensor) -> Tensor:
        x = torch.tensor(self.scores, dtype=torch.float64, device=wide.device)
        y = torch.tensor(self.probabilities, dtype=torch.float64, device=wide.device)
        if len(x) == 1:
            return y.expand(wide.shape) + 0 * wide
        upper = torch.searchsorted(x, wide.detach()).clamp(1, len(x) - 1)
        share = ((wide - x[upper - 1]) / (x[upper] - x[upper - 1])).clamp(0, 1)
        return y[upper - 1] + share * (y[upper] - y[upper - 1])

    def spec_after(self, spec: Spec) -> Spec:
        def at(bound: float | None, otherwise: float) -> float:
            return otherwise if bound is None else float(self._at(torch.tensor([bound], dtype=torch.float64))[0])

        low, high = at(spec.low, self.probabilities[0]), at(spec.high, self.probabilities[-1])
        return replace(spec, low=low, high=high, unit="probability")

    def __repr__(self) -> str:
        return f"isotonic({self.scores!r}, {self.probabilities!r})"


def isotonic(scores: Sequence[float], probabilities: Sequence[float]) -> Callable[[Scores], Scores]:
    """A rising line through the knots ``(score, probability)``, flat beyond the first and the last. Drops std.

    Raises:
        ValueError: no knot, scores that do not rise, or probabilities that fall or leave 0..1.
    """
    x, y = tuple(map(float, scores)), tuple(map(float, probabilities))
    rises = all(b > a for a, b in pairwise(x)) and all(b >= a for a, b in pairwise(y))
    if not x or len(x) != len(y) or not rises or y[0] < 0 or y[-1] > 1:
        raise ValueError(f"isotonic needs rising scores and as many probabilities 0..1 that do not fall; got {len(x)}")
    return _Isotonic(x, y)


def fit_isotonic(scores: Scores, records: Sequence[Record]) -> Callable[[Scores], Scores]:
    """`isotonic` regression of what was said of each response on its score.

    Ratings of 0..1 are the chance of being right. Without ratings, each preference says of the better response that it
    won and of the other that it lost: the result is the chance of winning against a rival drawn as in these records.

    Raises:
        ValueError: fewer than two judged rows have a label, or a rating lies outside 0..1.

    Source: Zadrozny and Elkan, KDD 2002.
    """
    from sklearn.isotonic import IsotonicRegression

    said = _rated(scores, records) or _won(scores, records)
    if len(said) < 2:
        raise ValueError(f"fit_isotonic: {len(said)} judged responses of {len(records)} records have a label")
    values = scores.values.detach().double().cpu().numpy()
    x = np.array([values[row] for row, _ in said])
    y = np.array([label for _, label in said])
    if float(y.min()) < 0 or float(y.max()) > 1:
        raise ValueError(f"fit_isotonic needs ratings 0..1, got {y.min():g}..{y.max():g}: rescale them")
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(x, y)
    return isotonic(np.asarray(fitted.X_thresholds_).tolist(), np.asarray(fitted.y_thresholds_).tolist())


def _rated(scores: Scores, records: Sequence[Record]) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    ok = scores.ok.tolist()
    start = 0
    for record in records:
        ratings = [item for item in record.feedback if isinstance(item, Rating)]
        found += [(start + item.response, item.value) for item in ratings if ok[start + item.response]]
        start += len(record.responses)
    return found


def _won(scores: Scores, records: Sequence[Record]) -> list[tuple[int, float]]:
    pairs = outcomes(scores, records)
    rows = zip(pairs.better.tolist(), pairs.worse.tolist(), pairs.outcome.tolist(), strict=True)
    return [cell for better, worse, won in rows for cell in ((better, won), (worse, 1.0 - won))]


def fit_slices(
    scores: Scores, records: Sequence[Record], slice_of: Callable[[Record], str], fit: Fit, *, at_least: int = 20
) -> Mapping[str, Callable[[Scores], Scores]]:
    """A fit for each slice of the records that has ``at_least`` records, for `rewards.calibrated.per_slice`."""
    members: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        members.setdefault(slice_of(record), []).append(place)
    starts = np.cumsum([0, *(len(record.responses) for record in records)]).tolist()
    found: dict[str, Callable[[Scores], Scores]] = {}
    for name, places in members.items():
        if len(places) >= at_least:
            rows = [row for place in places for row in range(starts[place], starts[place + 1])]
            found[name] = fit(scores[rows], [records[place] for place in places])
    return found
