"""Transforming and combining rewards: a sum of log-sigmoids chooses what is good in both respects."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.paired import differences, world
from assay.claims.tables import Table, numbered
from assay.recipes.log_sigmoid_combination import log_sigmoid_combination
from assay.records import Record
from assay.rewards.base import Reward, combine
from assay.search.best_of_n import pick
from assay.transforms.combine import weighted_sum

_PROMPTS, _CANDIDATES = 400, 16


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Two qualities that exclude one another, two rewards that see them with noise and, on 3 % of the responses, with a
    spurious spike; best of 16 by the sum of both, and by the recipe. Good is a quality above its mean.

    Sabotage: the log-sigmoid is left out, and the centred rewards are summed as they are.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    summed, recipe, summed_worst, recipe_worst, alone = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "good in both, raw sum": summed,
            "good in both, sum of log-sigmoids": recipe,
            "lower of the two qualities, raw sum": summed_worst,
            "lower of the two qualities, sum of log-sigmoids": recipe_worst,
        },
        checks=(
            Check("share good in both, gained", differences(recipe, summed), at_least=0.06),
            Check("choices of one reward alone that the transform changes", alone, at_most=0.0),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float, float]:
    generator = world(seed)
    size = _PROMPTS * _CANDIDATES
    first, other = torch.randn(2, size, generator=generator, dtype=torch.float64)
    truth = torch.stack([first, -0.6 * first + 0.8 * other])
    noise = 0.4 * torch.randn(2, size, generator=generator, dtype=torch.float64)
    spikes = 6.0 * (torch.rand(2, size, generator=generator) < 0.03)
    rewards = [Table(name, seen) for name, seen in zip(("helpful", "harmless"), truth + noise + spikes, strict=True)]
    records = numbered(_PROMPTS, _CANDIDATES)
    raw = combine(*rewards, by=weighted_sum(1.0, 1.0))
    recipe = raw if sabotage else log_sigmoid_combination(*rewards, reference=records, quantile=0.7)
    single = log_sigmoid_combination(rewards[0], reference=records)
    by_sum, by_recipe = truth[:, _chosen(raw, records)], truth[:, _chosen(recipe, records)]
    changed = _chosen(single, records) != _chosen(rewards[0], records)
    return (
        _share((by_sum > 0).all(0)),
        _share((by_recipe > 0).all(0)),
        float(by_sum.amin(0).mean()),
        float(by_recipe.amin(0).mean()),
        float(changed.sum()),
    )


def _chosen(reward: Reward, records: Sequence[Record]) -> Tensor:
    """The place of the best response of each record."""
    best = [choice.index or 0 for choice in pick(reward, records)]
    return torch.arange(_PROMPTS) * _CANDIDATES + torch.tensor(best)


def _share(found: Tensor) -> float:
    return float(found.double().mean())
