"""DMoERM: a router sends each prompt to the expert of its category, and only that expert's score counts.

The router is learned from the category that each record names, the experts from pairs; routing is hard, so an expert
learns from its own category alone::

    r(x, y) = sum_c W_c PReLU(W h(x, y))_c where c = argmax router(h(x))
    L_1 = -log softmax(router(h(x)))[category]        L_2 = -log sigmoid(r(x, y_chosen) - r(x, y_rejected)) + L_1

``capabilities`` gives the experts of each category, mixed by gates that read the prompt. Deviations: experts are heads
on one backbone where the paper has low-rank adapters for each, which share its forward pass; the preferences between
capabilities that a language model labels there are ordinary preferences with a criterion here.

Reference: Quan, "DMoERM: Recipes of Mixture-of-Experts for Effective Reward Modeling", 2024, arXiv 2403.01197.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from assay.models.heads.gated import GatedHead
from assay.objectives.pairwise import bradley_terry
from assay.training import freeze
from assay.training.budgets import Epochs
from assay.training.gates import on_category
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import on_pairs
from assay.training.terms import together

CATEGORIES = ("roleplay", "chitchat", "subjective knowledge", "objective knowledge", "text creation")


def dmoerm(
    capabilities: Mapping[str, Sequence[str]] | None = None, *, column: str = "category", width: int = 64
) -> Training:
    """An epoch for the router on the backbone as it is, then one for all; ``column`` of the context names the category
    of a record. Without ``capabilities`` each of the paper's five categories has one expert."""
    routes = on_category(column)
    groups = capabilities or dict.fromkeys(CATEGORIES, ("overall",))
    head = partial(GatedHead, groups=groups, width=width, hard=True)
    router = Settings(budget=Epochs(1), batch=32, learning_rate=1e-3, freeze=freeze.backbone)
    experts = Settings(budget=Epochs(1), batch=32, learning_rate=1e-5, head_learning_rate=1e-3)
    return Training(
        head, (Stage(routes, router), Stage(together((on_pairs(bradley_terry), 1.0), (routes, 1.0)), experts))
    )
