"""Mathematics of preferences that differ between people: ideal points, latent users, and what keeps them in bounds."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """``KL(Normal(mean, exp(log_variance)) || Normal(0, 1))`` summed over the latent, ``[batch]``, in nats.

    ``sum_d (exp(lv_d) + mean_d^2 - 1 - lv_d) / 2``; both ``[batch, latent]``.

    Sources: Kingma and Welling, 2013, arXiv 1312.6114; of users: Poddar et al. (VPL), 2024, arXiv 2408.10075.
    """
    return 0.5 * (torch.expm1(log_variance) + mean.square() - log_variance).sum(dim=-1)


def reparameterised(mean: Tensor, log_variance: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A draw ``mean + exp(log_variance / 2) e`` with ``e`` standard normal, ``[batch, latent]``, differentiable."""
    noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
    return mean + torch.exp(0.5 * log_variance) * noise


def active_units(means: Tensor, threshold: float = 0.01) -> int:
    """How many latent dimensions of ``means`` ``[users, latent]`` vary over users by more than ``threshold``.

    0 means that the latent collapsed: users are not told apart. Source: Burda et al., 2015, arXiv 1509.00519.
    """
    return int((means.detach().var(dim=0) > threshold).sum()) if means.shape[0] > 1 else 0


def ideal_point(logits: Tensor, prototypes: Tensor) -> Tensor:
    """Each user's ideal ``softmax(logits) . prototypes``, ``[..., width]``: a mixture of a few shared ones.

    Shapes: ``logits`` ``[..., prototypes]``; ``prototypes`` ``[prototypes, width]``, or ``[..., prototypes, width]``
    where they depend on the prompt. Source: Chen et al. (PAL), 2024, arXiv 2406.08469.
    """
    weights = torch.softmax(logits, dim=-1)
    return (weights.unsqueeze(-2) @ prototypes).squeeze(-2) if prototypes.dim() > 2 else weights @ prototypes


def nearness(points: Tensor, ideals: Tensor) -> Tensor:
    """``-|point - ideal|``, ``[...]``, at most 0: a response is liked as far as it is near (Coombs, 1950).

    Shapes: both ``[..., width]``. The gradient at the ideal itself is 0.
    """
    squared = (points - ideals).square().sum(dim=-1)
    apart = squared > 0
    return -torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)


def alignment(points: Tensor, ideals: Tensor, log_scale: Tensor | float = 0.0) -> Tensor:
    """``cos(point, ideal) exp(log_scale)``, ``[...]``, the scale at most 100 as in CLIP; both ``[..., width]``."""
    scale = torch.as_tensor(log_scale, dtype=points.dtype, device=points.device).clamp(max=math.log(100.0)).exp()
    return F.cosine_similarity(points, ideals, dim=-1) * scale


def outside(points: Tensor, bound: float = 4.0) -> Tensor:
    """``max(0, |point| - bound)``, ``[...]``: the penalty that keeps prototypes ``[..., width]`` in a ball."""
    return F.relu(points.norm(dim=-1) - bound)
