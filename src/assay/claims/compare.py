"""A recipe on a real backbone and real data: its training beside plain Bradley-Terry of the same budget, held out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from assay.claims.papers import Paper, kind_of
from assay.metrics import Interval, clustered_wilson, pair_outcomes, paired_difference
from assay.records import Record
from assay.rewards.base import Reward
from assay.training.budgets import Steps
from assay.training.settings import Settings

if TYPE_CHECKING:
    from assay.models.hf import Backbone
    from assay.training.plan import Training


class NotComparableError(ValueError):
    """The paper's home trains no reward, or the held-out records hold no pairs that both rewards could judge."""


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """Held-out accuracy of a recipe and of Bradley-Terry on the same pairs; ``difference`` is recipe minus
    Bradley-Terry with its paired 95 % interval over records, ``left_out`` pairs that one of them could not judge."""

    name: str
    steps: int
    recipe: Interval
    bradley_terry: Interval
    difference: Interval
    left_out: int

    @property
    def holds(self) -> bool:
        """Whether the recipe is better beyond its interval."""
        return self.difference.low > 0

    def facts(self) -> dict[str, Any]:
        """Everything measured, for JSON."""

        def interval(found: Interval) -> dict[str, float]:
            return {"value": found.value, "low": found.low, "high": found.high}

        return {
            "name": self.name,
            "steps": self.steps,
            "pairs": self.difference.n,
            "records": self.difference.clusters,
            "left_out": self.left_out,
            "recipe": interval(self.recipe),
            "bradley_terry": interval(self.bradley_terry),
            "difference": interval(self.difference),
            "holds": self.holds,
        }


def training_of(paper: Paper) -> Training:
    """The training that a paper's recipe gives.

    Raises:
        NotComparableError: its home gives something else.
    """
    home = paper.load_home()
    if not paper.is_recipe or kind_of(home) != "Training":
        raise NotComparableError(
            f"{paper.name} gives a {paper.kind}, which is not trained: --model and --data are for recipes that give a "
            f"Training; run `assay reproduce {paper.name}` for its claim"
        )
    empty = inspect.Parameter.empty
    needed = [name for name, given in inspect.signature(home).parameters.items() if given.default is empty]
    if needed:
        raise NotComparableError(
            f"{paper.name} has to be told its {' and '.join(needed)}, which depend on the data: call {paper.home} in "
            "Python and run() the Training it gives"
        )
    return home()


def compare(
    paper: Paper,
    backbone: Callable[[], Backbone],
    records: Sequence[Record],
    held_out: Sequence[Record],
    *,
    steps: int,
    change: Callable[[Settings], Settings] = lambda settings: settings,
) -> Comparison:
    """Train both, each on a fresh ``backbone()``, with ``steps`` optimiser steps in all, and judge the held-out pairs.

    ``change`` adjusts the settings of every stage of both: batch, learning rate, seed. The stages of a recipe share
    the steps equally.

    Raises:
        NotComparableError: the recipe gives no Training, or no held-out pair could be judged.
    """
    method = training_of(paper)
    stages = len(method.stages)

    def at(count: int) -> Callable[[Settings], Settings]:
        return lambda settings: replace(change(settings), budget=Steps(max(1, count)))

    usual = _bradley_terry(method.stages[-1].settings)
    first = method.run(backbone(), records, change=at(steps // stages)).reward
    second = usual.run(backbone(), records, change=at(steps // stages * stages)).reward
    return _judged(paper, steps // stages * stages, first, second, held_out)


def _bradley_terry(settings: Settings) -> Training:
    from assay.models.heads import ScalarHead
    from assay.objectives.pairwise import bradley_terry
    from assay.training.plan import Stage, Training
    from assay.training.supervision import supervise

    return Training(head=ScalarHead, stages=(Stage(supervise(bradley_terry), settings),))


def _judged(paper: Paper, steps: int, first: Reward, second: Reward, held_out: Sequence[Record]) -> Comparison:
    import numpy as np
    import torch

    from assay.rewards.batches import batched, score_each
    from assay.training.feedback import pairs_of

    pairs = pairs_of(held_out)
    decided = ~pairs.tie & (pairs.probability != 0.5)
    swapped = pairs.probability < 0.5
    better = torch.where(swapped, pairs.worse, pairs.better)[decided].cpu().numpy()
    worse = torch.where(swapped, pairs.better, pairs.worse)[decided].cpu().numpy()
    values = [
        np.concatenate([score_each(reward, chunk).values.double().cpu().numpy() for chunk in batched(held_out, 64)])
        for reward in (first, second)
    ]
    both = np.all([np.isfinite(found[better]) & np.isfinite(found[worse]) for found in values], axis=0)
    if not both.any():
        raise NotComparableError(f"none of {better.size} held-out pairs could be judged by both rewards")
    record = np.repeat(np.arange(len(held_out)), [len(item.responses) for item in held_out])[better[both]]
    first_right, second_right = (pair_outcomes(found[better[both]], found[worse[both]]) for found in values)
    return Comparison(
        name=paper.name,
        steps=steps,
        recipe=clustered_wilson(first_right, record),
        bradley_terry=clustered_wilson(second_right, record),
        difference=paired_difference(first_right, second_right, record),
        left_out=int((~both).sum()),
    )
