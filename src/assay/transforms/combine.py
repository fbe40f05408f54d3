"""Combinations: several rewards' scores of the same rows made one, and the rules of who abstains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from assay.scores import Scores, Status
from assay.spec import Spec, common_unit, merge
from assay.transforms import aggregate

Combine: TypeAlias = Callable[[Sequence[Scores]], Scores]
AbstainRule: TypeAlias = Callable[[Sequence[Scores], Scores], Scores]


def any_abstains(members: Sequence[Scores], combined: Scores) -> Scores:
    """A row abstains when any member abstained on it, with the first such member's status and message."""
    return fewer_than(len(members))(members, combined)


def all_abstain(members: Sequence[Scores], combined: Scores) -> Scores:
    """A row abstains only when every member abstained on it; the others are combined without the missing member."""
    return fewer_than(1)(members, combined)


@dataclass(frozen=True)
class _FewerThan:
    k: int

    def __call__(self, members: Sequence[Scores], combined: Scores, /) -> Scores:
        judged = torch.stack([member.ok.cpu() for member in members]).sum(0)
        status, messages = _first_reasons(members)
        return combined.abstain((judged < self.k) & combined.ok.cpu(), status, messages)

    def __repr__(self) -> str:
        return f"fewer_than({self.k})"


def fewer_than(k: int) -> AbstainRule:
    """A row abstains when fewer than ``k`` members judged it, with the first abstaining member's status and message.

    Raises:
        ValueError: ``k`` is below 1.
    """
    if k < 1:
        raise ValueError(f"fewer_than needs k of at least 1, got {k}")
    return _FewerThan(k)


@dataclass(frozen=True)
class _WeightedSum:
    weights: tuple[float, ...]

    def __call__(self, members: Sequence[Scores], /) -> Scores:
        if len(self.weights) != len(members):
            raise ValueError(f"{self!r} has {len(self.weights)} weights for {len(members)} rewards")
        values, present = stacked(members)
        weights = torch.tensor(self.weights, dtype=values.dtype, device=values.device).unsqueeze(1)
        kept = (weights.abs() * present).sum(0)
        rescale = weights.abs().sum() / torch.where(kept > 0, kept, torch.ones_like(kept))
        total = (weights * values).sum(0)
        rows = present.all(0)
        return combined(members, torch.where(rows, total, total * rescale), rows | (kept > 0))

    def spec_after(self, *specs: Spec) -> Spec:
        lows = [_scaled(spec, weight)[0] for spec, weight in zip(specs, self.weights, strict=True)]
        highs = [_scaled(spec, weight)[1] for spec, weight in zip(specs, self.weights, strict=True)]
        return replace(
            merge(specs),
            better=_direction(specs, self.weights),
            low=None if None in lows else sum(low for low in lows if low is not None),
            high=None if None in highs else sum(high for high in highs if high is not None),
        )

    def __repr__(self) -> str:
        return f"weighted_sum({', '.join(map(repr, self.weights))})"


def weighted_sum(*weights: float) -> Combine:
    """``sum_k w_k r_k``, one weight a member, in the members' order.

    Where the abstention rule lets a row stand without some member, that member's term is left out and the rest is
    multiplied by ``sum |w| / sum of |w| present``, so that the row stays on the scale of the others. The std of a
    sum depends on how the members' errors go together, which is not known: it is dropped.

    Raises:
        ValueError: no weights, or, when called, another number of members.
    """
    if not weights:
        raise ValueError("weighted_sum needs a weight for each reward")
    return _WeightedSum(weights)


@dataclass(frozen=True)
class _Ensemble:
    k: float

    def __call__(self, members: Sequence[Scores], /) -> Scores:
        values, present = stacked(members)
        count = present.sum(0).clamp(min=1)
        mean = values.sum(0) / count
        spread = torch.where(present, values - mean, torch.zeros_like(values))
        variance = spread.square().sum(0) / count
        apart = variance > 0
        std = torch.where(apart, torch.where(apart, variance, torch.ones_like(variance)).sqrt(), variance)
        return combined(members, mean - self.k * std, present.any(0), std=std)

    def spec_after(self, *specs: Spec) -> Spec:
        low, high = hull(specs)
        widest = None if low is None or high is None else abs(self.k) * (high - low) / 2
        if self.k > 0:
            low = None if low is None or widest is None else low - widest
        if self.k < 0:
            high = None if high is None or widest is None else high + widest
        return replace(merge(specs), low=low, high=high, unit=common_unit(specs))

    def __repr__(self) -> str:
        return f"ensemble(k={self.k!r})"


def ensemble(k: float = 1.0) -> Combine:
    """``mean - k * std`` over the members that judged the row; the result's ``std`` is that spread.

    ``std`` is the population std over members (0 for one member). ``k`` above 0 is pessimism where the members
    disagree, below 0 optimism. With the variance in place of the std this is the uncertainty-weighted objective of
    Coste et al., "Reward Model Ensembles Help Mitigate Overoptimization" (2023, arXiv 2310.02743).
    """
    return _Ensemble(k)


@dataclass(frozen=True)
class _Mean:
    def __call__(self, members: Sequence[Scores], /) -> Scores:
        return pooled(aggregate.mean, members)

    def spec_after(self, *specs: Spec) -> Spec:
        return between(specs)

    def __repr__(self) -> str:
        return "mean()"


def mean() -> Combine:
    """The mean over the members that judged the row."""
    return _Mean()


@dataclass(frozen=True)
class _WorstCase:
    def __call__(self, members: Sequence[Scores], /) -> Scores:
        return pooled(aggregate.minimum, members)

    def spec_after(self, *specs: Spec) -> Spec:
        low, _ = hull(specs)
        highs = [spec.high for spec in specs if spec.high is not None]
        return replace(merge(specs), low=low, high=min(highs, default=None), unit=common_unit(specs))

    def __repr__(self) -> str:
        return "worst_case()"


def worst_case() -> Combine:
    """The lowest score among the members that judged the row. Give it members of which higher is better.

    Worst-case optimisation of Coste et al. (2023, arXiv 2310.02743).
    """
    return _WorstCase()


@dataclass(frozen=True)
class _Gate:
    threshold: float
    floor: float | None = None

    def __call__(self, members: Sequence[Scores], /) -> Scores:
        if len(members) != 2:
            raise ValueError(f"{self!r} takes two rewards, the gate and what it guards; got {len(members)}")
        first, second = members
        stacked(members)
        opened = first.filled() >= self.threshold
        decided = first.ok & (second.ok | ~opened)
        floor = torch.full_like(second.values, self.floor or 0.0)
        values = torch.where(opened, second.filled(), floor)
        std = None if second.std is None else torch.where(opened, second.std, torch.zeros_like(second.std))
        scores = combined(members, values, decided, std=std, critiques=second.critiques)
        if self.floor is not None:
            return scores
        closed = first.ok & ~opened
        return scores.abstain(closed, Status.GATED, f"the gate scored below {self.threshold:g}")

    def spec_after(self, *specs: Spec) -> Spec:
        gated = specs[1]
        floor = [] if self.floor is None else [self.floor]
        return replace(
            merge(specs),
            low=None if gated.low is None else min([gated.low, *floor]),
            high=None if gated.high is None else max([gated.high, *floor]),
            unit=gated.unit,
            better=gated.better,
            scale=gated.scale,
        )

    def __repr__(self) -> str:
        return f"gate({self.threshold!r})" if self.floor is None else f"gate({self.threshold!r}, floor={self.floor!r})"


def gate(threshold: float, floor: float | None = None) -> Combine:
    """The second member's score where the first's is at least ``threshold``; elsewhere ``floor``, or ``GATED``.

    Takes exactly two members, the gate first. Without ``floor`` a row below the threshold abstains with status
    ``GATED``. A row on which the gate itself abstained abstains under every rule, and so does a row that passed and
    on which the second member abstained. No gradient flows into the gate. The second member's std and critiques are
    carried; the std of the floor is 0.

    Raises:
        ValueError: when called, other than two members.
    """
    return _Gate(threshold, floor)


def stacked(members: Sequence[Scores]) -> tuple[Tensor, Tensor]:
    """Values with 0 in place of abstentions, and which are present: both ``[members, responses]``."""
    if any(member.ids != members[0].ids for member in members):
        raise ValueError("the members of a combination scored different responses")
    device = members[0].values.device
    values = torch.stack([member.filled().to(device) for member in members])
    return values, torch.stack([member.ok.to(device) for member in members])


def combined(
    members: Sequence[Scores],
    values: Tensor,
    decided: Tensor,
    *,
    std: Tensor | None = None,
    critiques: tuple[str | None, ...] | None = None,
) -> Scores:
    """Scores of combined ``values``; rows that could not be decided take the first abstaining member's reason."""
    status, messages = _first_reasons(members)
    finite = torch.isfinite(values.detach())
    rows = list(zip(decided.tolist(), finite.tolist(), strict=True))
    return Scores(
        values=torch.where(decided & finite, values, torch.full_like(values, torch.nan)),
        group=members[0].group,
        ids=members[0].ids,
        status=tuple(
            why if not known else (Status.OK if good else Status.NON_FINITE)
            for why, (known, good) in zip(status, rows, strict=True)
        ),
        messages=tuple("" if known else why for why, (known, _) in zip(messages, rows, strict=True)),
        std=std,
        critiques=critiques,
    )


def _first_reasons(members: Sequence[Scores]) -> tuple[list[Status], list[str]]:
    """For each row, the status and message of the first member that abstained on it (``OK`` where none did)."""
    status = [Status.OK] * len(members[0])
    messages = [""] * len(members[0])
    for member in reversed(members):
        for row, (reason, message) in enumerate(zip(member.status, member.messages, strict=True)):
            if reason is not Status.OK:
                status[row], messages[row] = reason, message
    return status, messages


def _scaled(spec: Spec, weight: float) -> tuple[float | None, float | None]:
    if weight == 0:
        return 0.0, 0.0
    low, high = (spec.low, spec.high) if weight > 0 else (spec.high, spec.low)
    return None if low is None else weight * low, None if high is None else weight * high


def pooled(by: aggregate.Aggregate, members: Sequence[Scores], std: bool = False) -> Scores:
    """Each row's value ``by`` the members that judged it; with ``std`` their standard deviation as its spread."""
    values, present = stacked(members)
    found = by(values, present, 0)
    decided = present.any(0)
    spread = aggregate.deviation(values, present, 0) if std else None
    return combined(members, torch.where(decided, found, 0.0), decided, std=spread)


def between(specs: Sequence[Spec]) -> Spec:
    """The spec of a value that lies between those of the members."""
    low, high = hull(specs)
    return replace(merge(specs), low=low, high=high, unit=common_unit(specs))


def hull(specs: Sequence[Spec]) -> tuple[float | None, float | None]:
    """The lowest low and the highest high; None where a member declares none."""
    lows = [spec.low for spec in specs if spec.low is not None]
    highs = [spec.high for spec in specs if spec.high is not None]
    return (
        min(lows) if len(lows) == len(specs) else None,
        max(highs) if len(highs) == len(specs) else None,
    )


def _direction(specs: Sequence[Spec], weights: Sequence[float]) -> Literal["higher", "lower"]:
    lower = [(spec.better == "lower") != (weight < 0) for spec, weight in zip(specs, weights, strict=True) if weight]
    return "lower" if lower and all(lower) else "higher"
