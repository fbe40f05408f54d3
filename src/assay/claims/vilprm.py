"""ViLBench: the product of step scores against one score of the outcome, at equal evidence a read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, outputs, values, world
from assay.models.heads import ScalarHead, StepHead
from assay.models.heads.aggregate import Aggregate, last, product
from assay.objectives import pointwise, stepwise

_TRAIN, _TEST, _CANDIDATES, _STEPS, _WIDTH, _ERROR, _SIGNAL = 200, 600, 8, 6, 6, 0.12, 0.6


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Best of 8 answers of 6 steps, a step going wrong with probability .12; a step is labelled right while the answer
    can still be. The state at each step, and the outcome's, holds the same evidence (+-.6 in noise of 1); both rewards
    are trained on all their labels by cross-entropy and stopped at their best.

    With step noise of correlation .5 the product falls below the outcome reward, which is checked too: the gain is
    that of independent evidence at each step.

    Sabotage: the answer's score is that of its last step instead of the product over steps.
    """
    combine = last if sabotage else product
    apart = [_one(seed, 0.0, combine) for seed in seeds]
    together = [_one(seed, 0.5, combine) for seed in seeds]
    steps, outcome = (tuple(column) for column in zip(*apart, strict=True))
    noisy_steps, noisy_outcome = (tuple(column) for column in zip(*together, strict=True))
    return Outcome(
        figures={
            "best of 8, step scores": steps,
            "best of 8, outcome score": outcome,
            "best of 8, step scores, step noise correlated": noisy_steps,
            "best of 8, outcome score, step noise correlated": noisy_outcome,
        },
        checks=(
            Check("gained by steps", differences(steps, outcome), at_least=0.02),
            Check("gained by steps, step noise correlated", differences(noisy_steps, noisy_outcome), at_most=0.0),
        ),
        notes=("with correlated step noise the product is worse than an outcome reward",),
    )


def _one(seed: int, correlation: float, combine: Aggregate) -> tuple[float, float]:
    generator = world(seed)
    learned, tested = (_World.drawn(count, correlation, generator) for count in (_TRAIN, _TEST))
    steps = StepHead(_WIDTH, aggregate=combine, seed=seed)
    outcome = ScalarHead(_WIDTH, bias=True, seed=seed)

    def step_loss() -> Tensor:
        found = outputs(steps, learned.steps.flatten(0, 1)).steps
        assert found is not None
        return stepwise.binary_cross_entropy(found, learned.right.flatten(0, 1))

    def outcome_loss() -> Tensor:
        return pointwise.binary_cross_entropy(values(outcome, learned.outcome), learned.solved)

    def by_steps() -> float:
        return tested.picked(outputs(steps, tested.steps.flatten(0, 1)).values.reshape(_TEST, _CANDIDATES))

    def by_outcome() -> float:
        return tested.picked(values(outcome, tested.outcome))

    return fit_at_best(steps, step_loss, by_steps, steps=120), fit_at_best(outcome, outcome_loss, by_outcome, steps=120)


class _World:
    """Answers: ``steps`` ``[problems, 8, 6, width]``, ``right`` ``[problems, 8, 6]``, ``outcome`` and ``solved``."""

    def __init__(self, steps: Tensor, right: Tensor, outcome: Tensor) -> None:
        self.steps, self.right, self.outcome = steps, right, outcome
        self.solved = right[..., -1]

    @staticmethod
    def drawn(problems: int, correlation: float, generator: torch.Generator) -> _World:
        shape = (problems, _CANDIDATES, _STEPS)
        right = (torch.rand(shape, generator=generator) > _ERROR).float().cumprod(-1)
        shared = torch.randn((problems, _CANDIDATES, 1, _WIDTH), generator=generator)
        own = torch.randn((*shape, _WIDTH), generator=generator)
        steps = own * (1 - correlation) ** 0.5 + shared * correlation**0.5
        outcome = torch.randn((problems, _CANDIDATES, _WIDTH), generator=generator)
        steps[..., 0] += _SIGNAL * (2 * right - 1)
        outcome[..., 0] += _SIGNAL * (2 * right[..., -1] - 1)
        return _World(steps, right, outcome)

    def picked(self, scores: Tensor) -> float:
        """How often the answer of the highest score is right."""
        return float(self.solved.gather(1, scores.argmax(1, keepdim=True)).mean())
