"""MJ-VIDEO: gates that read the prompt find which aspect matters, and a penalty keeps the others shut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from assay.claims.base import Check, Outcome
from assay.claims.choices import Choices, Perceptron
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, world
from assay.models.heads.attributes import AttributeHead
from assay.models.heads.gated import GatedHead, gate_penalty
from assay.objectives.pointwise import squared_error

_WIDTH, _PAIRS, _HELD_OUT, _NOISE = 8, 800, 1000, 0.8
_GROUPS = {"motion": ("smooth", "steady", "real"), "match": ("objects", "actions", "count")}


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Two aspects of three criteria; the prompt decides which aspect the preference follows, criteria are rated with
    noise. Gated, against the uniform mean of the same criteria; both learn from the same ratings and pairs.

    Sabotage: the gates read a prompt of zeros.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    gated, idle, free, uniform, without = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy, gated": gated,
            "accuracy, uniform mean of criteria": uniform,
            "accuracy, perceptron without criteria": without,
            "weight on the aspect that does not matter, with the penalty": idle,
            "weight on the aspect that does not matter, without": free,
        },
        checks=(
            Check("accuracy gained over the uniform mean", differences(gated, uniform), at_least=0.08),
            Check("weight on the aspect that does not matter", idle, at_most=0.1),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, ...]:
    generator = world(seed)
    criteria = torch.randn(6, _WIDTH, generator=generator) / _WIDTH**0.5
    decides = torch.randn(_WIDTH, generator=generator)
    train, labels, aspect = _drawn(criteria, decides, _PAIRS, generator)
    held_out, _, held_aspect = _drawn(criteria, decides, _HELD_OUT, generator)
    if sabotage:
        train = Choices(train.chosen, train.rejected, prompt=torch.zeros_like(train.chosen))
        held_out = Choices(held_out.chosen, held_out.rejected, prompt=torch.zeros_like(held_out.chosen))
    relevant = torch.nn.functional.one_hot(aspect, 2).float().repeat(2, 1)
    means = labels.reshape(-1, 2, 3).mean(-1)

    def gated(penalty: float) -> tuple[float, float]:
        head = GatedHead(_WIDTH, _GROUPS, gate_width=16, seed=seed)

        def loss() -> Tensor:
            said = train.outputs(head)
            assert said.attributes is not None
            rated = squared_error(said.attributes, torch.cat([labels, means], -1)).mean()
            closed = gate_penalty(said.extra["gates"], relevant).mean()
            return train.loss(head).mean() + rated + penalty * closed

        best = _best(head, loss, held_out)
        gates = held_out.outputs(head).extra["gates"].detach()
        return best, 1.0 - float(gates.gather(1, held_aspect.repeat(2)[:, None]).mean())

    plain = AttributeHead(_WIDTH, [f"{number}" for number in range(6)], seed=seed)

    def uniform() -> Tensor:
        attributes = train.outputs(plain).attributes
        assert attributes is not None
        return train.loss(plain).mean() + squared_error(attributes, labels).mean()

    network = Perceptron(2 * _WIDTH, 64, seed=seed)
    return (
        *gated(1.0),
        gated(0.0)[1],
        _best(plain, uniform, held_out),
        _best(network, lambda: train.loss(network), held_out),
    )


def _best(head: nn.Module, loss: Callable[[], Tensor], held_out: Choices) -> float:
    return fit_at_best(head, loss, lambda: held_out.accuracy(head), steps=120, learning_rate=0.02)


def _drawn(criteria: Tensor, decides: Tensor, pairs: int, generator: torch.Generator) -> tuple[Choices, Tensor, Tensor]:
    """Pairs, noisy criteria of every response (chosen first) ``[2 pairs, 6]``, and the aspect that matters."""
    prompt = torch.randn(pairs, _WIDTH, generator=generator)
    pair = torch.randn(2, pairs, _WIDTH, generator=generator)
    aspect = (prompt @ decides > 0).long()
    matters = criteria.reshape(2, 3, _WIDTH).mean(1)[aspect]
    made = Choices.of(pair, ((pair[0] - pair[1]) * matters).sum(-1), prompt=prompt)
    rated = torch.cat([made.chosen, made.rejected]) @ criteria.T
    return made, rated + _NOISE * torch.randn(rated.shape, generator=generator), aspect
