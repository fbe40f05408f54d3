"""Transforms that put scores on a scale: of known bounds, of a reference distribution, of the prompt's own responses,
or of an anchor each prompt has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from assay.scores import Scores, Status
from assay.spec import Spec
from assay.transforms.shape import monotone, scale


class Distribution(Protocol):
    """What is known of a reward's scores on reference data; `rewards.learned.Reference` is one."""

    @property
    def mean(self) -> float: ...
    @property
    def std(self) -> float: ...
    @property
    def quantiles(self) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class _UnitRange:
    low: float
    high: float

    def __call__(self, scores: Scores, /) -> Scores:
        width = self.high - self.low
        std = None if scores.std is None else scores.std / width
        return scores.with_values((scores.filled() - self.low) / width, std=std)

    def spec_after(self, spec: Spec) -> Spec:
        width = self.high - self.low
        low, high = (None if bound is None else (bound - self.low) / width for bound in (spec.low, spec.high))
        return replace(spec, low=low, high=high, unit="share of the range")

    def __repr__(self) -> str:
        return f"unit_range(low={self.low!r}, high={self.high!r})"


def unit_range(low: float, high: float) -> Callable[[Scores], Scores]:
    """``(r - low) / (high - low)``: the bounds become 0 and 1; scores beyond them are not clipped. Divides a std too.

    Rewards of different ranges, such as a cosine and a rating of 1 to 5, are put on one before they are added.

    Raises:
        ValueError: ``low`` is not below ``high``.
    """
    if not (low < high and math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"unit_range needs finite bounds, low below high; got {low} and {high}")
    return _UnitRange(low, high)


def fit_unit_range(scores: Scores) -> Callable[[Scores], Scores]:
    """`unit_range` by the lowest and highest judged row of reference scores.

    Raises:
        ValueError: no judged row, or all equal.
    """
    judged = scores.values.detach()[scores.ok].double()
    if not judged.numel() or float(judged.min()) == float(judged.max()):
        raise ValueError(f"fit_unit_range: {judged.numel()} of {len(scores)} reference scores were judged, all equal")
    return unit_range(float(judged.min()), float(judged.max()))


def standardised(reference: Distribution) -> Callable[[Scores], Scores]:
    """`scale` by the mean and std of a reference distribution, such as the one saved with a learned reward."""
    return scale(reference.mean, reference.std)


@dataclass(frozen=True)
class _Percentile:
    quantiles: tuple[float, ...]

    def __call__(self, scores: Scores, /) -> Scores:
        return scores.with_values(monotone(scores, self._at))

    def _at(self, wide: Tensor) -> Tensor:
        knots = torch.tensor(self.quantiles, dtype=torch.float64, device=wide.device)
        right = torch.searchsorted(knots, wide.detach(), right=True)
        left = torch.searchsorted(knots, wide.detach(), right=False)
        upper = right.clamp(1, len(knots) - 1)
        start, end = knots[upper - 1], knots[upper]
        share = torch.where(end > start, (wide - start) / torch.where(end > start, end - start, 1.0), 0.5)
        place = torch.where(right > left, 0.5 * (left + right - 1), upper - 1 + share.clamp(0, 1))
        return place / (len(knots) - 1)

    def spec_after(self, spec: Spec) -> Spec:
        def at(bound: float | None, otherwise: float) -> float:
            return otherwise if bound is None else float(self._at(torch.tensor([bound], dtype=torch.float64))[0])

        unit = "share of reference responses below"
        return replace(spec, low=at(spec.low, 0.0), high=at(spec.high, 1.0), unit=unit)

    def __repr__(self) -> str:
        return f"percentile({self.quantiles!r})"


def percentile(quantiles: Sequence[float]) -> Callable[[Scores], Scores]:
    """The share of a reference distribution below the score, 0..1, linear between its ``quantiles`` (at equal steps).

    A score equal to several quantiles gets the middle of their shares; below the lowest 0, above the highest 1.
    ``percentile(reward.reference.quantiles)`` is the percentile among the reward's own reference. Drops std.

    Raises:
        ValueError: fewer than two quantiles, or they do not rise.
    """
    given = tuple(float(q) for q in quantiles)
    if len(given) < 2 or any(b < a for a, b in pairwise(given)) or given[0] == given[-1]:
        raise ValueError(f"percentile needs at least 2 quantiles that rise, got {len(given)}")
    return _Percentile(given)


@dataclass(frozen=True)
class _PromptCentred:
    def __call__(self, scores: Scores, /) -> Scores:
        return scores.with_values(_within_prompt(scores)[0], std=scores.std)

    def spec_after(self, spec: Spec) -> Spec:
        width = None if spec.low is None or spec.high is None else spec.high - spec.low
        return replace(spec, low=None if width is None else -width, high=width, scale="within_group")

    def __repr__(self) -> str:
        return "prompt_centred()"


def prompt_centred() -> Callable[[Scores], Scores]:
    """``r - mean`` over the judged responses of the same record: the advantage within a group. Keeps std.

    The result means something only beside the other responses of its record, which its Spec then says.
    """
    return _PromptCentred()


@dataclass(frozen=True)
class _PromptStandardised:
    epsilon: float

    def __call__(self, scores: Scores, /) -> Scores:
        centred, variance = _within_prompt(scores)
        apart = variance > 0
        deviation = torch.where(apart, torch.where(apart, variance, 1.0).sqrt(), 0.0) + self.epsilon
        return scores.with_values(torch.where(apart, centred / torch.where(apart, deviation, 1.0), 0.0))

    def spec_after(self, spec: Spec) -> Spec:
        return replace(spec, low=None, high=None, unit="standard deviations of the prompt", scale="within_group")

    def __repr__(self) -> str:
        return f"prompt_standardised(epsilon={self.epsilon!r})"


def prompt_standardised(epsilon: float = 0.0) -> Callable[[Scores], Scores]:
    """``(r - mean) / (std + epsilon)`` over the judged responses of the same record, by the population std; 0 where all
    are equal. Means something only within the record. Drops std.

    Raises:
        ValueError: ``epsilon`` is negative.
    """
    if epsilon < 0:
        raise ValueError(f"epsilon is {epsilon}; it must not be negative")
    return _PromptStandardised(epsilon)


@dataclass(frozen=True)
class _Anchored:
    anchors: Mapping[str, float]

    def __call__(self, scores: Scores, /) -> Scores:
        found = [self.anchors.get(name.rpartition("/")[0]) for name in scores.ids]
        values = scores.filled()
        missing = torch.tensor([anchor is None for anchor in found], dtype=torch.bool)
        shift = torch.tensor([anchor or 0.0 for anchor in found], dtype=values.dtype, device=values.device)
        moved = scores.with_values(values - shift, std=scores.std)
        return moved.abstain(
            missing & moved.ok.cpu(), Status.MISSING_CONTEXT, "no anchor is known of this record; fit_anchors makes one"
        )

    def spec_after(self, spec: Spec) -> Spec:
        shifts = self.anchors.values()
        low = None if spec.low is None or not shifts else spec.low - max(shifts)
        high = None if spec.high is None or not shifts else spec.high - min(shifts)
        return replace(spec, low=low, high=high)

    def __repr__(self) -> str:
        return f"anchored({dict(self.anchors)!r})"


def anchored(anchors: Mapping[str, float]) -> Callable[[Scores], Scores]:
    """``r - anchor`` with the anchor of the record: 0 is as good as the anchor's response. Keeps std.

    A row whose record (by id) has no anchor abstains with ``MISSING_CONTEXT``. Followed by `log_sigmoid` it is the
    centred transformation of Wang et al., 2024, arXiv 2402.00742.

    Raises:
        ValueError: an anchor is not finite.
    """
    if wrong := [name for name, anchor in anchors.items() if not math.isfinite(anchor)]:
        raise ValueError(f"the anchor of {wrong[0]!r} is not finite")
    return _Anchored(dict(anchors))


def fit_anchors(scores: Scores, quantile: float = 0.85) -> Callable[[Scores], Scores]:
    """`anchored` at a quantile of each record's own reference scores, such as those of a model's samples before it is
    optimised. A record without a judged row has no anchor.

    Raises:
        ValueError: a quantile outside 0..1.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"a quantile lies in 0..1, got {quantile}")
    values, ok = scores.values.detach().double().cpu(), scores.ok.cpu()
    found: dict[str, float] = {}
    for rows in scores.groups():
        judged = values[rows.cpu()][ok[rows.cpu()]]
        if judged.numel():
            found[scores.ids[int(rows[0])].rpartition("/")[0]] = float(judged.quantile(quantile))
    return anchored(found)


def _within_prompt(scores: Scores) -> tuple[Tensor, Tensor]:
    """Each row less the mean of its record's judged rows, and their population variance, both ``[responses]``."""
    values, there = scores.filled(), scores.ok.to(scores.values.dtype)
    _, index = torch.unique(scores.group.to(values.device), return_inverse=True)
    count = int(index.max()) + 1 if len(scores) else 0
    seen = _per_group(there, index, count).clamp(min=1)
    centred = values - (_per_group(values * there, index, count) / seen)[index]
    return centred, (_per_group(centred.square() * there, index, count) / seen)[index]


def _per_group(values: Tensor, index: Tensor, count: int) -> Tensor:
    return values.new_zeros(count).scatter_add(0, index, values)
