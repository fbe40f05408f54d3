"""Rejection sampling: how much each of a prompt's sampled responses counts when a policy is trained on them."""

from __future__ import annotations

import torch
from torch import Tensor


def best_only(scores: Tensor) -> Tensor:
    """1 on the best of each prompt's responses, shared among equals: ``[prompts, responses]`` to the same.

    Source: best-of-n fine-tuning, Touvron et al. 2023, arXiv 2307.09288. A NaN (abstained) is never chosen; a prompt
    without any score has weights 0.
    """
    known = scores.nan_to_num(nan=-torch.inf)
    top = (known == known.amax(dim=-1, keepdim=True)) & ~scores.isnan()
    return top / top.sum(dim=-1, keepdim=True).clamp(min=1)


def softened(scores: Tensor, temperature: float = 1.0) -> Tensor:
    """``softmax(score / temperature)`` over each prompt's responses, ``[prompts, responses]``; NaN counts 0.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature is {temperature}; it must be above 0")
    known = ~scores.isnan()
    weights = torch.where(known, scores / temperature, -torch.inf).softmax(dim=-1)
    return torch.where(known, weights, 0.0)


def importance(goal: Tensor, policy: Tensor, proposal: Tensor) -> Tensor:
    """Signed weights ``w - b`` of sampled responses, with which ``-sum (w - b) log Q(y)`` descends to a goal.

    For responses sampled from ``Q'`` (``proposal``), a goal known up to a constant of the prompt (``goal``), and the
    policy ``Q`` as it is now (``policy``), all log-probabilities ``[prompts, responses]``::

        w = softmax(goal - proposal)      b = softmax(policy - proposal)      weight = w - b

    The gradient is an estimate of that of ``KL(goal || Q)`` less its part that is zero in expectation, so the weights
    vanish once the policy is the goal. SteerLM 2 has ``goal = log P(attributes | y) + log P(y)``. No gradient flows
    through the weights. Source: Wang et al. 2024, arXiv 2406.08673.
    """
    goal, policy, proposal = goal.detach(), policy.detach(), proposal.detach()
    return (goal - proposal).softmax(dim=-1) - (policy - proposal).softmax(dim=-1)


def rating_probability(rating: Tensor, levels: int = 5, concentration: float = 24.0) -> Tensor:
    """``P(level | rating)`` of a predicted rating in 0..1, ``[...]`` to ``[..., levels]``: what a regression head says
    of each level of a scale.

    The mass that ``Beta(c r, c (1 - r))`` puts on each of ``levels`` equal parts of 0..1 (``r`` kept within
    ``1e-3`` of the ends). SteerLM 2 takes ``c = 24`` and 5 levels. No gradient. Source: arXiv 2406.08673.

    Raises:
        ValueError: a rating lies outside 0..1, or there are fewer than two levels.
    """
    from scipy.special import betainc

    if levels < 2:
        raise ValueError(f"a scale has at least 2 levels, got {levels}")
    if rating.numel() and not (float(rating.min()) >= 0.0 and float(rating.max()) <= 1.0):
        raise ValueError(f"ratings lie in 0..1, got {float(rating.min()):g} to {float(rating.max()):g}: rescale them")
    inside = rating.detach().double().cpu().clamp(1e-3, 1 - 1e-3)[..., None]
    edges = torch.linspace(0, 1, levels + 1, dtype=torch.float64)
    mass = betainc((concentration * inside).numpy(), (concentration * (1 - inside)).numpy(), edges.numpy())
    return torch.as_tensor(mass, dtype=torch.float64).diff(dim=-1).to(rating)
