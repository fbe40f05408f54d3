"""Word of mouth: the same text means another rating from another customer; text and profile together say which."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import ratios
from assay.models.heads.fusion import ConcatFusionHead
from assay.models.outputs import States
from assay.objectives.pointwise import squared_error

_WIDTH, _ROWS, _HELD_OUT, _NOISE = 8, 800, 1000, 0.4


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A rating of what a text says, of who the customer is, and of how the customer takes such a text. Text and profile
    fused, against the better of either alone; the same head, data and steps, all stopped at their best.

    Sabotage: the profiles are dealt out at random.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    both, text, profile = (tuple(column) for column in zip(*found, strict=True))
    better = tuple(min(pair) for pair in zip(text, profile, strict=True))
    return Outcome(
        figures={"error, text and profile": both, "error, text alone": text, "error, profile alone": profile},
        checks=(Check("error over the better of either alone", ratios(both, better), at_most=0.85),),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, ...]:
    train, held_out = _world(seed, _ROWS, 1, sabotage), _world(seed, _HELD_OUT, 2, sabotage)
    return tuple(_error(seed, train, held_out, kept) for kept in ((True, True), (True, False), (False, True)))


def _error(seed: int, train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], kept: tuple[bool, bool]) -> float:
    """The lowest root mean square error with only the modalities that are kept."""
    head = ConcatFusionHead(_WIDTH, 2, width=32, seed=seed)
    mask = torch.tensor(kept)[:, None]

    def loss(world: tuple[Tensor, Tensor]) -> Tensor:
        shown = torch.where(mask, world[0], torch.nan)
        return squared_error(head(States(shown.flatten(0, 1), (2,) * len(shown))).values, world[1]).mean()

    best = fit_at_best(
        head, lambda: loss(train), lambda: -float(loss(held_out)), steps=300, every=10, learning_rate=0.01
    )
    return (-best) ** 0.5


def _world(seed: int, rows: int, part: int, shuffled: bool) -> tuple[Tensor, Tensor]:
    """Text and profile ``[rows, 2, width]``, and ratings ``[rows]``."""
    says, who, takes = torch.randn(3, _WIDTH, generator=torch.Generator().manual_seed(seed)) / _WIDTH**0.5
    generator = torch.Generator().manual_seed(1000 * part + seed)
    text, profile = torch.randn(2, rows, _WIDTH, generator=generator)
    sentiment = text @ says
    rating = sentiment + 0.5 * profile @ who + sentiment * (profile @ takes)
    rating = rating + _NOISE * torch.randn(rows, generator=generator)
    if shuffled:
        profile = profile[torch.randperm(rows, generator=generator)]
    return torch.stack([text, profile], 1), rating
