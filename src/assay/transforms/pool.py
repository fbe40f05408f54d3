"""Combinations by an aggregate of `transforms.aggregate`: the median, the best case, products, soft extremes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.scores import Scores
from assay.spec import Spec, common_unit, merge
from assay.transforms import aggregate
from assay.transforms.combine import Combine, between, combined, hull, pooled, stacked


@dataclass(frozen=True)
class _Median:
    def __call__(self, members: Sequence[Scores], /) -> Scores:
        return pooled(aggregate.median, members)

    def spec_after(self, *specs: Spec) -> Spec:
        return between(specs)

    def __repr__(self) -> str:
        return "median()"


def median() -> Combine:
    """The median over the members that judged the row; of an even number the mean of the two in the middle."""
    return _Median()


@dataclass(frozen=True)
class _BestCase:
    def __call__(self, members: Sequence[Scores], /) -> Scores:
        return pooled(aggregate.maximum, members)

    def spec_after(self, *specs: Spec) -> Spec:
        _, high = hull(specs)
        lows = [spec.low for spec in specs if spec.low is not None]
        return replace(merge(specs), low=max(lows, default=None), high=high, unit=common_unit(specs))

    def __repr__(self) -> str:
        return "best_case()"


def best_case() -> Combine:
    """The highest score among the members that judged the row."""
    return _BestCase()


@dataclass(frozen=True)
class _Product:
    def __call__(self, members: Sequence[Scores], /) -> Scores:
        return pooled(aggregate.product, members)

    def spec_after(self, *specs: Spec) -> Spec:
        low, high = 1.0, 1.0
        for spec in specs:
            if spec.low is None or spec.high is None:
                return merge(specs)
            corners = [a * b for a in (low, high) for b in (spec.low, spec.high)]
            low, high = min(corners), max(corners)
        return replace(merge(specs), low=low, high=high)

    def __repr__(self) -> str:
        return "product()"


def product() -> Combine:
    """The product of the members that judged the row. Give it members of 0 or more, such as probabilities.

    Where the rule of abstention lets a row stand without some member, its factor counts as 1.
    """
    return _Product()


@dataclass(frozen=True)
class _MeanMinusVariance:
    k: float

    def __call__(self, members: Sequence[Scores], /) -> Scores:
        def by(values: Tensor, mask: Tensor | None, dim: int) -> Tensor:
            return aggregate.mean_minus_variance(values, mask, dim, k=self.k)

        return pooled(by, members, std=True)

    def spec_after(self, *specs: Spec) -> Spec:
        low, high = hull(specs)
        widest = None if low is None or high is None else abs(self.k) * ((high - low) / 2) ** 2
        if self.k > 0:
            low = None if low is None or widest is None else low - widest
        if self.k < 0:
            high = None if high is None or widest is None else high + widest
        return replace(merge(specs), low=low, high=high, unit=common_unit(specs))

    def __repr__(self) -> str:
        return f"mean_minus_variance({self.k!r})"


def mean_minus_variance(k: float = 1.0) -> Combine:
    """``mean - k variance`` over the members that judged the row; the result's ``std`` is their spread.

    The uncertainty-weighted objective of Coste et al., 2023, arXiv 2310.02743; `ensemble` takes the std instead.
    """
    return _MeanMinusVariance(k)


@dataclass(frozen=True)
class _LogSumExp:
    temperature: float

    def __call__(self, members: Sequence[Scores], /) -> Scores:
        def by(values: Tensor, mask: Tensor | None, dim: int) -> Tensor:
            return aggregate.log_sum_exp(values, mask, dim, temperature=self.temperature)

        return pooled(by, members)

    def spec_after(self, *specs: Spec) -> Spec:
        return between(specs)

    def __repr__(self) -> str:
        return f"log_sum_exp({self.temperature!r})"


def log_sum_exp(temperature: float = 1.0) -> Combine:
    """``T log mean exp(r / T)`` over the members that judged the row: a soft best case, of T below 0 a soft worst case.

    Raises:
        ValueError: ``temperature`` is 0 or not finite.
    """
    if temperature == 0 or not math.isfinite(temperature):
        raise ValueError(f"log_sum_exp needs a finite temperature other than 0, got {temperature}")
    return _LogSumExp(temperature)


@dataclass(frozen=True)
class _Conjunction:
    references: tuple[float, ...] = ()

    def __call__(self, members: Sequence[Scores], /) -> Scores:
        if self.references and len(self.references) != len(members):
            raise ValueError(f"{self!r} has {len(self.references)} references for {len(members)} rewards")

        def by(values: Tensor, mask: Tensor | None, dim: int) -> Tensor:
            return aggregate.conjunction(values, mask, dim, references=self.references or 0.0)

        return pooled(by, members)

    def spec_after(self, *specs: Spec) -> Spec:
        references = self.references or (0.0,) * len(specs)
        lows = [spec.low for spec in specs]
        highs = [math.inf if spec.high is None else spec.high for spec in specs]
        low = None if None in lows else _log_sigmoids([x for x in lows if x is not None], references)
        return replace(merge(specs), low=low, high=_log_sigmoids(highs, references), unit="log-probability")

    def __repr__(self) -> str:
        return f"conjunction({', '.join(map(repr, self.references))})"


def conjunction(*references: float) -> Combine:
    """``sum_k log sigmoid(r_k - reference_k)``: the log-probability, under Bradley-Terry, that a response beats every
    reference; at most 0. No references: 0 for each. See `aggregate.conjunction`.

    Raises:
        ValueError: when called, another number of members than references.

    Source: Wang et al., "Transforming and Combining Rewards for Aligning Large Language Models", 2024, arXiv
    2402.00742.
    """
    return _Conjunction(tuple(references))


def _log_sigmoids(values: Sequence[float], references: Sequence[float]) -> float:
    gaps = torch.tensor([v - r for v, r in zip(values, references, strict=True)], dtype=torch.float64)
    return float(torch.where(gaps == torch.inf, 0.0, F.logsigmoid(gaps)).sum())


@dataclass(frozen=True)
class _Disagreement:
    def __call__(self, members: Sequence[Scores], /) -> Scores:
        if len(members) != 2:
            raise ValueError(f"disagreement() compares two rewards, got {len(members)}")
        values, present = stacked(members)
        return combined(members, (values[0] - values[1]).abs(), present.all(0))

    def spec_after(self, *specs: Spec) -> Spec:
        low, high = hull(specs)
        widest = None if low is None or high is None else high - low
        return replace(merge(specs), low=0.0, high=widest, unit=common_unit(specs), better="lower")

    def __repr__(self) -> str:
        return "disagreement()"


def disagreement() -> Combine:
    """``|r_1 - r_2|`` of exactly two members: how uncertain their judgement is, lower is better.

    `uncertainty.confidence` turns it into a weight. A row that either member did not judge abstains under every rule.
    Source: Ctrl-U, 2024, arXiv 2410.11236.

    Raises:
        ValueError: when called, other than two members.
    """
    return _Disagreement()
