"""VPL: who a person is, read off a few of their choices, tells apart people that one reward averages away."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.claims.base import Check, Outcome
from assay.claims.choices import Choices
from assay.claims.fit import fit_at_best
from assay.claims.paired import differences, world
from assay.models.heads.latent_user import LatentUserEncoder, LatentUserHead
from assay.objectives.pluralistic import active_units, gaussian_kl, reparameterised

_WIDTH, _PEOPLE, _KNOWN, _ASKED, _LATENT = 6, 150, 8, 8, 2


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Two kinds of people opposed in what weighs most and alike in the rest, known by eight pairs each. Against one
    reward for all; all are stopped at their best. With a weight of 10 on the divergence from the prior nothing is
    learned of people, and the reward is that for all.

    Sabotage: the pairs by which a person is known are another person's.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    latent, plain, cosine, collapsed, units, collapsed_units = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy, latent user": latent,
            "accuracy, one reward for all": plain,
            "accuracy, divergence weighed by 10": collapsed,
            "cosine between the mean latents of the two kinds": cosine,
            "active units": units,
            "active units, divergence weighed by 10": collapsed_units,
        },
        checks=(
            Check("accuracy gained", differences(latent, plain), at_least=0.25),
            Check("cosine between the two kinds", cosine, at_most=-0.5),
            Check("difference after collapse", differences(collapsed, plain), at_least=-0.02, at_most=0.02),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, ...]:
    drawn = world(seed)
    train, held_out = _people(drawn, sabotage), _people(drawn, sabotage)
    kind = torch.arange(_PEOPLE) % 2

    def latent(weight: float) -> tuple[float, Tensor]:
        encoder, head = (
            LatentUserEncoder(_WIDTH, _LATENT, width=24, seed=seed),
            LatentUserHead(_WIDTH, _LATENT, width=24, seed=seed),
        )
        generator = torch.Generator().manual_seed(seed)

        def loss() -> Tensor:
            mean, log_variance = encoder(*train[0])
            asked = _asked(train[1], reparameterised(mean, log_variance, generator))
            return asked.loss(head).mean() + weight * gaussian_kl(mean, log_variance).mean()

        def quality() -> float:
            return _asked(held_out[1], encoder(*held_out[0])[0]).accuracy(head)

        best = fit_at_best(nn.ModuleList([encoder, head]), loss, quality, steps=200, every=10, learning_rate=0.02)
        return best, encoder(*held_out[0])[0].detach()

    (best, means), (collapsed, flat) = latent(0.01), latent(10.0)
    one, other = means[kind == 0].mean(0), means[kind == 1].mean(0)
    plain = LatentUserHead(_WIDTH, _LATENT, width=24, seed=seed)
    nobody = torch.zeros(_PEOPLE, _LATENT)
    baseline = fit_at_best(
        plain,
        lambda: _asked(train[1], nobody).loss(plain),
        lambda: _asked(held_out[1], nobody).accuracy(plain),
        steps=200,
        every=10,
        learning_rate=0.02,
    )
    cosine = float(torch.cosine_similarity(one, other, dim=0))
    return best, baseline, cosine, collapsed, float(active_units(means)), float(active_units(flat))


def _people(generator: torch.Generator, swapped: bool) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The pairs people are known by and those they are asked, each chosen and rejected ``[people, pairs, width]``."""
    pair = torch.randn(2, _PEOPLE, _KNOWN + _ASKED, _WIDTH, generator=generator)
    opposed = 1.0 - 2.0 * (torch.arange(_PEOPLE) % 2)
    worth = 2.0 * opposed[:, None] * pair[..., 0] + pair[..., 1]
    first = (worth[0] > worth[1])[..., None]
    chosen, rejected = torch.where(first, pair[0], pair[1]), torch.where(first, pair[1], pair[0])
    known = (chosen[:, :_KNOWN], rejected[:, :_KNOWN])
    if swapped:
        order = torch.randperm(_PEOPLE, generator=generator)
        known = (known[0][order], known[1][order])
    return known, (chosen[:, _KNOWN:], rejected[:, _KNOWN:])


def _asked(pairs: tuple[Tensor, Tensor], people: Tensor) -> Choices:
    return Choices(pairs[0].flatten(0, 1), pairs[1].flatten(0, 1), people.repeat_interleave(_ASKED, 0))
