"""HelpSteer2-Preference: pairs weighted by how strong the preference is, after regression on ratings."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, values, world
from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import squared_error
from assay.training.weights import extrapolated

_WIDTH, _PAIRS, _HELD_OUT = 24, 600, 4000


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Ratings 0 to 4 and preferences of strength 1 to 3 by the same noisy raters; regression on the ratings, then from
    its weights Bradley-Terry, and Bradley-Terry scaled by the strength, every stage stopped at its best.

    Sabotage: the strengths are replaced by 1.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    rated, plain, scaled, alone, beyond = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy, regression": rated,
            "accuracy, Bradley-Terry from scratch": alone,
            "accuracy, regression then Bradley-Terry": plain,
            "accuracy, regression then scaled Bradley-Terry": scaled,
            "accuracy, extrapolated by 1.2": beyond,
        },
        checks=(Check("accuracy gained by scaling", differences(scaled, plain), at_least=0.003),),
        notes=("not claimed: a gain over pairs with a margin, over the best regression, or by extrapolation",),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float, float]:
    generator = world(seed)
    truth = torch.randn(_WIDTH, generator=generator)
    truth /= truth.norm()

    def drawn(count: int) -> tuple[Tensor, Tensor]:
        features = torch.randn(2, count, _WIDTH, generator=generator)
        return features, features @ truth

    features, quality = drawn(_PAIRS)
    felt = quality + 0.7 * torch.randn(quality.shape, generator=generator)
    ratings = (2 + felt).round().clamp(0, 4)
    gap = felt[0] - felt[1]
    chosen, rejected = (torch.where((gap > 0)[:, None], features[i], features[1 - i]) for i in (0, 1))
    strength = torch.ones_like(gap) if sabotage else gap.abs().ceil().clamp(1, 3)
    seen, seen_quality = drawn(_HELD_OUT)
    better = seen_quality[0] > seen_quality[1]

    def trained(start: ScalarHead, loss: Callable[[ScalarHead], Tensor], steps: int) -> tuple[ScalarHead, float]:
        head = copy.deepcopy(start)

        def right() -> float:
            return float(((values(head, seen[0]) > values(head, seen[1])) == better).float().mean())

        return head, fit_at_best(head, lambda: loss(head), right, steps=steps, every=10, learning_rate=0.02)

    def pairs(weight: Tensor | None) -> Callable[[ScalarHead], Tensor]:
        return lambda head: bradley_terry(values(head, chosen), values(head, rejected), weight=weight)

    fresh = ScalarHead(_WIDTH, bias=True, seed=seed)
    regression, rated = trained(fresh, lambda head: squared_error(values(head, features), ratings).flatten(), 200)
    _, plain = trained(regression, pairs(None), 100)
    stronger, scaled = trained(regression, pairs(strength), 100)
    _, alone = trained(fresh, pairs(None), 200)
    beyond = copy.deepcopy(stronger)
    beyond.load_state_dict(extrapolated(regression.state_dict(), stronger.state_dict(), 1.2))
    with torch.no_grad():
        extended = ((values(beyond, seen[0]) > values(beyond, seen[1])) == better).float().mean()
    return rated, plain, scaled, alone, float(extended)
