"""Reward ensembles: members with features of their own are hacked less than one member."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit
from assay.claims.paired import differences, values, world
from assay.claims.tables import Table, numbered
from assay.metrics import pearson
from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry, centred
from assay.recipes.reward_ensembles import reward_ensembles
from assay.records import Record
from assay.rewards.base import Reward
from assay.search.best_of_n import pick

_WIDTH, _FEATURES, _PAIRS, _MEMBERS = 10, 64, 400, 5
_PROMPTS, _CANDIDATES, _SHIFT = 100, 64, 1.8


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Rewards linear in random features of their own ("pretraining"), learned from 400 comparisons, choose the best of
    64 responses spread wider than those compared; one member (the mean over the five), and the ensemble.

    Sabotage: every member is given the features and the start of the first.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    single, together, inside, outside = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "gold of the best of 64, one member": single,
            "gold of the best of 64, ensemble": together,
            "correlation of members, where compared": inside,
            "correlation of members, where optimised": outside,
        },
        checks=(
            Check("gold gained", differences(together, single), at_least=0.5),
            Check("agreement lost where optimised", differences(inside, outside), at_least=0.02),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float]:
    generator = world(seed)
    direction, curve = torch.randn(2, _WIDTH, generator=generator)

    def gold(x: Tensor) -> Tensor:
        return x @ direction + 0.5 * (x @ curve).abs()

    first, second = torch.randn(2, _PAIRS, _WIDTH, generator=generator)
    won = (torch.rand(_PAIRS, generator=generator) < torch.sigmoid(gold(first) - gold(second)))[:, None]
    chosen, rejected = torch.where(won, first, second), torch.where(won, second, first)
    known = torch.randn(500, _WIDTH, generator=generator)
    many = _SHIFT * torch.randn(_PROMPTS * _CANDIDATES, _WIDTH, generator=generator)
    everywhere = torch.cat([many, known])
    members = [
        Table(f"member {m}", _member(seed * 100 + (1 if sabotage else m + 1), chosen, rejected, everywhere))
        for m in range(_MEMBERS)
    ]
    records = numbered(_PROMPTS, _CANDIDATES)
    reference = numbered(len(known), 1, first=len(many))
    together = reward_ensembles(*members, reference=reference)
    truth = gold(many)
    alone = [_worth(member, records, truth) for member in members]
    near, far = slice(len(many), None), slice(0, len(many))
    return sum(alone) / _MEMBERS, _worth(together, records, truth), _agreement(members, near), _agreement(members, far)


def _member(seed: int, chosen: Tensor, rejected: Tensor, everywhere: Tensor) -> Tensor:
    generator = world(seed)
    layer = torch.randn(_WIDTH + 1, _FEATURES, generator=generator)
    layer[-1] *= 2.0

    def features(x: Tensor) -> Tensor:
        return torch.relu(x @ layer[:-1] + layer[-1]) / _FEATURES**0.5

    head = ScalarHead(_FEATURES, seed=seed)
    better, worse = features(chosen), features(rejected)
    fit(head, lambda: centred(bradley_terry, 0.01)(values(head, better), values(head, worse)), steps=200)
    with torch.no_grad():
        return values(head, features(everywhere))


def _worth(reward: Reward, records: Sequence[Record], gold: Tensor) -> float:
    best = [choice.index or 0 for choice in pick(reward, records, batch=10_000)]
    return float(gold[torch.arange(_PROMPTS) * _CANDIDATES + torch.tensor(best)].mean())


def _agreement(members: Sequence[Table], where: slice) -> float:
    found = [pearson(a.values[where], b.values[where]) for a, b in combinations(members, 2)]
    return sum(found) / len(found)
