"""Learning to summarize: a reward learned from comparisons helps, until it is optimised too far."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit
from assay.claims.paired import values, world
from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.rewards.learned import Reference
from assay.search.curve import Curve, best_of_n_curve

_PLAIN, _SATURATING, _PAIRS = 6, 2, 300
_NARROW, _WIDE = 0.5, 1.3
_N = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Gold is linear in some features and saturates in two; the reward is learned from comparisons of responses of a
    narrow policy, and then chooses among 256 responses of a wider one.

    Sabotage: the labels of the comparisons are replaced by the flips of a coin.
    """
    curves, references = zip(*(_one(seed, sabotage) for seed in seeds), strict=True)
    best = tuple(max(curve.gold) for curve in curves)
    random = tuple(curve.gold[0] for curve in curves)
    return Outcome(
        figures={
            "gold of a random response": random,
            "gold of the best of n at its peak": best,
            "gold of the best of 256": tuple(curve.gold[-1] for curve in curves),
            "n at the peak of gold": tuple(float(curve.peak) for curve in curves),
            "learned reward of the best of 256": tuple(curve.proxy[-1] for curve in curves),
        },
        checks=(
            Check("gold gained at the peak", tuple(a - b for a, b in zip(best, random, strict=True)), at_least=1.0),
            Check("smallest rise of the learned reward", tuple(_rise(curve) for curve in curves), at_least=1e-9),
            Check("n at the peak", tuple(float(curve.peak) for curve in curves), at_least=2, at_most=63),
            Check("gold lost after the peak", tuple(curve.fall for curve in curves), at_least=0.5),
            Check("mean reward of reference responses, centred", references, at_least=-1e-5, at_most=1e-5),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[Curve, float]:
    generator = world(seed)
    width = _PLAIN + _SATURATING
    direction = torch.randn(_PLAIN, generator=generator)
    direction *= 0.5 / direction.norm()

    def responses(*shape: int, sd: float) -> Tensor:
        return sd * torch.randn(*shape, width, generator=generator)

    def gold(features: Tensor) -> Tensor:
        late = features[..., _PLAIN:]
        return features[..., :_PLAIN] @ direction + (late - 0.5 * late.square()).sum(-1)

    first, second = responses(_PAIRS, sd=_NARROW), responses(_PAIRS, sd=_NARROW)
    chance = torch.sigmoid(2 * (gold(first) - gold(second)))
    if sabotage:
        chance = torch.full_like(chance, 0.5)
    won = (torch.rand(_PAIRS, generator=generator) < chance)[:, None]
    chosen, rejected = torch.where(won, first, second), torch.where(won, second, first)
    head = ScalarHead(width, seed=seed)
    fit(head, lambda: bradley_terry(values(head, chosen), values(head, rejected)), steps=150)
    with torch.no_grad():
        reference = values(head, responses(500, sd=_NARROW))
        centre = Reference.of(reference).mean
        many = responses(100, _N[-1], sd=_WIDE)
        curve = best_of_n_curve(values(head, many) - centre, gold(many), _N)
    return curve, float((reference.double() - centre).mean())


def _rise(curve: Curve) -> float:
    return min(after - before for before, after in zip(curve.proxy, curve.proxy[1:], strict=False))
