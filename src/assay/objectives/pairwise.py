"""Objectives of pairs: a chosen and a rejected score, in logits, to a loss per pair in nats."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor

Extra = ParamSpec("Extra")


def bradley_terry(
    chosen: Tensor,
    rejected: Tensor,
    *,
    margin: Tensor | None = None,
    probability: Tensor | None = None,
    tie: Tensor | None = None,
    tie_theta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Negative log-likelihood of each preference, ``[pairs]``, in nats.

    With ``z = chosen - rejected - margin``, ``k = log tie_theta`` and ``p = probability``::

        win  = sigmoid(z - k)      loss = sigmoid(-z - k)      tie = (theta^2 - 1) win loss
        L    = -p log win - (1 - p) log loss,    or -log tie at margin 0 where the pair is a tie

    ``tie_theta = 1`` is Bradley-Terry: no probability is left for a tie, and a tie counts as half a win for each side
    (``p = .5``). ``tie_theta > 1`` is Rao-Kupper; 5 is usual. A tie has no winner, so it has no margin.

    Shapes: every tensor ``[pairs]``; ``margin`` in logits, ``probability`` in 0..1, ``tie`` bool, ``weight`` >= 0
    multiplies the loss.

    Raises:
        ValueError: ``tie_theta`` is below 1 or not finite.

    Sources: Bradley and Terry, Biometrika 1952; Rao and Kupper, JASA 1967; ties in reward models: VideoAlign, 2025,
    arXiv 2501.13918; margins: Llama 2, 2023, arXiv 2307.09288.
    """
    if not (tie_theta >= 1.0 and math.isfinite(tie_theta)):
        raise ValueError(f"tie_theta is {tie_theta}; it is a finite ratio of at least 1 (1: no ties, 5: usual)")
    gap = chosen - rejected
    shifted = gap if margin is None else gap - (margin if tie is None else torch.where(tie, 0.0, margin))
    threshold = math.log(tie_theta)
    log_win, log_loss = F.logsigmoid(shifted - threshold), F.logsigmoid(-shifted - threshold)
    sure = torch.ones_like(gap) if probability is None else probability.to(gap)
    if tie is not None and tie_theta == 1.0:
        sure = torch.where(tie, 0.5, sure)
    loss = -(sure * log_win + (1.0 - sure) * log_loss)
    if tie is not None and tie_theta > 1.0:
        loss = torch.where(tie, -(log_win + log_loss + math.log(tie_theta**2 - 1.0)), loss)
    return loss if weight is None else loss * weight


def hinge(chosen: Tensor, rejected: Tensor, *, margin: Tensor | float = 1.0, weight: Tensor | None = None) -> Tensor:
    """``max(0, margin - (chosen - rejected))``, ``[pairs]``: no pull on pairs already apart by the margin."""
    loss = F.relu(margin - (chosen - rejected))
    return loss if weight is None else loss * weight


def centring(first: Tensor, second: Tensor) -> Tensor:
    """``(first + second)^2``, ``[pairs]``: pulls the mean score of a pair to zero, which pairs alone leave free.

    Source: Eisenstein et al., 2023, arXiv 2312.09244. Usual coefficient 0.01; see `centred`.
    """
    return (first + second).square()


def centred(
    objective: Callable[Concatenate[Tensor, Tensor, Extra], Tensor], coefficient: float = 0.01
) -> Callable[Concatenate[Tensor, Tensor, Extra], Tensor]:
    """A pairwise objective plus ``coefficient * centring``. It takes the same further tensors as the objective."""

    @wraps(objective)
    def with_centring(chosen: Tensor, rejected: Tensor, *args: Extra.args, **extra: Extra.kwargs) -> Tensor:
        return objective(chosen, rejected, *args, **extra) + coefficient * centring(chosen, rejected)

    return with_centring
