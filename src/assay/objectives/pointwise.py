"""Objectives of single scores: a value and the target a rater gave, to a loss per rating.

A target of NaN is a missing cell: its loss is 0 and nothing flows back through it. `mean_of_known` averages over the
cells that are there. Shapes are ``[ratings]``, or any other, such as ``[responses, attributes]``, cell by cell.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def squared_error(values: Tensor, targets: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """``weight * (value - target)^2``, ``[ratings]``, in squared units of the rating.

    Source: as a reward model: Wang et al. (HelpSteer2), 2024, arXiv 2406.08673.
    """
    values, known, given = _known(values, targets)
    return _weighed((values - given).square(), known, weight)


def huber(values: Tensor, targets: Tensor, *, delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """Squared error halved within ``delta``, linear beyond: ``delta (|e| - delta / 2)``; ``[ratings]``, in squared
    units of the rating.

    Raises:
        ValueError: ``delta`` is not positive.

    Source: Huber, Annals of Mathematical Statistics 1964.
    """
    if delta <= 0:
        raise ValueError(f"delta is {delta}; it must be positive, in units of the rating")
    values, known, given = _known(values, targets)
    return _weighed(F.huber_loss(values, given, reduction="none", delta=delta), known, weight)


def binary_cross_entropy(values: Tensor, targets: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """``-t log sigmoid(v) - (1 - t) log sigmoid(-v)``, ``[ratings]``, in nats: values in logits, targets 0..1 (right or
    wrong).

    Raises:
        ValueError: a target lies outside 0..1.

    Source: of right and wrong solutions: Cobbe et al., 2021, arXiv 2110.14168.
    """
    values, known, given = _known(values, targets)
    _check_probabilities(given)
    return _weighed(F.binary_cross_entropy_with_logits(values, given, reduction="none"), known, weight)


def focal(values: Tensor, targets: Tensor, *, gamma: float = 2.0, weight: Tensor | None = None) -> Tensor:
    """``|t - sigmoid(v)|^gamma`` times `binary_cross_entropy`, ``[ratings]``, in nats: cells already right count for
    little.

    ``gamma = 0`` is cross-entropy.

    Raises:
        ValueError: ``gamma`` is negative, or a target lies outside 0..1.

    Source: Lin et al., 2017, arXiv 1708.02002.
    """
    if gamma < 0:
        raise ValueError(f"gamma is {gamma}; it must not be negative (0: plain cross-entropy, 2: usual)")
    values, known, given = _known(values, targets)
    _check_probabilities(given)
    loss = F.binary_cross_entropy_with_logits(values, given, reduction="none")
    if gamma:
        apart = (given - torch.sigmoid(values)).abs()
        loss = loss * torch.where(apart > 0, apart, torch.finfo(apart.dtype).tiny).pow(gamma)
    return _weighed(loss, known, weight)


def gaussian(values: Tensor, targets: Tensor, *, log_variance: Tensor, weight: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of a rating under ``Normal(value, exp(log_variance))``, ``[ratings]``, in nats.

    ``L = [ log(2 pi) + log_variance + (value - target)^2 exp(-log_variance) ] / 2``. Shapes: all ``[ratings]``.

    Source: Nix and Weigend, ICNN 1994; Kendall and Gal, 2017, arXiv 1703.04977.
    """
    values, known, given = _known(values, targets)
    spread = torch.where(known, log_variance, 0.0)
    loss = 0.5 * (math.log(2.0 * math.pi) + spread + (values - given).square() * torch.exp(-spread))
    return _weighed(loss, known, weight)


def ordinal(logits: Tensor, targets: Tensor, *, lowest: float = 0.0, weight: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of a level under a cumulative link, ``[ratings]``, in nats.

    ``P(level > k) = sigmoid(logit_k)`` and ``P(level = k) = sigmoid(logit_{k-1}) - sigmoid(logit_k)``: distances
    between levels are learned, not assumed. Shapes: ``logits`` ``[ratings, levels - 1]``, falling along the last axis;
    ``targets`` ``[ratings]``, whole numbers from ``lowest`` (1 for one to five stars); NaN is a missing rating.

    Raises:
        ValueError: logits that do not fall, or a target that is no level.

    Source: McCullagh, JRSS B 1980.
    """
    known = ~targets.isnan()
    level = torch.where(known, targets - lowest, 0.0)
    levels = logits.shape[-1] + 1
    if bool(((level != level.round()) | (level < 0) | (level >= levels)).any()):
        raise ValueError(
            f"ratings must be whole numbers {lowest:g}..{lowest + levels - 1:g} for {levels} levels, got "
            f"{sorted({float(t) for t in targets[known].flatten().tolist()})[:8]}: set lowest or the number of levels"
        )
    rows = torch.where(known.unsqueeze(-1), logits, torch.arange(levels - 1, 0, -1, device=logits.device).to(logits))
    if bool((rows.detach().diff(dim=-1) >= 0).any()):
        raise ValueError("the logits of an ordinal head must fall from level to level")
    far = torch.full_like(rows[..., :1], math.inf)
    index = level.long().unsqueeze(-1)
    above = torch.cat([far, rows], dim=-1).gather(-1, index).squeeze(-1)
    below = torch.cat([rows, -far], dim=-1).gather(-1, index).squeeze(-1)
    inner = torch.isfinite(above) & torch.isfinite(below)
    between = torch.where(inner, torch.where(inner, above, 1.0) - torch.where(inner, below, 0.0), 1.0)
    loss = -(_log_sigmoid(above) + _log_sigmoid(-below))
    loss = loss - torch.where(inner, torch.log(-torch.expm1(-between)), 0.0)
    return _weighed(loss, known, weight)


def mean_of_known(losses: Tensor, targets: Tensor) -> Tensor:
    """The mean of ``losses`` over the cells whose target is not NaN, a scalar; 0 where there is none."""
    known = ~targets.isnan()
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)


def _known(values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values cut off where the target is missing, which targets are there, and the targets with 0 for the missing."""
    known = ~targets.isnan()
    return torch.where(known, values, 0.0), known, torch.where(known, targets, 0.0).to(values)


def _weighed(loss: Tensor, known: Tensor, weight: Tensor | None) -> Tensor:
    loss = torch.where(known, loss, 0.0)
    return loss if weight is None else loss * weight


def _check_probabilities(targets: Tensor) -> None:
    if targets.numel() and (float(targets.min()) < 0.0 or float(targets.max()) > 1.0):
        raise ValueError(
            f"targets run from {float(targets.min()):g} to {float(targets.max()):g}; cross-entropy needs 0..1: "
            "rescale the ratings, or use pointwise.squared_error"
        )


def _log_sigmoid(value: Tensor) -> Tensor:
    """``log sigmoid``; 0 at infinity, with a gradient of 0."""
    finite = torch.isfinite(value)
    return torch.where(finite, F.logsigmoid(torch.where(finite, value, 0.0)), 0.0)
