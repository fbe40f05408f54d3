"""Word of mouth: a rating is predicted from what a text says and who wrote it, fused late.

The state of the text and the numbers of the customer's profile go through one hidden layer together, because the same
words mean another rating from another customer::

    r = w . (h + V gelu(W [h; profile] + b))        L = (r - rating)^2

The context column ``profile`` holds ``width`` numbers. A customer who is not known has the population's profile.

Reference: Niimi, "Multimodal Deep Learning of Word-of-Mouth Text and Demographics to Predict Customer Rating: Handling
Consumer Heterogeneity in Marketing", 2024, arXiv 2401.11888.
"""

from __future__ import annotations

from functools import partial

from assay.models.condition import Condition
from assay.models.heads import ScalarHead
from assay.models.heads.conditioned import Concat
from assay.objectives.pointwise import squared_error
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise


def word_of_mouth(width: int = 8, column: str = "profile") -> Training:
    """Three epochs of regression on ratings; ``column`` of the context holds ``width`` numbers."""
    settings = Settings(budget=Epochs(3), batch=32, learning_rate=2e-5, head_learning_rate=1e-3)
    condition = Condition.of_numbers(column, width, abstains=False)
    head = partial(ScalarHead, bias=True, condition=width, by=Concat)
    return Training(head, (Stage(supervise(squared_error), settings),), {"condition": condition})
