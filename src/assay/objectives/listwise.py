"""Objectives of lists: the scores of all responses to a prompt and their ranks, to a loss per list in nats."""

from __future__ import annotations

import torch
from torch import Tensor


def plackett_luce(scores: Tensor, ranks: Tensor, mask: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of each ranking, ``[lists]``, in nats: the best is chosen among all, the next among the
    rest, and so on.

    ``L = sum_i [ log sum_{j: rank_j >= rank_i} exp(score_j) - score_i ]`` over the responses i above the last rank.
    Two responses give Bradley-Terry. Equal ranks are chosen from the same set (Breslow's rule), in no order; the last
    rank adds nothing, because whatever its order all of it remains. Hence one best among equals is `top_one`.

    Shapes: ``scores`` and ``ranks`` ``[lists, responses]``, rank 0 best, gaps allowed; ``mask`` bool, False for
    padding and for responses without a rank: they count neither as chosen nor as passed over.

    Sources: Luce 1959; Plackett, Applied Statistics 1975; listwise learning: Xia et al., ICML 2008; ties: Breslow,
    Biometrics 1974.
    """
    lowest = torch.finfo(scores.dtype).min
    last = torch.where(mask, ranks, -1).amax(dim=1, keepdim=True)
    remaining = mask[:, None, :] & (ranks[:, None, :] >= ranks[:, :, None])
    total = torch.where(remaining, scores[:, None, :], lowest).logsumexp(dim=2)
    loss = torch.where(mask & (ranks < last), total - scores, 0.0).sum(dim=1)
    return loss if weight is None else loss * weight


def top_one(scores: Tensor, ranks: Tensor, mask: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """``-log`` of the probability that the first choice is one of the best, ``[lists]``, in nats: a softmax over the
    candidates.

    ``L = log sum_j exp(score_j) - log sum_{i best} exp(score_i)``, over unmasked responses; order below the best is
    not used. Shapes as in `plackett_luce`.

    Source: Cao et al. (ListNet), ICML 2007.
    """
    lowest = torch.finfo(scores.dtype).min
    first = torch.where(mask, ranks, torch.iinfo(torch.int64).max).amin(dim=1, keepdim=True)
    total = torch.where(mask, scores, lowest).logsumexp(dim=1)
    best = torch.where(mask & (ranks == first), scores, lowest).logsumexp(dim=1)
    loss = torch.where(mask.any(dim=1), total - best, 0.0)
    return loss if weight is None else loss * weight
