"""How far two judgements of the same things differ, and what weight is left to them."""

from __future__ import annotations

import torch
from torch import Tensor


def absolute_difference(first: Tensor, second: Tensor) -> Tensor:
    """``|first - second|``, cell by cell, in the unit of the scores: the uncertainty of two scores."""
    return (first - second).abs()


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """``KL(softmax(first) || softmax(second))`` over the last axis, ``[..., classes]`` to ``[...]``, in nats: the
    uncertainty of two classifications."""
    told, other = torch.log_softmax(first, dim=-1), torch.log_softmax(second, dim=-1)
    return (told.exp() * (told - other)).sum(dim=-1)


def confidence(uncertainty: Tensor) -> Tensor:
    """``exp(-uncertainty)``, 0..1: the weight of what was judged with that uncertainty.

    As the ``weight`` of an objective, ``loss = exp(-u) l``. An uncertainty that is learned needs ``+ mean(u)`` in the
    loss, or it grows without bound. Source: Ctrl-U, 2024, arXiv 2410.11236.
    """
    return torch.exp(-uncertainty)
