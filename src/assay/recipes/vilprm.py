"""ViLPRM: the value of each reasoning step over pictures, and their product as the score of the answer.

A head reads the end of every step and predicts how often completions from there end right (Monte-Carlo values, made by
`curation.step_labels`); one forward scores all steps. The answer of the highest product is chosen among several::

    L = mean_k (sigmoid(w . h_k + b) - value_k)^2        r(x, y) = prod_k sigmoid(w . h_k + b)

Deviation: the paper also averages steps or takes the worst; pass another ``aggregate`` of `models.heads.aggregate`.

Reference: Tu et al., "ViLBench: A Suite for Vision-Language Process Reward Modeling", 2025, arXiv 2503.20271.
"""

from __future__ import annotations

from functools import partial

from assay.models.heads import StepHead
from assay.models.heads.aggregate import Aggregate, product
from assay.models.reading import step_ends
from assay.objectives.stepwise import squared_error
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise


def vilprm(aggregate: Aggregate = product) -> Training:
    """An epoch of regression on step values; responses need marked steps and ``StepLabels`` 0..1."""
    settings = Settings(budget=Epochs(1), batch=64, learning_rate=1e-5)
    head = partial(StepHead, aggregate=aggregate)
    return Training(head, (Stage(supervise(squared_error), settings),), {"read": step_ends})
