"""FGAIF: rewards for each segment teach a policy in steps where one sum for the whole response does not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit
from assay.claims.paired import differences, outputs, world
from assay.models.heads import StepHead
from assay.objectives.likelihood import weighted_nll
from assay.objectives.stepwise import classification

_SEGMENTS, _VARIANTS, _TYPES, _WIDTH, _BATCH, _STEPS = 24, 24, 3, 12, 8, 20
_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A response of 24 segments, each said in one of 24 ways; objects, attributes and relations in it are wrong,
    absent or right. Three reward models of three classes, trained on labelled segments, score what a policy says;
    20 REINFORCE steps of 8 responses, each arm at its best of six learning rates.

    Sabotage: each segment's reward is replaced by the sum over the response.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    dense, whole, accuracy = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "probability of a right segment, a reward a segment": dense,
            "probability of a right segment, one sum a response": whole,
            "accuracy of the segment reward models": accuracy,
        },
        checks=(Check("gained by a reward a segment", differences(dense, whole), at_least=0.3),),
        notes=("an effect of sample efficiency: after 150 steps both arrive",),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float]:
    generator = world(seed)
    directions = torch.randn((_TYPES, _WIDTH), generator=generator)
    learned, learned_labels = _segments(torch.randint(0, 3, (600, _TYPES), generator=generator), directions, generator)
    labels = torch.randint(0, 3, (_SEGMENTS, _VARIANTS, _TYPES), generator=generator)
    labels[:, 0] = 2
    labels[:, 1:, 0] = torch.randint(0, 2, (_SEGMENTS, _VARIANTS - 1), generator=generator)
    said, _ = _segments(labels.flatten(0, 1), directions, generator)
    heads = [_judge(learned, learned_labels[:, kind], seed) for kind in range(_TYPES)]
    logits = torch.stack([_logits(head, said) for head in heads], 1)
    rewards = (logits.softmax(-1) @ torch.tensor([-1.0, 0.0, 1.0])).sum(-1).reshape(_SEGMENTS, _VARIANTS).detach()
    accuracy = float((logits.argmax(-1) == labels.flatten(0, 1)).float().mean())
    return _best(rewards, seed, whole=sabotage), _best(rewards, seed, whole=True), accuracy


def _segments(labels: Tensor, directions: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    noise = torch.randn((len(labels), _WIDTH), generator=generator)
    return (labels.float() - 1) @ directions + 0.5 * noise, labels


def _judge(segments: Tensor, labels: Tensor, seed: int) -> StepHead:
    head = StepHead(_WIDTH, classes=3, seed=seed)
    fit(head, lambda: classification(_logits(head, segments), labels), steps=150)
    return head


def _logits(head: StepHead, segments: Tensor) -> Tensor:
    found = outputs(head, segments[:, None]).step_logits
    assert found is not None
    return found[:, 0]


def _best(rewards: Tensor, seed: int, *, whole: bool) -> float:
    """The mean over three runs at the best learning rate."""
    return max(sum(_policy(rewards, rate, 3 * seed + run, whole=whole) for run in range(3)) / 3 for rate in _RATES)


def _policy(rewards: Tensor, rate: float, seed: int, *, whole: bool) -> float:
    """The mean probability of a right segment after REINFORCE with the batch mean as baseline."""
    generator = torch.Generator().manual_seed(seed)
    policy = torch.zeros((_SEGMENTS, _VARIANTS), requires_grad=True)
    optimiser = torch.optim.SGD([policy], lr=rate)
    everything = torch.ones((_BATCH, _SEGMENTS), dtype=torch.bool)
    for _ in range(_STEPS):
        logp = policy.log_softmax(-1)
        chosen = torch.multinomial(logp.detach().exp(), _BATCH, replacement=True, generator=generator)
        given = rewards.gather(1, chosen).T
        if whole:
            given = given.sum(1, keepdim=True).expand(-1, _SEGMENTS)
        advantage = given - given.mean(0)
        loss = weighted_nll(logp.gather(1, chosen).T, advantage, everything).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(policy.detach().softmax(-1)[:, 0].mean())
