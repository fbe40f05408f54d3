"""How far two judges rank the same responses alike, and pairs that are believed only as far as they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from assay.records import Preference, Record
from assay.scores import Scores

Agreement: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Two sets of scores ``[prompts, responses]`` to an agreement ``[prompts]``, 0 opposite, 1 the same; NaN scores are
responses that are not there, and NaN is no agreement to speak of (nothing to compare, or a judge that never varies)."""


def kendall(first: Tensor, second: Tensor) -> Tensor:
    """``(tau + 1) / 2`` with Kendall's tau-b over the responses that both judged, ``[prompts]``.

    ``tau = sum_{i<j} s_ij t_ij / sqrt(sum s_ij^2 sum t_ij^2)`` with the signs ``s``, ``t`` of the differences.
    """
    a, b = _differences(first, second)
    scale = (a.square().sum(1) * b.square().sum(1)).sqrt()
    tau = (a * b).sum(1) / torch.where(scale > 0, scale, torch.nan)
    return 0.5 * (tau + 1.0)


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """``(rho + 1) / 2`` with the correlation of the ranks (ties by mid-rank) of the responses both judged."""
    there = ~(first.isnan() | second.isnan())
    a, b = _centred_ranks(first, there), _centred_ranks(second, there)
    scale = (a.square().sum(1) * b.square().sum(1)).sqrt()
    rho = (a * b).sum(1) / torch.where(scale > 0, scale, torch.nan)
    return 0.5 * (rho + 1.0)


def top_bottom(first: Tensor, second: Tensor) -> Tensor:
    """1 where both have the same best and the same worst response, else 0; of equals the first counts."""
    there = ~(first.isnan() | second.isnan())

    def ends(scores: Tensor) -> tuple[Tensor, Tensor]:
        best = torch.where(there, scores, -torch.inf).argmax(1)
        return best, torch.where(there, scores, torch.inf).argmin(1)

    (best, worst), (other_best, other_worst) = ends(first), ends(second)
    same = (best == other_best) & (worst == other_worst)
    return torch.where(there.sum(1) > 1, same.to(first.dtype), torch.nan)


def rank_consistency(first: Tensor, second: Tensor, by: Agreement = kendall) -> Tensor:
    """The agreement of two judges on the responses of each prompt, ``[prompts, responses]`` twice to ``[prompts]``.

    Raises:
        ValueError: the shapes differ.

    Source: Wang et al. (CREAM), 2024, arXiv 2410.12735.
    """
    if first.shape != second.shape or first.dim() != 2:
        raise ValueError(
            f"two judges of the same [prompts, responses], got {tuple(first.shape)}, {tuple(second.shape)}"
        )
    return by(first.double(), second.double())


def consistent_pairs(
    records: Sequence[Record], current: Scores, previous: Scores, *, by: Agreement = kendall, average: bool = True
) -> list[Record]:
    """For each record the best over the worst response by ``current``, believed as far as ``previous`` ranks alike.

    The agreement C is the ``probability`` of the preference, which makes the loss
    ``-C log sigmoid(z) - (1 - C) log sigmoid(-z)``. With ``average`` every pair has the mean C of all, else its own. A
    probability under one half says that the other response is the better one. Records without two different scores,
    or without an agreement, are left out; their other feedback is replaced.

    Raises:
        ValueError: the scores are not of these records.

    Source: Wang et al. (CREAM), 2024, arXiv 2410.12735.
    """
    expected = tuple(record.response_id(i) for record in records for i in range(len(record.responses)))
    if current.ids != expected or previous.ids != expected:
        raise ValueError("consistent_pairs needs two judges' scores of these records")
    now, before = _table(records, current), _table(records, previous)
    agreement = rank_consistency(now, before, by).tolist() if len(records) else []
    known = [c for c in agreement if c == c]
    found: list[Record] = []
    for record, row, own in zip(records, now, agreement, strict=True):
        best = int(torch.nan_to_num(row, nan=-torch.inf).argmax()) if row.numel() else 0
        worst = int(torch.nan_to_num(row, nan=torch.inf).argmin()) if row.numel() else 0
        if own != own or not row[best] > row[worst]:
            continue
        believed = sum(known) / len(known) if average else own
        found.append(replace(record, feedback=(Preference(best, worst, probability=believed),)))
    return found


def _table(records: Sequence[Record], scores: Scores) -> Tensor:
    """``[records, most responses]``, NaN where there is no score."""
    width = max((len(record.responses) for record in records), default=0)
    table = torch.full((len(records), width), torch.nan, dtype=torch.float64)
    values, start = scores.values.detach().double().cpu(), 0
    for row, record in enumerate(records):
        count = len(record.responses)
        table[row, :count] = values[start : start + count]
        start += count
    return table


def _differences(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The signs of all differences ``[prompts, pairs]``; 0 where a response is not there."""
    i, j = torch.triu_indices(first.shape[1], first.shape[1], 1, device=first.device)
    there = ~(first.isnan() | second.isnan())
    both = there[:, i] & there[:, j]
    a, b = ((scores[:, i] - scores[:, j]).sign() for scores in (first, second))
    return torch.where(both, a, 0.0), torch.where(both, b, 0.0)


def _centred_ranks(scores: Tensor, there: Tensor) -> Tensor:
    both = there[:, :, None] & there[:, None, :]
    above = torch.where(both, (scores[:, :, None] > scores[:, None, :]).to(scores), 0.0).sum(2)
    equal = torch.where(both, (scores[:, :, None] == scores[:, None, :]).to(scores), 0.0).sum(2)
    ranks = above + 0.5 * equal
    mean = torch.where(there, ranks, 0.0).sum(1, keepdim=True) / there.sum(1, keepdim=True).clamp(min=1)
    return torch.where(there, ranks - mean, 0.0)
