"""Word of mouth: the same text means another rating from another customer; text and profile together say which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import ratios, world
from assay.models.outputs import States
from assay.objectives.pointwise import squared_error
from assay.recipes.word_of_mouth import word_of_mouth

_WIDTH, _ROWS, _HELD_OUT, _NOISE = 8, 800, 1000, 0.4


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A rating of what a text says, of who the customer is, and of how the customer takes such a text. Text and profile
    read by the recipe's head, against the better of either alone; the same head, data and steps, all stopped at their
    best. What is left out is 0.

    Sabotage: the profiles are dealt out at random.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    both, text, profile = (tuple(column) for column in zip(*found, strict=True))
    better = tuple(min(pair) for pair in zip(text, profile, strict=True))
    return Outcome(
        figures={"error, text and profile": both, "error, text alone": text, "error, profile alone": profile},
        checks=(Check("error over the better of either alone", ratios(both, better), at_most=0.85),),
    )


@final
@dataclass(frozen=True, slots=True)
class _Rated:
    """Texts and profiles ``[rows, width]``, and ratings ``[rows]``."""

    text: Tensor
    profile: Tensor
    ratings: Tensor


def _one(seed: int, sabotage: bool) -> tuple[float, ...]:
    generator = world(seed)
    wants = torch.randn(3, _WIDTH, generator=generator) / _WIDTH**0.5
    train, held_out = (_drawn(wants, rows, generator, sabotage) for rows in (_ROWS, _HELD_OUT))
    return tuple(_error(train, held_out, *kept) for kept in ((True, True), (True, False), (False, True)))


def _error(train: _Rated, held_out: _Rated, text: bool, profile: bool) -> float:
    """The lowest root mean square error with only what is kept."""
    head = word_of_mouth(_WIDTH).head(_WIDTH)

    def loss(rated: _Rated) -> Tensor:
        states = States(rated.text * text, (1,) * len(rated.text), rated.profile * profile)
        return squared_error(head(states).values, rated.ratings).mean()

    best = fit_at_best(
        head, lambda: loss(train), lambda: -float(loss(held_out)), steps=300, every=10, learning_rate=0.01
    )
    return (-best) ** 0.5


def _drawn(wants: Tensor, rows: int, generator: torch.Generator, shuffled: bool) -> _Rated:
    says, who, takes = wants
    text, profile = torch.randn(2, rows, _WIDTH, generator=generator)
    sentiment = text @ says
    rating = sentiment + 0.5 * profile @ who + sentiment * (profile @ takes)
    rating = rating + _NOISE * torch.randn(rows, generator=generator)
    return _Rated(text, profile[torch.randperm(rows, generator=generator)] if shuffled else profile, rating)
