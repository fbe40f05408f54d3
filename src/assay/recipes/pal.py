"""PAL: one reward for many people, each a mixture of a few prototypes of what is preferred.

A response is as good for a person as it is near that person's ideal point, which lies between shared prototypes. Few
people, or few pairs of each, suffice: a new one costs ``prototypes`` numbers (`IdealPointHead.fit_user`)::

    r(x, y; u) = -|f(h(x, y)) - sum_k softmax(W_u)_k P_k|        L = -log sigmoid(r(chosen; u) - r(rejected; u))

The context column ``rater`` says who judges; somebody who is not known gets the mean over everyone, with its standard
deviation. ``from_prompt`` makes the prototypes maps of the prompt and compares by angle (PAL-B). Deviations: ``f`` is
linear; the loss over tokens from the first that differs is not used.

Reference: Chen et al., "PAL: Pluralistic Alignment Framework for Learning from Heterogeneous Preferences", 2024, arXiv
2406.08469.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from assay.models.condition import Condition
from assay.models.heads.ideal_point import IdealPointHead
from assay.objectives.pairwise import bradley_terry
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise


def pal(
    people: Sequence[str] = ("everyone",),
    *,
    prototypes: int = 2,
    width: int = 512,
    from_prompt: bool = False,
    abstains: bool = False,
    column: str = "rater",
) -> Training:
    """One epoch over the pairs of ``people``, by default one who stands for all; ``abstains`` gives somebody unknown no
    score instead of the mean."""
    head = partial(IdealPointHead, users=len(people), prototypes=prototypes, width=width, from_prompt=from_prompt)
    settings = Settings(budget=Epochs(1), batch=16, learning_rate=9.65e-6, head_learning_rate=5e-3)
    condition = Condition.of_names(column, people, abstains=abstains)
    return Training(head, (Stage(supervise(bradley_terry), settings),), {"condition": condition})
