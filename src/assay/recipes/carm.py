"""Context-aware preference: the reward is told the context, and the context is told apart by a few choices.

Which response is better is often undecided until one knows for whom or what for. A reward conditioned on the context is
trained on pairs that name theirs, best such that either response wins under one of them; an unknown context is inferred
from labelled pairs, or averaged over::

    p(y_1 > y_2 | x) = sum_c p(c | x) sigmoid(r(x, y_1, c) - r(x, y_2, c))        p(c | labels) ~ prod_n sigmoid(D_n(c))

`rewards.contexts.infer_context` is the second and `rewards.contexts.over_contexts` scores under its result. Deviation:
the context is one of a known list that scales and shifts the state, not text in the prompt; a text can be put there.

Reference: Pitis et al., "Improving Context-Aware Preference Modeling for Language Models", 2024, arXiv 2407.14916.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from assay.models.condition import Condition
from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise


def carm(
    contexts: Sequence[str] = ("helpful", "harmless"), *, column: str = "context", abstains: bool = False
) -> Training:
    """One epoch over pairs whose context ``column`` names one of ``contexts``; a record without one gets the population
    value, or none if ``abstains``."""
    settings = Settings(budget=Epochs(1), batch=32, learning_rate=1e-5, head_learning_rate=1e-3)
    condition = Condition.of_names(column, contexts, abstains=abstains)
    head = partial(ScalarHead, condition=len(contexts))
    return Training(head, (Stage(supervise(bradley_terry), settings),), {"condition": condition})
