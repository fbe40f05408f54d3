"""Transforms of the scores of steps: one number of all of them, bounded step rewards, steps left out.

A transform that leaves the scores of steps standing declares it, ``keeps_steps``; every other one drops them, since
they would be in the unit from before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from assay.scores import Scores, Status
from assay.spec import Spec
from assay.transforms.aggregate import Aggregate, maximum, mean, minimum, product, total

__all__ = [
    "AGGREGATES",
    "aggregate_steps",
    "bounded",
    "clip_delta",
    "fit_clip_delta",
    "last",
    "leave_out",
    "maximum",
    "mean",
    "minimum",
    "product",
    "total",
]


def last(values: Tensor, mask: Tensor | None = None, dim: int = 0) -> Tensor:
    """The last value that is there: of steps, the one that has seen all before it. As `transforms.aggregate`."""
    there = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    if not values.shape[dim]:
        return torch.where(there.any(dim), values.sum(dim), torch.nan)
    shape = [1] * values.dim()
    shape[dim] = -1
    order = torch.arange(values.shape[dim], device=values.device).reshape(shape).expand_as(values)
    place = torch.where(there, order, -1).amax(dim, keepdim=True)
    found = torch.where(there, values, 0.0).gather(dim, place.clamp(min=0)).squeeze(dim)
    return torch.where(there.any(dim), found, torch.nan)


AGGREGATES: Mapping[str, Aggregate] = MappingProxyType(
    {each.__name__: each for each in (product, minimum, last, mean, maximum, total)}
)
"""What makes one number of steps, by name."""


@dataclass(frozen=True)
class _AggregateSteps:
    how: Aggregate
    keeps_steps: ClassVar[bool] = True

    def __call__(self, scores: Scores, /) -> Scores:
        steps, there = _padded(scores)
        found = self.how(steps, there, 1)
        reasons = [_reason(status) for status in scores.step_status or ()]
        status = [
            old if old is not Status.OK else (new if new is not None else _finite(value))
            for old, new, value in zip(scores.status, reasons, found.tolist(), strict=True)
        ]
        messages = [
            message if old is not Status.OK or new is None else f"of its steps: {new}"
            for message, old, new in zip(scores.messages, scores.status, reasons, strict=True)
        ]
        good = torch.tensor([each is Status.OK for each in status], dtype=torch.bool, device=found.device)
        values = torch.where(good, found, torch.nan)
        return scores.replace(
            values=values,
            status=tuple(status),
            messages=tuple(messages),
            std=None,
            steps=scores.steps,
            step_status=scores.step_status,
        )

    def spec_after(self, spec: Spec) -> Spec:
        """The range of steps is not declared: none is known of what is made of them."""
        return replace(spec, low=None, high=None, unit="score")

    def __repr__(self) -> str:
        name = getattr(self.how, "__name__", repr(self.how))
        return f"aggregate_steps({f'steps.{name}' if name in AGGREGATES else name})"


def aggregate_steps(how: Aggregate = product) -> Callable[[Scores], Scores]:
    """The value of a response from the scores of its steps: ``how`` of them (`product`, `minimum`, `last`, `mean`).

    Steps with status ``GATED`` are left out (`leave_out`). A step that failed makes the response abstain with the
    step's status; without any step that counts it is ``EMPTY``. The steps stay as they are; std is dropped.

    Sources: minimum and product, Lightman et al., 2023, arXiv 2305.20050; last, Snell et al., 2024, arXiv 2408.03314.

    Raises:
        ValueError: when called, the scores have no steps.
    """
    return _AggregateSteps(how)


def _reason(status: Sequence[Status]) -> Status | None:
    """Why a response with these steps has no number; None when it has one."""
    failed = [each for each in status if each.is_failure]
    if failed:
        return failed[0]
    return None if Status.OK in status else Status.EMPTY


def _finite(value: float) -> Status:
    return Status.OK if math.isfinite(value) else Status.NON_FINITE


def _padded(scores: Scores) -> tuple[Tensor, Tensor]:
    """Steps ``[responses, longest]``, 0 where none is, and which are there."""
    if scores.steps is None or scores.step_status is None:
        raise ValueError("these scores have no steps: the reward must score them (a step head, read at step ends)")
    longest = max((cells.numel() for cells in scores.steps), default=0)
    rows: list[Tensor] = []
    there = torch.zeros((len(scores), longest), dtype=torch.bool, device=scores.values.device)
    for row, (cells, status) in enumerate(zip(scores.steps, scores.step_status, strict=True)):
        ok = torch.tensor([each is Status.OK for each in status], dtype=torch.bool, device=cells.device)
        filled = torch.where(ok, cells, torch.zeros_like(cells))
        rows.append(torch.cat([filled, filled.new_zeros(longest - cells.numel())]))
        there[row, : cells.numel()] = ok.to(there.device)
    steps = torch.stack(rows) if rows else scores.values.new_zeros((0, longest))
    return steps.to(scores.values.device), there


def bounded(steps: Tensor, mask: Tensor | None = None, *, eta: float, clip: bool = True, delta: bool = True) -> Tensor:
    """Step rewards ``r_k`` that cannot be piled up, from step scores ``q_k``; ``[..., steps]`` to the same.

    Clip: ``q_k <- min(q_k - eta, 0)``: no step is worth more than none, and the sum is at most 0. Delta, after it, over
    the K steps that are there: ``r_k = q_k - q_(k+1)`` for k < K - 1, ``r_(K-1) = q_(K-1)``, ``r_K = 0``: the last step
    is the answer, which the outcome's reward judges, and from step k on the rewards add up to ``q_k``. Cells outside
    ``mask`` are 0.

    Source: Gao et al., "On Designing Effective RL Reward at Training Time for LLM Reasoning", 2024, arXiv 2410.15115.
    """
    there = torch.ones_like(steps, dtype=torch.bool) if mask is None else mask
    found = torch.where(there, steps, 0.0)
    if clip:
        found = torch.where(there, (found - eta).clamp(max=0), 0.0)
    if not delta or not steps.shape[-1]:
        return found
    order = torch.arange(steps.shape[-1], device=steps.device).expand_as(there)
    final = torch.where(there, order, -1).amax(-1, keepdim=True)
    useful = torch.where(there & (order < final), found, 0.0)
    following = _next_there(useful, there & (order < final))
    return torch.where(there & (order < final), useful - following, 0.0)


def _next_there(values: Tensor, there: Tensor) -> Tensor:
    """For each cell the value of the next cell that is there, 0 behind the last."""
    length = values.shape[-1]
    order = torch.arange(length, device=values.device).expand_as(there)
    places = torch.where(there, order, length)
    following = torch.cat([places[..., 1:], torch.full_like(places[..., :1], length)], -1)
    nearest = following.flip(-1).cummin(-1).values.flip(-1)
    padded = torch.cat([values, torch.zeros_like(values[..., :1])], -1)
    return padded.gather(-1, nearest)


@dataclass(frozen=True)
class _ClipDelta:
    eta: float
    clip: bool = True
    delta: bool = True
    keeps_steps: ClassVar[bool] = True

    def __call__(self, scores: Scores, /) -> Scores:
        steps, there = _padded(scores)
        made = bounded(steps, there, eta=self.eta, clip=self.clip, delta=self.delta)
        assert scores.steps is not None
        changed = tuple(
            torch.where(mask[: old.numel()].to(old.device), row[: old.numel()].to(old.device), torch.nan)
            for row, mask, old in zip(made, there, scores.steps, strict=True)
        )
        return scores.replace(steps=changed, step_status=scores.step_status)

    def spec_after(self, spec: Spec) -> Spec:
        """Values stay as they are."""
        return spec

    def __repr__(self) -> str:
        return f"clip_delta(eta={self.eta!r}, clip={self.clip!r}, delta={self.delta!r})"


def clip_delta(eta: float, clip: bool = True, delta: bool = True) -> Callable[[Scores], Scores]:
    """The scores with their steps `bounded`; values stay. Take their sum with ``aggregate_steps(total)``.

    Raises:
        ValueError: ``eta`` is not finite; when called, the scores have no steps.
    """
    if not math.isfinite(eta):
        raise ValueError(f"eta must be a number, got {eta}")
    return _ClipDelta(eta, clip, delta)


def fit_clip_delta(scores: Scores, share: float = 0.9) -> Callable[[Scores], Scores]:
    """`clip_delta` with the eta at which ``share`` of the steps of reference scores are clipped to 0.

    Raises:
        ValueError: ``share`` is outside 0..1, or there is no step.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in 0..1, got {share}")
    steps, there = _padded(scores)
    found = steps[there].detach().double()
    if not found.numel():
        raise ValueError("there is no step to fit eta on")
    return _ClipDelta(float(torch.quantile(found, 1 - share, interpolation="nearest")))


def leave_out(scores: Scores, keep: Sequence[Sequence[bool]]) -> Scores:
    """The scores with the steps whose ``keep[response][step]`` is False set to ``GATED``: the environment's, say.

    Raises:
        ValueError: the scores have no steps, or ``keep`` another number of them.
    """
    if scores.steps is None or scores.step_status is None:
        raise ValueError("these scores have no steps to leave out")
    lengths = [cells.numel() for cells, status in zip(scores.steps, scores.status, strict=True) if status is Status.OK]
    given = [len(row) for row, status in zip(keep, scores.status, strict=True) if status is Status.OK]
    if lengths != given:
        raise ValueError(f"keep has {given} steps for responses with {lengths}")
    steps: list[Tensor] = []
    status: list[tuple[Status, ...]] = []
    for cells, old, row in zip(scores.steps, scores.step_status, keep, strict=True):
        held = list(row)[: cells.numel()]
        mask = torch.tensor(held, dtype=torch.bool, device=cells.device)
        steps.append(torch.where(mask, cells, torch.nan))
        status.append(tuple(was if stays else Status.GATED for was, stays in zip(old, held, strict=True)))
    return scores.replace(steps=tuple(steps), step_status=tuple(status))
