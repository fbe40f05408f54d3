"""Domain knowledge as features: a handful of numbers learns from 100 pairs what raw input does not from 1000."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, world
from assay.claims.tables import Table, numbered, preferred
from assay.models.heads.linear import linear
from assay.objectives.pairwise import bradley_terry
from assay.recipes.domain_features import domain_features
from assay.rewards.base import score

_WIDTH, _FEATURES, _FEW, _MANY, _HELD_OUT = 300, 7, 100, 1000, 1500


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """What people like depends on 7 features of an input of 300 numbers, partly as a product. A reward over the
    features, learned from 100 pairs and not stopped at its best, and a reward over the input from 1000 pairs: the
    better of a linear one and a network, each stopped at its best on the held-out pairs.

    Sabotage: the features are replaced by as many coordinates of the input drawn at random.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    features, few, many = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy, input, 100 pairs": few,
            "accuracy, input, 1000 pairs": many,
            "accuracy, features, 100 pairs": features,
        },
        checks=(Check("accuracy gained over the input with 1000 pairs", differences(features, many), at_least=0.05),),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float]:
    generator = world(seed)
    mixing = torch.randn(_WIDTH, _FEATURES, generator=generator) / _WIDTH**0.5
    weight = torch.rand(_FEATURES, generator=generator) + 0.3

    def worth(found: Tensor) -> Tensor:
        return found @ weight + found[..., 0] * found[..., 1]

    pairs = _MANY + _HELD_OUT
    inputs = torch.randn(2, pairs, _WIDTH, generator=generator)
    gap = worth(inputs[0] @ mixing) - worth(inputs[1] @ mixing)
    chance = torch.rand(pairs, generator=generator)
    first = torch.where(torch.arange(pairs) < _MANY, chance < torch.sigmoid(2 * gap), gap > 0)[:, None]
    chosen, rejected = torch.where(first, inputs[0], inputs[1]), torch.where(first, inputs[1], inputs[0])
    flat = torch.cat([chosen, rejected])
    known = flat[:, torch.randperm(_WIDTH, generator=generator)[:_FEATURES]] if sabotage else flat @ mixing
    rewards = [Table(f"feature {k}", known[:, k]) for k in range(_FEATURES)]
    learned = domain_features(*rewards, records=preferred(range(_FEW), range(pairs, pairs + _FEW)), seed=seed)
    scores = score(learned, numbered(2 * pairs, 1)).values.unflatten(0, (2, -1))[:, _MANY:]
    seen = torch.stack([chosen[_MANY:], rejected[_MANY:]])

    def best(count: int) -> float:
        better, worse = chosen[:count], rejected[:count]
        return max(_stopped(model, better, worse, seen) for model in _models(seed))

    return float((scores[0] > scores[1]).float().mean()), best(_FEW), best(_MANY)


def _models(seed: int) -> list[nn.Module]:
    """A linear reward of the input, and a network."""
    straight = linear(_WIDTH, 1, bias=False, seed=seed)
    hidden = linear(_WIDTH, 32, bias=True, seed=seed)
    return [straight, nn.Sequential(hidden, nn.Tanh(), linear(32, 1, bias=False, seed=seed + 1))]


def _stopped(model: nn.Module, chosen: Tensor, rejected: Tensor, seen: Tensor) -> float:
    def loss() -> Tensor:
        return bradley_terry(model(chosen).squeeze(-1), model(rejected).squeeze(-1))

    def right() -> float:
        better, worse = model(seen).squeeze(-1)
        return float((better > worse).float().mean())

    return fit_at_best(model, loss, right, steps=60, every=5, learning_rate=0.01)
