"""Social Reward: what a community takes up, learned from pairs of pictures that were shown about as often.

A picture that is shown more is taken up more, so only pairs matched in exposure are learned from; the reward is the
likeness of prompt and picture in one space, trained by a triplet loss, which on unit vectors is a hinge on cosines::

    r = cos(t, i)        L = max(0, |t - i+|^2 - |t - i-|^2 + .3) = 2 max(0, .15 - (r(t, i+) - r(t, i-)))

The context column ``exposure`` holds a number for each response, `tolerance` how far two may differ in it. Give it
`Towers` of one joint space (CLIP). Deviation: all layers are trained; freeze some by the settings.

Reference: Isajanyan et al., "Social Reward: Evaluating and Enhancing Generative AI through Million-User Feedback from
an Online Creative Community", 2024, arXiv 2402.09872.
"""

from __future__ import annotations

from functools import partial

from assay.curation.matched import column, matched
from assay.models.heads.dual import DualEncoderHead
from assay.objectives.pairwise import hinge
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise


def social_reward(exposure: str = "exposure", tolerance: float = 0.3, margin: float = 0.3) -> Training:
    """Ten epochs on the matched pairs, with half the triplet's ``margin`` on cosines."""
    settings = Settings(budget=Epochs(10), batch=32, learning_rate=3e-5)
    stage = Stage(supervise(partial(hinge, margin=margin / 2)), settings, matched(column(exposure), tolerance))
    return Training(partial(DualEncoderHead, fixed=True), (stage,))
