"""Ctrl-U: where two looks at the same condition disagree, the reward of one counts less."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit
from assay.claims.paired import ratios, values, world
from assay.models.heads import ScalarHead
from assay.objectives.pointwise import squared_error
from assay.transforms.uncertainty import absolute_difference, confidence

_WIDTH, _ROWS = 8, 300


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A linear target seen twice, with noise of .3 and, in 38 % of the space, of 3. Learned from one look weighted by
    ``exp(-|y1 - y2|)``, from one look as it is, and from the mean of the two, the fair baseline.

    Sabotage: the disagreements are those of other rows.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    weighted, mean, single = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "error of the weights, weighted by agreement": weighted,
            "error of the weights, mean of two": mean,
            "error of the weights, one look": single,
        },
        checks=(Check("error over that of the mean of two", ratios(weighted, mean), at_most=0.8),),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float]:
    generator = world(seed)
    truth = torch.randn(_WIDTH, generator=generator)
    rows = torch.randn((_ROWS, _WIDTH), generator=generator)
    noise = torch.where(rows[:, 0] > 0.305, 3.0, 0.3)
    first, second = (rows @ truth + noise * torch.randn(_ROWS, generator=generator) for _ in range(2))
    apart = absolute_difference(first, second)
    if sabotage:
        apart = apart[torch.randperm(_ROWS, generator=generator)]
    weight = confidence(apart)

    def error(loss: Callable[[Tensor], Tensor]) -> float:
        head = ScalarHead(_WIDTH, seed=seed)
        fit(head, lambda: loss(values(head, rows)), steps=200)
        return float((head.linear.weight.detach().flatten() - truth).norm() / truth.norm())

    return (
        error(lambda said: squared_error(said, first, weight=weight)),
        error(lambda said: squared_error(said, (first + second) / 2)),
        error(lambda said: squared_error(said, first)),
    )
