"""Measures over pairs that belong together: an item with all its pairs right, an instruction and its contrast."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def item_accuracy(right: Tensor, item: Tensor) -> float:
    """ACC+: the share of items of which every pair is right, 0..1.

    ``right`` bool or 0..1 (a tie is not right) and ``item`` int64, both ``[pairs]``.

    Raises:
        ValueError: no pair, or another number of items than of pairs.

    Source: MM-RLHF, 2025, arXiv 2502.10391.
    """
    if right.shape != item.shape or right.dim() != 1 or not right.numel():
        raise ValueError(f"need one item a pair and at least one pair, got {tuple(right.shape)}, {tuple(item.shape)}")
    _, which = item.unique(return_inverse=True)
    wrong = torch.zeros(int(which.max()) + 1, dtype=torch.double, device=which.device)
    wrong.index_add_(0, which, (right.to(which.device).double() < 1.0).double())
    return float((wrong == 0).double().mean())


@dataclass(frozen=True, slots=True)
class Contrast:
    """How often a reward tells contrasting pairs apart: ``responses`` for one instruction, ``instructions`` for one
    response; each 0..1, chance .5, equal scores half. ``quadruples`` were judged."""

    responses: float
    instructions: float
    quadruples: int

    @property
    def mean(self) -> float:
        """The mean of both."""
        return (self.responses + self.instructions) / 2


def contrast_consistency(scores: Tensor) -> Contrast:
    """``C_res`` and ``C_ins`` of quadruples: two like instructions q, q' with an answer a, a' that fits each.

    ``scores[n, i, j]`` ``[quadruples, 2, 2]`` is the score of answer j to instruction i. ``C_res`` is how often
    ``r(q, a) > r(q, a')``, ``C_ins`` how often ``r(q, a) > r(q', a)``, for both instructions and both answers.
    Quadruples with a score that is not a number are left out.

    Raises:
        ValueError: another shape, or no quadruple left.

    Source: Shen et al., "The Trickle-down Impact of Reward (In-)consistency on RLHF", 2023, arXiv 2309.16155.
    """
    if scores.shape[1:] != (2, 2):
        raise ValueError(f"quadruples are [n, 2, 2] scores, got {tuple(scores.shape)}")
    kept = scores[torch.isfinite(scores).flatten(1).all(1)]
    if not len(kept):
        raise ValueError("no quadruple has four scores")
    own = kept.diagonal(dim1=1, dim2=2)
    other_answer = torch.stack([kept[:, 0, 1], kept[:, 1, 0]], 1)
    other_instruction = torch.stack([kept[:, 1, 0], kept[:, 0, 1]], 1)
    return Contrast(_share(own - other_answer), _share(own - other_instruction), len(kept))


def _share(gap: Tensor) -> float:
    return float(((gap > 0).double() + 0.5 * (gap == 0).double()).mean())
