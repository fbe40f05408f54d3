"""ReMoDetect: a reward already scores aligned models' text higher; a little training makes a detector of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit
from assay.claims.paired import differences, values, world
from assay.metrics import auroc
from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import squared_error
from assay.recipes.remodetect import FAR, NEAR, REPLAY, level_loss

_WIDTH, _PAIRS, _TEXTS, _HELD_OUT = 24, 600, 500, 2000


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Texts of models, of people, and mixed; models' texts are shifted, in part along what people prefer. A reward
    learned from preferences, as it is, and trained on by the recipe's loss with its own scores on its preference data
    as the replay; the area under the ROC curve on texts held out.

    Sabotage: which text is the model's is drawn at random in training.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    before, after, kept_before, kept = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "AUROC, the reward as it is": before,
            "AUROC, trained on": after,
            "accuracy on its preferences before": kept_before,
            "accuracy on its preferences after": kept,
        },
        checks=(
            Check("AUROC gained", differences(after, before), at_least=0.02),
            Check("accuracy on its preferences after", kept, at_least=0.8),
        ),
        notes=("not claimed: that the mixed texts add to the gain",),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float]:
    generator = world(seed)
    liked, other = (direction / direction.norm() for direction in torch.randn(2, _WIDTH, generator=generator))
    shift = 0.5 * liked + 0.8 * other

    def texts(count: int, share: float) -> Tensor:
        return torch.randn(count, _WIDTH, generator=generator) + share * shift

    first, second = torch.randn(2, _PAIRS, _WIDTH, generator=generator)
    won = (torch.rand(_PAIRS, generator=generator) < torch.sigmoid(3 * (first - second) @ liked))[:, None]
    chosen, rejected = torch.where(won, first, second), torch.where(won, second, first)
    reward = ScalarHead(_WIDTH, seed=seed)
    fit(reward, lambda: bradley_terry(values(reward, chosen), values(reward, rejected)), steps=80)
    with torch.no_grad():
        replay = torch.cat([chosen, rejected])
        teacher = values(reward, replay)
    levels = torch.stack([texts(_TEXTS, share) for share in (1.0, 0.5, 0.0)])
    if sabotage:
        order = torch.rand(3, _TEXTS, generator=generator).argsort(0)
        levels = levels.gather(0, order[..., None].expand_as(levels))
    tuned = copy.deepcopy(reward)

    def loss() -> Tensor:
        machine, mixed, human = values(tuned, levels)
        pairs = ((machine, mixed), (machine, human), (mixed, human))
        told = [level_loss(a, b, weight=weight).mean() for weight, (a, b) in zip((NEAR, FAR, NEAR), pairs, strict=True)]
        return sum(told, REPLAY * squared_error(values(tuned, replay), teacher).mean())

    fit(tuned, loss, steps=40, learning_rate=0.01)
    seen = torch.cat([texts(_HELD_OUT, 1.0), texts(_HELD_OUT, 0.0)])
    truth = torch.arange(len(seen)) < _HELD_OUT
    better, worse = torch.randn(2, _HELD_OUT, _WIDTH, generator=generator)
    right = (better - worse) @ liked > 0

    def measured(head: ScalarHead) -> tuple[float, float]:
        with torch.no_grad():
            agrees = (values(head, better) > values(head, worse)) == right
            return auroc(values(head, seen), truth), float(agrees.float().mean())

    (before, kept_before), (after, kept) = measured(reward), measured(tuned)
    return before, after, kept_before, kept
