"""VideoReward (VideoAlign): visual quality, motion and text alignment of a clip, each read at a mark of its own.

Pairs name a winner or a tie for each of the three; the likelihood of Rao and Kupper learns from both. The marks follow
the response, so that text alignment is read after the clip and the prompt alike::

    win = sigmoid(D - log theta)    tie = (theta^2 - 1) win loss    L = -log of what was said    theta = 5
    r_k = w_k . h(mark_k), bias-free;  the overall score is their mean

For flow models the same preferences train by `objectives.diffusion.flow_preference`, with a constant beta.

Deviation: the marks are text rather than tokens with embeddings of their own, and follow the response in one order.

Reference: Liu et al., "Improving Video Generation with Human Feedback", 2025, arXiv 2501.13918.
"""

from __future__ import annotations

from functools import partial

from assay.models.heads.marked import MarkedHead
from assay.models.reading import step_ends
from assay.objectives.pairwise import bradley_terry
from assay.rewards.augmented import each, marks
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Lora, Settings
from assay.training.supervision import supervise

ATTRIBUTES = ("VQ", "MQ", "TA")


def video_reward(tie_theta: float = 5.0) -> Training:
    """Three epochs on pairs and ties whose criterion is one of `ATTRIBUTES` (pairs without one compare the mean). The
    trained reward scores as ``augmented(reward, marks(*ATTRIBUTES))``, and ``fit_scale`` brings it to standard
    deviations as the paper does."""
    settings = Settings(budget=Epochs(3), batch=32, learning_rate=2e-6, lora=Lora(rank=64, alpha=128.0))
    supervision = supervise(partial(bradley_terry, tie_theta=tie_theta))
    stage = Stage(supervision, settings, present=each(marks(*ATTRIBUTES)))
    return Training(partial(MarkedHead, names=ATTRIBUTES), (stage,), {"read": step_ends})
