"""HelpSteer2: regression on whatever attributes were rated, and a policy brought to a wanted attribute."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit, fit_at_best
from assay.claims.paired import differences, outputs, values, world
from assay.models.heads import AttributeHead
from assay.objectives.likelihood import weighted_nll
from assay.objectives.pointwise import mean_of_known, squared_error
from assay.recipes.helpsteer2 import ATTRIBUTES, GOODNESS
from assay.search.rejection import importance, rating_probability

_WIDTH, _ROWS, _HELD_OUT, _RATED = 24, 300, 3000, 0.7
_PROMPTS, _RESPONSES, _SAMPLES, _STEPS = 8, 12, 40, 600


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Five attributes, each rated with probability .7: regression on every rating that is there, by the accuracy of the
    weighted sum, beside the better of two that do without the mask: the fully rated responses alone, and 0 for what is
    missing. Then SteerLM 2 on a table of responses: the policy that weighted samples make, and its goal.

    Sabotage: the ratings are lost; the missing ones become 0, and the goal of SteerLM 2 has no attribute.
    """
    masked, complete, zeros = zip(*(_regression(seed, sabotage) for seed in seeds), strict=True)
    unmasked = tuple(map(max, complete, zeros))
    before, after = zip(*(_steered(seed, sabotage) for seed in seeds), strict=True)
    return Outcome(
        figures={
            "accuracy, fully rated responses alone": complete,
            "accuracy, 0 for what is missing": zeros,
            "accuracy, every rating there is": masked,
            "KL from the goal before": before,
            "KL from the goal after": after,
        },
        checks=(
            Check("accuracy gained by the mask", differences(masked, unmasked), at_least=0.01),
            Check("KL from the goal after", after, at_most=1e-2),
            Check("KL from the goal before", before, at_least=0.1),
        ),
    )


def _regression(seed: int, sabotage: bool) -> tuple[float, float, float]:
    generator = world(seed)
    truth = torch.randn(_WIDTH, len(ATTRIBUTES), generator=generator) / _WIDTH**0.5

    def rated(count: int) -> tuple[Tensor, Tensor]:
        features = torch.randn(count, _WIDTH, generator=generator)
        return features, (2 + features @ truth).clamp(0, 4)

    features, ratings = rated(_ROWS)
    noisy = (ratings + 0.7 * torch.randn(ratings.shape, generator=generator)).round().clamp(0, 4)
    there = torch.rand(noisy.shape, generator=generator) < _RATED
    zeros = torch.where(there, noisy, 0.0)
    partly = zeros if sabotage else torch.where(there, noisy, torch.nan)
    fully = torch.where(there.all(1, keepdim=True), noisy, torch.nan)
    seen, attributes = rated(2 * _HELD_OUT)
    good = (attributes @ torch.tensor(GOODNESS)).unflatten(0, (2, -1))

    def accuracy(targets: Tensor) -> float:
        head = AttributeHead(_WIDTH, ATTRIBUTES, weights=GOODNESS, seed=seed)

        def loss() -> Tensor:
            found = outputs(head, features).attributes
            assert found is not None
            return mean_of_known(squared_error(found, targets), targets)

        def right() -> float:
            first, second = values(head, seen).unflatten(0, (2, -1))
            return float(((first > second) == (good[0] > good[1])).float().mean())

        return fit_at_best(head, loss, right, steps=150, every=15)

    return accuracy(partly), accuracy(fully), accuracy(zeros)


def _steered(seed: int, sabotage: bool) -> tuple[float, float]:
    generator = world(seed)
    start = torch.randn(_PROMPTS, _RESPONSES, generator=generator).log_softmax(-1)
    helpful = torch.rand(_PROMPTS, _RESPONSES, generator=generator)
    wanted = rating_probability(helpful)[..., 3].log()
    goal = (wanted + start).log_softmax(-1)
    aim = start if sabotage else goal
    logits = torch.nn.Parameter(start.clone())

    def loss() -> Tensor:
        drawn = torch.multinomial(start.exp(), _SAMPLES, replacement=True, generator=generator)
        policy = logits.log_softmax(-1).gather(1, drawn)
        weight = importance(aim.gather(1, drawn), policy, start.gather(1, drawn))
        return weighted_nll(policy, weight, torch.ones_like(policy, dtype=torch.bool))

    for rate in (0.05, 0.01, 0.002):
        fit([logits], loss, steps=_STEPS // 3, learning_rate=rate)
    return _divergence(goal, start), _divergence(goal, logits.detach().log_softmax(-1))


def _divergence(goal: Tensor, policy: Tensor) -> float:
    """``KL(goal || policy)`` in nats, mean over prompts."""
    return float((goal.exp() * (goal - policy)).sum(-1).mean())
