"""Context-conditioned preference: the context decides, and a few labels say which context it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.choices import Choices
from assay.claims.fit import fit, fit_at_best
from assay.claims.paired import differences, world
from assay.models.heads import ScalarHead
from assay.rewards.contexts import context_posterior

_WIDTH, _CONTEXTS, _PAIRS, _HELD_OUT, _LABELS = 10, 4, 600, 1000, 5


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Four contexts with preferences of their own; a reward conditioned on the context against one that is not, how
    often it turns round where the truth does, and how often five labels single the context out.

    Sabotage: the conditioned reward is given the context of another pair.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    conditioned, plain, turned, picked = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy, conditioned on the context": conditioned,
            "accuracy without context": plain,
            "reversals found": turned,
            "context picked by five labels": picked,
        },
        checks=(
            Check("accuracy gained", differences(conditioned, plain), at_least=0.2),
            Check("reversals found", turned, at_least=0.65),
            Check("context picked by five labels", picked, at_least=0.75),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float, float]:
    generator = world(seed)
    wants = torch.randn(_CONTEXTS, _WIDTH, generator=generator)
    train, _ = _drawn(wants, _PAIRS, generator)
    held_out, context = _drawn(wants, _HELD_OUT, generator)
    learned = train
    if sabotage:
        assert train.condition is not None
        learned = Choices(train.chosen, train.rejected, train.condition.roll(1, 0))
    head = ScalarHead(_WIDTH, condition=_CONTEXTS, seed=seed)
    fit(head, lambda: learned.loss(head), steps=150)
    plain = ScalarHead(_WIDTH, seed=seed)
    baseline = fit_at_best(plain, lambda: train.loss(plain), lambda: held_out.accuracy(plain), steps=150)
    with torch.no_grad():
        gaps = torch.stack([_under(held_out, number).gap(head) for number in range(_CONTEXTS)])
        truth = (held_out.chosen - held_out.rejected) @ wants.T
        turns = torch.sign(truth[:, 0]) != torch.sign(truth[:, 1])
        right = (torch.sign(gaps[:2].T) == torch.sign(truth[:, :2])).all(-1)
        sets = [torch.nonzero(context == number).flatten().split(_LABELS) for number in range(_CONTEXTS)]
        posterior = torch.stack([context_posterior(gaps[:, rows]) for each in sets for rows in each])
        true = torch.tensor([number for number, each in enumerate(sets) for _ in each])
    return (
        held_out.accuracy(head),
        baseline,
        float(right[turns].float().mean()),
        float((posterior.argmax(-1) == true).float().mean()),
    )


def _under(choices: Choices, context: int) -> Choices:
    """The same pairs, all judged under one context."""
    condition = F.one_hot(torch.full((len(choices),), context), _CONTEXTS).float()
    return Choices(choices.chosen, choices.rejected, condition)


def _drawn(wants: Tensor, pairs: int, generator: torch.Generator) -> tuple[Choices, Tensor]:
    context = torch.randint(_CONTEXTS, (pairs,), generator=generator)
    pair = torch.randn(2, pairs, _WIDTH, generator=generator)
    condition = F.one_hot(context, _CONTEXTS).float()
    return Choices.of(pair, ((pair[0] - pair[1]) * wants[context]).sum(-1), condition), context
