"""MORE: weights of least norm keep the largest of several sources from deciding what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.choices import Choices
from assay.claims.fit import fit
from assay.claims.paired import differences, world
from assay.metrics import calibration_error, equal_width
from assay.models.heads import ScalarHead
from assay.training.gradients import MinNorm, gradients_of

_WIDTH, _SIZES, _HELD_OUT, _BATCH = 16, (1800, 300, 300, 300, 300), 4000, 48


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Five sources of noisy choices that share a preference and drift from it at right angles, one of them six times
    as large. Batches of every source under weights of least norm, against all pairs pooled, from the same start at the
    same rate in the same steps; judged on what they share: accuracy on which response is better, calibration on noisy
    choices.

    Sabotage: the weights follow the sizes of the sources.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    more, pooled, uniform, more_error, pooled_error, uniform_error = (
        tuple(column) for column in zip(*found, strict=True)
    )
    return Outcome(
        figures={
            "accuracy, weights of least norm": more,
            "accuracy, pooled": pooled,
            "accuracy, equal weights": uniform,
            "calibration error, weights of least norm": more_error,
            "calibration error, pooled": pooled_error,
            "calibration error, equal weights": uniform_error,
        },
        checks=(
            Check("accuracy gained over pooled", differences(more, pooled), at_least=0.02),
            Check("calibration error over that of pooled", differences(more_error, pooled_error), at_most=-0.01),
        ),
        notes=("nothing is gained over equal weights of the sources: the gain is that of balance",),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, ...]:
    sources, held_out, better, wins = _world(seed)
    sizes = torch.tensor([float(len(source)) for source in sources])
    least, shares, equal = MinNorm(), sizes / sizes.sum(), torch.full((len(sources),), 1 / len(sources))

    def least_norm(losses: Tensor, head: ScalarHead) -> Tensor:
        return least(gradients_of(list(losses), [head.linear.weight]))

    arms: tuple[Callable[[Tensor, ScalarHead], Tensor], ...] = (
        (lambda losses, head: shares) if sabotage else least_norm,
        lambda losses, head: shares,
        lambda losses, head: equal,
    )
    said = [_trained(seed, sources, weights)(held_out) for weights in arms]
    right = [float(((gap > 0) == better).float().mean()) for gap in said]
    errors = [calibration_error(torch.sigmoid(gap).numpy(), wins.numpy(), binning=equal_width(5)) for gap in said]
    return (*right, *errors)


def _trained(
    seed: int, sources: Sequence[Choices], weigh: Callable[[Tensor, ScalarHead], Tensor]
) -> Callable[[Choices], Tensor]:
    """A head trained on batches of every source, its losses weighed; the gaps it sees in pairs."""
    head = ScalarHead(_WIDTH, seed=seed)
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        rows = [torch.randint(len(source), (_BATCH,), generator=generator) for source in sources]
        losses = torch.stack([source.at(own).loss(head).mean() for source, own in zip(sources, rows, strict=True)])
        return (weigh(losses, head) * losses).sum()

    fit(head, loss, steps=120, learning_rate=0.03)
    return lambda choices: choices.gap(head).detach()


def _world(seed: int) -> tuple[list[Choices], Choices, Tensor, Tensor]:
    """The sources, and pairs judged by what they share: which is better, and which was chosen."""
    generator = world(seed)
    ways = torch.linalg.qr(torch.randn(_WIDTH, 1 + len(_SIZES), generator=generator)).Q.T
    shared, drifts = 1.5 * ways[0], 2.4 * ways[1:]

    def labelled(wants: Tensor, pairs: int) -> tuple[Tensor, Tensor, Tensor]:
        pair = torch.randn(2, pairs, _WIDTH, generator=generator)
        gap = (pair[0] - pair[1]) @ wants
        return pair, gap, gap + torch.rand(pairs, generator=generator).clamp(1e-6, 1 - 1e-6).logit()

    made = [labelled(shared + drift, size) for drift, size in zip(drifts, _SIZES, strict=True)]
    pair, gap, felt = labelled(shared, _HELD_OUT)
    return [Choices.of(own, chosen) for own, _, chosen in made], Choices(pair[0], pair[1]), gap > 0, felt > 0
