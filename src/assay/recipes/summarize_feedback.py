"""Learning to summarize from human feedback: the reward model that people's comparisons of two responses train.

A scalar head on the last token of prompt and response is trained so that the response a person chose scores higher
than the other; a policy is then optimised against it, not too far, because what it learned holds near the responses
that were compared::

    L = -E log sigmoid(r(x, y_chosen) - r(x, y_rejected))

The head starts normal with standard deviation ``1 / sqrt(hidden + 1)``. Comparisons leave the mean of a reward free: it
is set to 0 on reference responses by ``chain(reward, scale(Reference.of(scores.values).mean, 1.0))``.

Deviation: the learning rate is that of the paper's 1.3B model whatever the backbone.

Reference: Stiennon et al., "Learning to summarize from human feedback", 2020, arXiv 2009.01325.
"""

from __future__ import annotations

from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise


def summarize_feedback() -> Training:
    """A scalar head on the last token and one epoch of Bradley-Terry over comparisons."""
    settings = Settings(budget=Epochs(1), batch=64, learning_rate=1.5e-5, weight_decay=0.0)
    return Training(head=ScalarHead, stages=(Stage(supervise(bradley_terry), settings),))
