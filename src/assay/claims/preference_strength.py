"""Secrets of RLHF II: ten rewards vote on which labels are wrong, and learning improves without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit, fit_at_best
from assay.claims.paired import differences, world
from assay.claims.tables import Table, preferred
from assay.curation.strength import flip, margins, soft
from assay.curation.strength import preference_strength as strength_of
from assay.metrics import auroc
from assay.models.heads.linear import linear
from assay.objectives.pairwise import bradley_terry
from assay.recipes.preference_strength import preference_strength
from assay.records import Record
from assay.rewards.base import score
from assay.training.feedback import pairs_of
from assay.training.gradients import meta_reward_step, score_spread

_WIDTH, _HIDDEN, _PAIRS, _HELD_OUT = 8, 32, 800, 2000
_FLIPPED, _MEMBERS, _STEPS = 0.25, 10, 200


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A quarter of the labels is wrong. Ten small networks from starts of their own learn from all pairs; the pairs
    they vote against are flipped, or half trusted, and a network learns anew. Its accuracy is taken after equal steps,
    and at its best on the held-out pairs, which no one has who has only wrong labels too. The update of the
    meta-learned reward is checked against its formula alone.

    Sabotage: each pair is given the strength of another pair, drawn at random.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    detected, best, base, best_flipped, flipped, best_softened, softened = zip(*found, strict=True)
    return Outcome(
        figures={
            "accuracy, labels as given": base,
            "accuracy, flipped by the vote": flipped,
            "accuracy, softened by the vote": softened,
            "accuracy at its best, labels as given": best,
            "accuracy at its best, flipped by the vote": best_flipped,
            "accuracy at its best, softened by the vote": best_softened,
        },
        checks=(
            Check("area under the curve of finding wrong labels", detected, at_least=0.88),
            Check("accuracy gained by flipping", differences(flipped, base), at_least=0.06),
            Check("accuracy gained by softening", differences(softened, base), at_least=0.03),
            Check("accuracy gained by softening, both at their best", differences(best_softened, best), at_least=0.005),
            Check("meta step, distance from its formula", tuple(map(_meta, seeds)), at_most=1e-12),
        ),
        notes=(
            "not claimed: that flipping beats a network stopped at its best on clean labels; a gain of accuracy by the "
            "margin on top of flipping, or by the meta-learned reward",
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, ...]:
    generator = world(seed)
    truth = _network(seed=1_000_000 + seed, scale=1.3)

    def pairs(count: int) -> tuple[Tensor, Tensor]:
        drawn = torch.randn(2, count, _WIDTH, generator=generator)
        with torch.no_grad():
            gap = truth(drawn[0]) - truth(drawn[1])
        ordered = torch.where((gap > 0)[None, :, None], drawn, drawn.flip(0))
        return ordered[0], ordered[1]

    better, worse = pairs(_PAIRS)
    wrong = torch.rand(_PAIRS, generator=generator) < _FLIPPED
    features = torch.cat([torch.where(wrong[:, None], worse, better), torch.where(wrong[:, None], better, worse)])
    records = preferred(range(_PAIRS), range(_PAIRS, 2 * _PAIRS))
    held_better, held_worse = pairs(_HELD_OUT)

    def loss(model: nn.Module, found: Sequence[Record]) -> Callable[[], Tensor]:
        known = pairs_of(found)
        place = torch.arange(2 * _PAIRS).unflatten(0, (2, -1)).T.flatten()
        chosen, rejected = features[place[known.better]], features[place[known.worse]]
        return lambda: bradley_terry(model(chosen), model(rejected), probability=known.probability)

    def accuracies(found: Sequence[Record]) -> tuple[float, float]:
        """Stopped at the best, and at the end of the steps."""
        model = _network(seed=seed)
        seen: list[float] = []

        def right() -> float:
            seen.append(float((model(held_better) > model(held_worse)).float().mean()))
            return seen[-1]

        return fit_at_best(model, loss(model, found), right, steps=_STEPS, every=15, learning_rate=0.02), seen[-1]

    order = torch.randperm(_PAIRS, generator=generator) if sabotage else torch.arange(_PAIRS)
    members: list[Table] = []
    for number in range(_MEMBERS):
        model = _network(seed=100 * seed + 2 * number)
        fit(model, loss(model, records), steps=30, learning_rate=0.01)
        with torch.no_grad():
            members.append(Table(f"member {number}", model(features).unflatten(0, (2, -1))[:, order].flatten()))
    strength, _ = strength_of(margins([score(member, records) for member in members], records))
    flipped, softened = (preference_strength(*members, policies=[policy])(records) for policy in (flip(), soft(0.5)))
    return auroc(-strength, wrong), *accuracies(records), *accuracies(flipped), *accuracies(softened)


def _network(*, seed: int, scale: float = 1.0) -> nn.Module:
    """A hidden layer and a number, from a seed."""
    first, last = linear(_WIDTH, _HIDDEN, bias=True, seed=seed), linear(_HIDDEN, 1, bias=True, seed=seed + 1)
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.mul_(scale)
    return nn.Sequential(first, nn.Tanh(), last, nn.Flatten(0))


def _meta(seed: int) -> float:
    """How far one meta step on a linear reward is from its formula."""
    generator = world(seed)
    weight = nn.Parameter(torch.randn(4, generator=generator, dtype=torch.float64))
    unlabelled = torch.randn(6, 3, 4, generator=generator, dtype=torch.float64)
    chosen, rejected = torch.randn(2, 8, 4, generator=generator, dtype=torch.float64)

    def spread(at: Tensor) -> Tensor:
        return score_spread(unlabelled @ at).mean()

    def loss(at: Tensor) -> Tensor:
        return bradley_terry(chosen @ at, rejected @ at).mean()

    (ahead,) = torch.autograd.grad(spread(weight), weight)
    moved = (weight.detach() + 0.1 * ahead).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(moved), moved)
    expected = weight.detach() - 0.2 * gradient
    meta_reward_step([weight], lambda: spread(weight), lambda: loss(weight), eta=0.1, alpha=0.2)
    return float((weight.detach() - expected).abs().max())
