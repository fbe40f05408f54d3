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
    tie_theta: float | Tensor = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Negative log-likelihood of each preference, ``[pairs]``, in nats.

    With ``z = chosen - rejected - margin``, ``k = log tie_theta`` and ``p = probability``::

        win  = sigmoid(z - k)      loss = sigmoid(-z - k)      tie = (theta^2 - 1) win loss
        L    = weight * [-p log win - (1 - p) log loss],    or -log tie at margin 0 where the pair is a tie

    ``tie_theta = 1`` is Bradley-Terry: no probability is left for a tie, and a tie counts as half a win for each side
    (``p = .5``). ``tie_theta > 1`` is Rao-Kupper; 5 is usual, `fit_tie_theta` calibrates it, and a tensor (one number,
    or ``[pairs]``) may be learned. A tie has no winner, so it has no margin.

    Label smoothing is ``probability = 1 - smoothing``; the loss weighted by a rank consistency ``C`` is
    ``probability = C`` (CREAM); scaled Bradley-Terry is ``weight = strength`` (HelpSteer2-Preference). With implicit
    rewards (`objectives.likelihood`) as scores it is direct preference optimisation.

    Shapes: every tensor ``[..., pairs]`` of one shape, or broadcast to it; ``margin`` in logits, NaN where none was
    given; ``probability`` in 0..1, NaN where nothing was said: loss 0 and no gradient; ``tie`` bool, ``weight`` >= 0.

    Raises:
        ValueError: ``tie_theta`` is below 1 or not finite.

    Sources: Bradley and Terry, Biometrika 1952; Rao and Kupper, JASA 1967; ties in reward models: VideoAlign, 2025,
    arXiv 2501.13918; margins: Llama 2, 2023, arXiv 2307.09288; scaled: Wang et al., 2024, arXiv 2410.01257.
    """
    gap = chosen - rejected
    theta = _ratio(tie_theta, gap)
    threshold = theta.log()
    tied = torch.zeros_like(gap, dtype=torch.bool) if tie is None else tie
    if probability is not None:
        gap = torch.where(tied | ~probability.isnan(), gap, 0.0)
    shifted = gap if margin is None else gap - torch.where(tied, 0.0, margin.nan_to_num(0.0))
    log_win, log_loss = F.logsigmoid(shifted - threshold), F.logsigmoid(-shifted - threshold)
    sure = torch.ones_like(gap) if probability is None else probability.to(gap)
    sure = torch.where(tied, 0.5, sure.nan_to_num(1.0))
    loss = -(sure * log_win + (1.0 - sure) * log_loss)
    if tie is not None:
        room = theta > 1.0
        share = torch.where(room, theta, 2.0).square().sub(1.0).log()
        loss = torch.where(tied & room, -(log_win + log_loss + share), loss)
    if probability is not None:
        loss = torch.where(tied | ~probability.isnan(), loss, 0.0)
    return loss if weight is None else loss * weight


def _ratio(theta: float | Tensor, like: Tensor) -> Tensor:
    sound = (
        bool((torch.isfinite(theta) & (theta >= 1.0)).all())
        if isinstance(theta, Tensor)
        else theta >= 1.0 and math.isfinite(theta)
    )
    if not sound:
        raise ValueError(f"tie_theta is {theta}; it is a finite ratio of at least 1 (1: no ties, 5: usual)")
    return torch.as_tensor(theta, dtype=like.dtype, device=like.device)


def fit_tie_theta(gaps: Tensor, tie: Tensor, weight: Tensor | None = None) -> float:
    """The ``tie_theta`` of `bradley_terry` that makes labelled pairs likeliest, their scores held fixed.

    ``gaps`` ``[pairs]`` is the preferred score minus the other (either way round for a tie), ``tie`` bool ``[pairs]``,
    ``weight`` ``[pairs]``. The negative log-likelihood is convex in ``log theta``; its only stationary point is found
    by bisection. Pairs without any tie give 1.

    Raises:
        ValueError: there is no pair, or nothing but ties (theta would be infinite).
    """
    z, tied = gaps.detach().double().flatten(), tie.flatten()
    mass = torch.ones_like(z) if weight is None else weight.detach().double().flatten()
    decided, even = float(mass[~tied].sum()), float(mass[tied].sum())
    if not decided > 0:
        raise ValueError(f"fit_tie_theta: {int(tied.sum())} ties and no decided pair; a threshold needs both")
    if not even > 0:
        return 1.0

    def slope(k: float) -> float:
        below = torch.sigmoid(k - z) * mass
        above = torch.sigmoid(k + z) * mass
        return float(below.sum() + above[tied].sum()) - 2.0 * even / -math.expm1(-2.0 * k)

    low, high = 0.0, 1.0
    while slope(high) < 0 and high < 700.0:
        low, high = high, 2.0 * high
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return math.exp(0.5 * (low + high))


def hinge(chosen: Tensor, rejected: Tensor, *, margin: Tensor | float = 1.0, weight: Tensor | None = None) -> Tensor:
    """``weight * max(0, margin - (chosen - rejected))``, ``[pairs]``, in the unit of the scores: no pull on pairs
    already apart by the margin.

    On cosines, twice this with half the margin is `contrastive.triplet` of unit vectors.

    Source: Herbrich et al., 1999; on implicit rewards, with ``margin = 1``: Zhao et al. (SLiC), 2023, arXiv 2305.10425.
    """
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


def identity_preference(chosen: Tensor, rejected: Tensor, *, beta: float = 0.1, weight: Tensor | None = None) -> Tensor:
    """``weight * (chosen - rejected - 1 / (2 beta))^2``, ``[pairs]``, in squared nats: a finite gap, also where labels
    are certain.

    ``chosen`` and ``rejected`` are log-ratios of two models (implicit rewards at ``beta = 1``), by token means.

    Raises:
        ValueError: ``beta`` is not positive.

    Source: Azar et al. (IPO), 2023, arXiv 2310.12036.
    """
    if not beta > 0:
        raise ValueError(f"beta is {beta}; it must be positive")
    loss = (chosen - rejected - 0.5 / beta).square()
    return loss if weight is None else loss * weight


def squared_gap(first: Tensor, second: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """``weight * (first - second)^2``, ``[pairs]``: what pulls tied responses together (MM-RLHF, 2025)."""
    loss = (first - second).square()
    return loss if weight is None else loss * weight
