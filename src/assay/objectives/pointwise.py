"""Objectives of single scores: a value and the target a rater gave, to a loss per rating."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def squared_error(values: Tensor, targets: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """``(value - target)^2``, ``[ratings]``, in squared units of the rating."""
    loss = (values - targets).square()
    return loss if weight is None else loss * weight


def huber(values: Tensor, targets: Tensor, *, delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """Squared error halved within ``delta``, linear beyond: ``delta (|e| - delta / 2)``; ``[ratings]``.

    Raises:
        ValueError: ``delta`` is not positive.

    Source: Huber, Annals of Mathematical Statistics 1964.
    """
    if delta <= 0:
        raise ValueError(f"delta is {delta}; it must be positive, in units of the rating")
    loss = F.huber_loss(values, targets, reduction="none", delta=delta)
    return loss if weight is None else loss * weight


def binary_cross_entropy(values: Tensor, targets: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """``-t log sigmoid(v) - (1 - t) log sigmoid(-v)``, ``[ratings]``: values in logits, targets 0..1 (right or wrong).

    Raises:
        ValueError: a target lies outside 0..1.
    """
    if targets.numel() and (float(targets.min()) < 0.0 or float(targets.max()) > 1.0):
        raise ValueError(
            f"targets run from {float(targets.min()):g} to {float(targets.max()):g}; cross-entropy needs 0..1: "
            "rescale the ratings, or use pointwise.squared_error"
        )
    loss = F.binary_cross_entropy_with_logits(values, targets, reduction="none")
    return loss if weight is None else loss * weight
