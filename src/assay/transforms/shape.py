"""Transforms that map each value by itself: they change the shape or the unit of a score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.scores import Scores
from assay.spec import Spec


@dataclass(frozen=True)
class _Clip:
    low: float | None = None
    high: float | None = None

    def __call__(self, scores: Scores, /) -> Scores:
        return scores.with_values(scores.filled().clamp(min=self.low, max=self.high))

    def spec_after(self, spec: Spec) -> Spec:
        low, high = (None if bound is None else self._inside(bound) for bound in (spec.low, spec.high))
        return replace(spec, low=self.low if low is None else low, high=self.high if high is None else high)

    def _inside(self, bound: float) -> float:
        bound = bound if self.low is None else max(bound, self.low)
        return bound if self.high is None else min(bound, self.high)

    def __repr__(self) -> str:
        return f"clip(low={self.low!r}, high={self.high!r})"


def clip(low: float | None = None, high: float | None = None) -> Callable[[Scores], Scores]:
    """``min(max(r, low), high)``; None leaves that side open. Outside the bounds the gradient is 0. Drops std.

    Raises:
        ValueError: ``low`` is above ``high``, or neither is given.
    """
    if low is None and high is None:
        raise ValueError("clip needs low or high")
    if low is not None and high is not None and low > high:
        raise ValueError(f"clip: low ({low}) is above high ({high})")
    return _Clip(low, high)


@dataclass(frozen=True)
class _Scale:
    mean: float
    std: float

    def __call__(self, scores: Scores, /) -> Scores:
        std = None if scores.std is None else scores.std / self.std
        return scores.with_values((scores.filled() - self.mean) / self.std, std=std)

    def spec_after(self, spec: Spec) -> Spec:
        low, high = (None if bound is None else (bound - self.mean) / self.std for bound in (spec.low, spec.high))
        return replace(spec, low=low, high=high, unit="standard deviations")

    def __repr__(self) -> str:
        return f"scale(mean={self.mean!r}, std={self.std!r})"


def scale(mean: float, std: float) -> Callable[[Scores], Scores]:
    """``(r - mean) / std`` with the statistics of a reference set, never of the batch. A std is divided too.

    Raises:
        ValueError: ``std`` is not above 0.
    """
    if not std > 0:
        raise ValueError(f"scale needs a std above 0, got {std}")
    return _Scale(mean, std)


def fit_scale(scores: Scores) -> Callable[[Scores], Scores]:
    """`scale` by the mean and the sample std (divisor n - 1) of the judged rows of reference scores.

    Raises:
        ValueError: fewer than two judged rows, or all equal.
    """
    judged = _judged(scores, "fit_scale", at_least=2)
    std = float(judged.std().item())
    if std == 0:
        raise ValueError(f"fit_scale: all {judged.numel()} reference scores are equal")
    return scale(float(judged.mean().item()), std)


@dataclass(frozen=True)
class _LogSigmoid:
    reference: float = 0.0

    def __call__(self, scores: Scores, /) -> Scores:
        return scores.with_values(monotone(scores, lambda values: F.logsigmoid(values - self.reference)))

    def spec_after(self, spec: Spec) -> Spec:
        low, high = (_log_sigmoid(bound, self.reference) for bound in (spec.low, spec.high))
        return replace(spec, low=low, high=0.0 if high is None else high, unit="log-probability")

    def __repr__(self) -> str:
        return f"log_sigmoid(reference={self.reference!r})"


def log_sigmoid(reference: float = 0.0) -> Callable[[Scores], Scores]:
    """``log sigmoid(r - reference)``: under Bradley-Terry the log-probability of beating a score of ``reference``.

    At most 0; above the reference it saturates, so that a sum of several such rewards asks each to be good enough
    (Wang et al., "Transforming and Combining Rewards for Aligning Large Language Models", 2024, arXiv 2402.00742).
    Computed in float64: scores of lower precision are never swapped, though they may tie where their type runs out.
    Drops std.
    """
    return _LogSigmoid(reference)


def fit_log_sigmoid(scores: Scores, quantile: float = 0.85) -> Callable[[Scores], Scores]:
    """`log_sigmoid` with the given quantile of the judged rows of reference scores as its reference.

    The paper takes the 0.85 quantile of the scores of responses sampled from the model before optimisation.

    Raises:
        ValueError: no judged row, or a quantile outside 0..1.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"a quantile lies in 0..1, got {quantile}")
    return log_sigmoid(float(_judged(scores, "fit_log_sigmoid", at_least=1).quantile(quantile).item()))


@dataclass(frozen=True)
class _Sigmoid:
    def __call__(self, scores: Scores, /) -> Scores:
        return scores.with_values(monotone(scores, torch.sigmoid))

    def spec_after(self, spec: Spec) -> Spec:
        low = 0.0 if spec.low is None else torch.sigmoid(_wide(spec.low)).item()
        high = 1.0 if spec.high is None else torch.sigmoid(_wide(spec.high)).item()
        return replace(spec, low=low, high=high, unit="probability")

    def __repr__(self) -> str:
        return "sigmoid()"


def sigmoid() -> Callable[[Scores], Scores]:
    """``1 / (1 + exp(-r))``, 0..1: the probability, under Bradley-Terry, of beating a response worth 0. Drops std."""
    return _Sigmoid()


@dataclass(frozen=True)
class _Negate:
    def __call__(self, scores: Scores, /) -> Scores:
        return scores.with_values(-scores.filled(), std=scores.std)

    def spec_after(self, spec: Spec) -> Spec:
        better: Literal["higher", "lower"] = "lower" if spec.better == "higher" else "higher"
        low, high = (None if bound is None else -bound for bound in (spec.high, spec.low))
        return replace(spec, low=low, high=high, better=better)

    def __repr__(self) -> str:
        return "negate()"


def negate() -> Callable[[Scores], Scores]:
    """``-r``: lower was better, now higher is, or the other way round. Keeps std."""
    return _Negate()


def monotone(scores: Scores, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A smooth increasing function in float64, so that rounding swaps no two values of a lower precision.

    The result is brought back to the type of the scores. A device without float64 has it computed on the CPU.
    """
    values = scores.filled()
    wide = (values.cpu() if values.device.type == "mps" else values).double()
    return function(wide).to(device=values.device, dtype=values.dtype)


def _log_sigmoid(bound: float | None, reference: float) -> float | None:
    return None if bound is None else F.logsigmoid(_wide(bound) - reference).item()


def _wide(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _judged(scores: Scores, who: str, *, at_least: int) -> Tensor:
    judged = scores.values.detach()[scores.ok].double()
    if judged.numel() < at_least:
        raise ValueError(f"{who}: only {judged.numel()} of {len(scores)} reference scores were judged")
    return judged
