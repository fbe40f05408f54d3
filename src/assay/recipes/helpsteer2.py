"""HelpSteer2: regression on the ratings of several attributes, and their weighted sum as the reward.

A linear head on the last token predicts helpfulness, correctness, coherence, complexity and verbosity, 0 to 4; an
attribute that a rater left out adds nothing to the loss. The reward is a fixed weighted sum, "goodness"::

    L = sum of (predicted - rated)^2 over the ratings there are / their number        r = sum_a w_a predicted_a

``chain(reward, fit_scale(scores))`` brings it to standard deviations before a policy is trained on it. SteerLM 2, which
trains a policy towards wanted attributes, is `search.rejection.importance` with `search.rejection.rating_probability`.

Deviation: five outputs in place of nine of which four are unused.

Reference: Wang et al., "HelpSteer2: Open-source dataset for training top-performing reward models", 2024, arXiv
2406.08673.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from assay.models.heads import AttributeHead
from assay.objectives.pointwise import squared_error
from assay.records.record import Feedback
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
GOODNESS = (0.65, 0.8, 0.45, 0.0, 0.0)


def helpsteer2(attributes: Sequence[str] = ATTRIBUTES, weights: Sequence[float] = GOODNESS) -> Training:
    """Two epochs of regression on the ratings whose criterion is one of ``attributes``; ``weights`` make the reward of
    them, by default those of the paper's Llama-3 70B."""

    def of_attributes(item: Feedback) -> bool:
        return item.criterion in attributes

    settings = Settings(budget=Epochs(2), batch=128, learning_rate=2e-6)
    head = partial(AttributeHead, names=tuple(attributes), weights=tuple(weights))
    return Training(head, (Stage(supervise(squared_error, select=of_attributes), settings),))
