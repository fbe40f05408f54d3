"""VideoAlign: pairs that people call equal teach a reward where the threshold of a tie lies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, values, world
from assay.metrics import pearson
from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry

_WIDTH, _PAIRS, _HELD_OUT, _THETA = 48, 800, 3000, 5.0


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Labels of Rao and Kupper with ties (theta 5); learned with the likelihood of ties (BTT), and by Bradley-Terry
    without the tied pairs; both stopped at their best on the held-out pairs, each figure at its own best.

    Sabotage: the likelihood of a tie is replaced by that of a winner drawn at random.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    with_ties, without, with_gap, without_gap = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy with ties, BTT": with_ties,
            "accuracy with ties, Bradley-Terry without ties": without,
            "correlation with the true gap, BTT": with_gap,
            "correlation with the true gap, Bradley-Terry without ties": without_gap,
        },
        checks=(
            Check("accuracy gained", differences(with_ties, without), at_least=0.02),
            Check("correlation gained", differences(with_gap, without_gap), at_least=0.005),
        ),
        notes=("where ties carry no noise, learning from them is no better than dropping them",),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float]:
    generator = world(seed)
    truth = torch.randn(_WIDTH, generator=generator)
    truth *= 1.5 / truth.norm()
    first, second, gap = _pairs(_PAIRS, truth, generator)
    label = _labels(gap, generator)
    seen_first, seen_second, seen_gap = _pairs(_HELD_OUT, truth, generator)
    seen_label = _labels(seen_gap, generator)
    tie = label == 0
    chosen = torch.where(label[:, None] >= 0, first, second)
    rejected = torch.where(label[:, None] >= 0, second, first)
    turned = (tie & (torch.rand(_PAIRS, generator=generator) < 0.5))[:, None]
    drawn, other = torch.where(turned, rejected, chosen), torch.where(turned, chosen, rejected)

    def ties(head: ScalarHead) -> Tensor:
        if sabotage:
            return bradley_terry(values(head, drawn), values(head, other))
        return bradley_terry(values(head, chosen), values(head, rejected), tie=tie, tie_theta=_THETA)

    def no_ties(head: ScalarHead) -> Tensor:
        return bradley_terry(values(head, chosen[~tie]), values(head, rejected[~tie]))

    def accuracy(head: ScalarHead) -> float:
        margin = values(head, seen_first) - values(head, seen_second)
        said = torch.where(margin.abs() <= math.log(_THETA), 0, margin.sign())
        return float((said == seen_label).float().mean())

    def correlation(head: ScalarHead) -> float:
        return pearson((values(head, seen_first) - values(head, seen_second)).numpy(), seen_gap.numpy())

    return (
        _best(seed, ties, accuracy),
        _best(seed, no_ties, accuracy),
        _best(seed, ties, correlation),
        _best(seed, no_ties, correlation),
    )


def _best(seed: int, loss: Callable[[ScalarHead], Tensor], quality: Callable[[ScalarHead], float]) -> float:
    head = ScalarHead(_WIDTH, seed=seed)
    return fit_at_best(head, lambda: loss(head), lambda: quality(head), steps=240, every=10)


def _pairs(count: int, truth: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    first, second = torch.randn((2, count, _WIDTH), generator=generator)
    return first, second, (first - second) @ truth


def _labels(gap: Tensor, generator: torch.Generator) -> Tensor:
    """1, 0 (a tie) or -1 by Rao and Kupper: a logistic difference within ``log theta`` is called a tie."""
    felt = gap + torch.rand(gap.shape, generator=generator).clamp(1e-6, 1 - 1e-6).logit()
    return torch.where(felt.abs() <= math.log(_THETA), 0, felt.sign())
