"""MM-RLHF: a reward that writes a critique and scores what it wrote, against one that scores at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from assay.benchmarks.consistency import item_accuracy
from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, outputs, values, world
from assay.models.heads import AttributeHead, ScalarHead
from assay.models.heads.linear import linear
from assay.objectives.likelihood import dynamic_beta
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import binary_cross_entropy

_WIDTH, _WORDS, _PAIRS, _ITEMS, _EACH, _SLIPS = 40, 6, 500, 700, 3, 0.1
_BETA, _SCALE = 0.1, 0.5


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A critique says yes or no of 6 qualities of a response, wrongly one time in ten, and people like responses by
    the qualities, with noise. Learned from 500 pairs with their critiques: the critique (teacher-forced) and a score
    that reads it; at test the reward reads the critique that it wrote itself. The scalar reward is the better of a
    linear and a hidden-layer model, at its best.

    Sabotage: the likelihood of the critiques is left out of the loss.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    critique, scalar, all_right, scalar_all = (tuple(column) for column in zip(*found, strict=True))
    betas = dynamic_beta(torch.tensor([0.0, math.inf], dtype=torch.float64), _BETA, _SCALE)
    off = (betas - torch.tensor([_BETA, _BETA * (1 + _SCALE)], dtype=torch.float64)).abs().tolist()
    return Outcome(
        figures={
            "accuracy, critique then score": critique,
            "accuracy, scalar": scalar,
            "ACC+, critique then score": all_right,
            "ACC+, scalar": scalar_all,
        },
        checks=(
            Check("accuracy gained by the critique", differences(critique, scalar), at_least=0.02),
            Check("beta of a margin of 0 is not beta0 by", (off[0],), at_most=1e-12),
            Check("beta of an endless margin is not beta0 (1 + w) by", (off[1],), at_most=1e-12),
        ),
        notes=("a beta that grows with the margin is no better than a constant one of the same mean",),
    )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Features ``[2, pairs, width]``, critiques ``[2, pairs, words]`` 0 or 1, and whether the first is preferred."""

    features: Tensor
    critiques: Tensor
    first: Tensor


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float]:
    generator = world(seed)
    words = torch.randn((_WORDS, _WIDTH), generator=generator) / _WIDTH**0.5
    worth = torch.rand(_WORDS, generator=generator) + 0.5
    learned = _drawn(words, worth, _PAIRS, generator)
    tested = _drawn(words, worth, _ITEMS * _EACH, generator)
    by_critique = _critique(learned, tested, seed, weight=0.0 if sabotage else 1.0)
    by_scalar = max((_scalar(body, learned, tested) for body in _bodies(seed)), key=lambda found: found[0])
    return by_critique[0], by_scalar[0], by_critique[1], by_scalar[1]


def _drawn(words: Tensor, worth: Tensor, count: int, generator: torch.Generator) -> _Pairs:
    features = torch.randn((2, count, _WIDTH), generator=generator)
    qualities = (features @ words.T > 0).float()
    wrong = torch.rand(qualities.shape, generator=generator) < _SLIPS
    felt = qualities @ worth + 0.5 * torch.randn((2, count), generator=generator)
    return _Pairs(features, torch.where(wrong, 1 - qualities, qualities), felt[0] > felt[1])


def _critique(learned: _Pairs, tested: _Pairs, seed: int, weight: float) -> tuple[float, float]:
    writer, reader = AttributeHead(_WIDTH, tuple("abcdef"), seed=seed), ScalarHead(_WORDS, seed=seed)

    def written(features: Tensor) -> Tensor:
        found = outputs(writer, features.flatten(0, 1)).attributes
        assert found is not None
        return found.reshape(*features.shape[:2], _WORDS)

    def loss() -> Tensor:
        said = binary_cross_entropy(written(learned.features).flatten(), learned.critiques.flatten())
        return _preference(values(reader, learned.critiques), learned.first).mean() + weight * said.mean()

    def scores() -> Tensor:
        return values(reader, (written(tested.features) > 0).float())

    fit_at_best(nn.ModuleList([writer, reader]), loss, lambda: _measured(scores(), tested)[0])
    with torch.no_grad():
        return _measured(scores(), tested)


def _scalar(body: nn.ModuleList, learned: _Pairs, tested: _Pairs) -> tuple[float, float]:
    def scores(pairs: _Pairs) -> Tensor:
        return values(body[-1], body[0](pairs.features))

    fit_at_best(body, lambda: _preference(scores(learned), learned.first), lambda: _measured(scores(tested), tested)[0])
    with torch.no_grad():
        return _measured(scores(tested), tested)


def _bodies(seed: int) -> list[nn.ModuleList]:
    hidden = nn.Sequential(linear(_WIDTH, 32, bias=True, seed=seed), nn.GELU())
    return [
        nn.ModuleList([nn.Identity(), ScalarHead(_WIDTH, seed=seed)]),
        nn.ModuleList([hidden, ScalarHead(32, seed=seed)]),
    ]


def _preference(scores: Tensor, first: Tensor) -> Tensor:
    return bradley_terry(torch.where(first, scores[0], scores[1]), torch.where(first, scores[1], scores[0]))


def _measured(scores: Tensor, pairs: _Pairs) -> tuple[float, float]:
    """Accuracy, equal scores half, and ACC+ over items of three pairs."""
    gap = (scores[0] - scores[1]) * (2 * pairs.first.float() - 1)
    right = (gap > 0).float() + 0.5 * (gap == 0).float()
    return float(right.mean()), item_accuracy(right, torch.arange(_ITEMS).repeat_interleave(_EACH))
