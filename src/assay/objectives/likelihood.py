"""Rewards and losses made of token log-probabilities: implicit rewards, weighted likelihood, and what changes them.

Throughout, ``logp`` and ``reference`` are ``[batch, tokens]`` log-probabilities of the same tokens under two models
(`token_log_probabilities`), and ``mask`` bool ``[batch, tokens]`` is True for the tokens of the response. Masked
tokens count for nothing, also where they are NaN or infinite. Feed implicit rewards to `pairwise.bradley_terry`, and
the loss is that of direct preference optimisation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from assay.objectives.pairwise import bradley_terry


def token_log_probabilities(logits: Tensor, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    """``log p(id_t | id_<t)``, ``[batch, tokens]``: the log-softmax of the position *before* each token; 0 if masked.

    Shapes: ``logits`` ``[batch, tokens, vocabulary]``, ``ids`` int64 and ``mask`` bool ``[batch, tokens]``. The first
    token has no position before it and counts 0. A constant added to the logits changes nothing; equal logits give
    ``-log(vocabulary)``.
    """
    before = logits[:, :-1]
    told = ids[:, 1:].unsqueeze(-1)
    known = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
    found = before.gather(-1, told).squeeze(-1) - before.logsumexp(dim=-1)
    first = torch.zeros_like(found[:, :1]) if found.shape[1] else found.new_zeros(ids.shape[0], ids.shape[1])
    return torch.where(known, torch.cat([first, found], dim=1), 0.0)


def token_implicit_reward(logp: Tensor, reference: Tensor, mask: Tensor, *, beta: float | Tensor = 0.1) -> Tensor:
    """``beta (log p_t - log p_ref,t)`` of each token, ``[batch, tokens]``, in nats; 0 where masked.

    ``beta`` is a number or ``[batch]``. Source: Rafailov et al., 2023, arXiv 2305.18290; of tokens: 2404.12358.
    """
    ratio = torch.where(mask, logp, 0.0) - torch.where(mask, reference, 0.0)
    return (beta.unsqueeze(-1) if isinstance(beta, Tensor) and beta.dim() == 1 else beta) * ratio


def implicit_reward(logp: Tensor, reference: Tensor, mask: Tensor, *, beta: float | Tensor = 0.1) -> Tensor:
    """``beta sum_t (log p_t - log p_ref,t)``, ``[batch]``, in nats: the reward that direct preference optimisation
    gives a response, up to a term of the prompt alone. Source: Rafailov et al., 2023, arXiv 2305.18290.
    """
    return token_implicit_reward(logp, reference, mask, beta=beta).sum(dim=1)


def mean_implicit_reward(logp: Tensor, reference: Tensor, mask: Tensor, *, beta: float | Tensor = 0.1) -> Tensor:
    """`implicit_reward` divided by the number of tokens, ``[batch]``: length gives no advantage. 0 without tokens."""
    return implicit_reward(logp, reference, mask, beta=beta) / mask.sum(dim=1).clamp(min=1)


def segment_implicit_reward(
    logp: Tensor, reference: Tensor, mask: Tensor, segments: Tensor, *, beta: float | Tensor = 0.1
) -> Tensor:
    """`implicit_reward` of each segment, ``[batch, segments]``: 0 for segments a row does not have.

    ``segments`` int64 ``[batch, tokens]`` numbers the segment each token belongs to from 0; below 0 belongs to none.
    """
    tokens = token_implicit_reward(logp, reference, mask & (segments >= 0), beta=beta)
    count = int(segments.max().clamp(min=-1)) + 1 if segments.numel() else 0
    return tokens.new_zeros(tokens.shape[0], count + 1).scatter_add(1, segments.clamp(min=-1) + 1, tokens)[:, 1:]


def segment_preference(rewards: Tensor, signs: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """``-sum_s log sigmoid(sign_s reward_s)`` over the segments of each response, ``[batch]``, in nats.

    `bradley_terry` of the signed implicit reward of a segment (`segment_implicit_reward`) against 0: a response with
    marked segments needs no partner. Shapes: both ``[batch, segments]``; ``signs`` 1 preferred, -1 dispreferred, 0
    neutral or absent (left out).

    Source: Gunjal et al. (FDPO), 2023, arXiv 2308.06394.
    """
    marked = signs != 0
    signed = torch.where(marked, rewards, 0.0) * signs.to(rewards)
    loss = torch.where(marked, bradley_terry(signed, torch.zeros_like(signed)), 0.0).sum(dim=1)
    return loss if weight is None else loss * weight


def weighted_nll(logp: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    """``-sum_t weight_t log p_t``, ``[batch]``, in nats; ``weight`` ``[batch]`` or ``[batch, tokens]``, of any sign.

    The weight is a constant. With 1 it is supervised fine-tuning, with an advantage its gradient is REINFORCE
    (``-A grad log p``), with the difference of two softmax weights SteerLM 2.0, with ``-beta r`` of self-made token
    rewards the regulariser of T-REG. Divide the weight by the number of tokens for a mean over tokens.

    Source: Williams, Machine Learning 1992.
    """
    constant = weight.detach()
    each = constant.unsqueeze(-1) if constant.dim() == 1 else torch.where(mask, constant, 0.0)
    return -(each * torch.where(mask, logp, 0.0)).sum(dim=1)


def token_reward_from_prompts(better: Tensor, worse: Tensor, mask: Tensor) -> Tensor:
    """``sigmoid(log p(y_t | better prompt) - log p(y_t | worse prompt)) - 1/2``, ``[batch, tokens]``, in -.5...5.

    A model's own token rewards, from one response read after a prompt that asks for a good and one that asks for a bad
    answer; masked tokens 0. Source: Zhou et al. (T-REG), 2024, arXiv 2412.02685.
    """
    gap = torch.where(mask, better, 0.0) - torch.where(mask, worse, 0.0)
    return torch.where(mask, torch.sigmoid(gap) - 0.5, 0.0).detach()


def dynamic_beta(margin: Tensor, beta0: float = 0.1, scale: float = 0.5, rate: float = 0.5) -> Tensor:
    """``beta0 (1 + scale (1 - exp(-rate margin)))``, ``[pairs]``: clearer pairs, by a reward model's ``margin`` in
    logits, are learned from more firmly. ``beta0`` at margin 0, ``beta0 (1 + scale)`` at infinity, never falling; a
    negative margin counts as 0.

    Raises:
        ValueError: ``beta0`` is not positive, ``scale`` or ``rate`` is negative.

    Source: Zhang et al. (MM-RLHF), 2025, arXiv 2502.10391. In matched trials a constant beta of the same mean did as
    well.
    """
    if not (beta0 > 0 and scale >= 0 and rate >= 0):
        raise ValueError(f"need beta0 above 0, scale and rate of at least 0; got {beta0}, {scale}, {rate}")
    return beta0 * (1.0 - scale * torch.expm1(-rate * margin.clamp(min=0.0)))


def optimistic_term(
    logp: Tensor, reference: Tensor, mask: Tensor, *, alpha: float = 1e-3, beta: float = 0.01
) -> Tensor:
    """``alpha beta sum_t (log p_t - log p_ref,t)``, ``[batch]``: added to the preference loss, of responses drawn
    greedily from the previous iterate, it rewards moving to responses not seen yet. ``alpha = 0`` adds exactly 0.

    Source: Zhang et al. (SELM), 2024, arXiv 2405.19332. In trials coverage rose and the final reward did not.
    """
    if alpha == 0:
        return torch.zeros_like(logp[:, 0])
    return alpha * implicit_reward(logp, reference, mask, beta=beta)


def multi_objective_margin(better: Tensor, worse: Tensor, weights: Tensor, own_weight: float) -> Tensor:
    """``w . (r(better) - r(worse)) / w_0``, ``[pairs]``: the margin by which other objectives, with rewards
    ``[pairs, objectives]`` and ``weights`` ``[objectives]``, enter the preference loss of one of weight ``w_0``.

    With implicit rewards at ``beta / w_0`` as scores, ``bradley_terry(margin=...)`` has its optimum at
    ``pi_ref exp((w_0 r_0 + w . r) / beta)``.

    Raises:
        ValueError: ``own_weight`` is not positive.

    Source: Zhou et al. (MODPO), 2023, arXiv 2310.03708.
    """
    if not (own_weight > 0 and math.isfinite(own_weight)):
        raise ValueError(f"own_weight is {own_weight}; the objective that preferences are about needs a positive one")
    return (better - worse) @ weights.to(better) / own_weight
