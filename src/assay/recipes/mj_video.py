"""MJ-VIDEO: many rated criteria make aspects, aspects make the reward, and gates that read the prompt weigh both.

Every criterion is a linear output on the last token; a softmax within each aspect weighs its criteria, another the
aspects, both from the state at the prompt's end. Training goes from criteria to aspects to the overall preference::

    r = sum_a gate_a(prompt) sum_c gate_c(prompt) s_c
    L_1 = .3 MSE(criteria)    L_2 = L_1 + .3 MSE(aspects) + .3 BT(aspects)
    L_3 = L_2 + BT(overall) + MSE(overall) - sum_a (1 - relevant_a) log(1 - gate_a)

Ratings and preferences name their criterion, ``aspect/criterion`` or ``aspect``; those without one are overall. The
context column ``relevant`` names the aspects that matter to a record. Deviations: one layer of 64 units makes a gate by
default, not three of 1,024 (``gate_layers``, ``gate_width``); a batch's loss is the mean over the items of all terms.

Reference: Tong et al., "MJ-VIDEO: Fine-Grained Benchmarking and Rewarding Video Preferences in Video Generation", 2025,
arXiv 2502.01719.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from assay.models.heads.gated import GatedHead
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import squared_error
from assay.records.record import Feedback
from assay.training.budgets import Epochs
from assay.training.gates import on_relevance
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import on_pairs, on_ratings
from assay.training.terms import together

SIZES = {"alignment": 5, "safety": 6, "fineness": 5, "coherence and consistency": 7, "bias and fairness": 5}
ASPECTS = {aspect: tuple(f"{number}" for number in range(1, size + 1)) for aspect, size in SIZES.items()}


def mj_video(
    groups: Mapping[str, Sequence[str]] = ASPECTS,
    *,
    relevant: str = "relevant",
    gate_layers: int = 1,
    gate_width: int = 64,
) -> Training:
    """One epoch of each stage; ``groups`` are the criteria of each aspect, by default the paper's 28 of 5, numbered."""

    def of_criteria(item: Feedback) -> bool:
        return item.criterion is not None and "/" in item.criterion

    def of_aspects(item: Feedback) -> bool:
        return item.criterion in groups

    def overall(item: Feedback) -> bool:
        return item.criterion is None

    criteria = ((on_ratings(squared_error, select=of_criteria), 0.3),)
    aspects = (
        (on_ratings(squared_error, select=of_aspects), 0.3),
        (on_pairs(bradley_terry, select=of_aspects), 0.3),
    )
    whole = (
        (on_pairs(bradley_terry, select=overall), 1.0),
        (on_ratings(squared_error, select=overall), 1.0),
        (on_relevance(relevant), 1.0),
    )
    settings = Settings(budget=Epochs(1), batch=16, learning_rate=3e-5)
    head = partial(GatedHead, groups=groups, gate_layers=gate_layers, gate_width=gate_width)
    terms = (criteria, (*criteria, *aspects), (*criteria, *aspects, *whole))
    return Training(head, tuple(Stage(together(*each), settings) for each in terms))
