"""Training a small network over the scores of other rewards, from preferences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from assay.models.heads.linear import linear
from assay.objectives.pairwise import bradley_terry
from assay.records import Record
from assay.scores import Scores
from assay.training.feedback import pairs_of
from assay.transforms.combine import Combine
from assay.transforms.network import network


def fit_network(
    members: Sequence[Scores],
    records: Sequence[Record],
    *,
    objective: Callable[..., Tensor] = bradley_terry,
    hidden: int = 8,
    steps: int = 100,
    learning_rate: float = 0.02,
    weight_decay: float = 1.0,
    seed: int = 0,
) -> Combine:
    """The combination of ``members`` that the preferences of ``records`` are likeliest under: one hidden layer of tanh
    over the standardised features, by AdamW on all pairs at once. It is small and strongly decayed, for
    hundreds of pairs.

    Pairs are those of `training.feedback.pairs_of`; one with a response that some member abstained on is left out.

    Raises:
        ValueError: no member, scores of other records, a feature that never varies, or no usable pair.
    """
    expected = tuple(record.response_id(i) for record in records for i in range(len(record.responses)))
    if not members or any(scores.ids != expected for scores in members):
        raise ValueError("a network over features needs the scores of these records by at least one reward")
    values = torch.stack([scores.values.detach().float().cpu() for scores in members], dim=1)
    judged = torch.isfinite(values).all(1)
    pairs = pairs_of(records)
    usable = judged[pairs.better] & judged[pairs.worse] & ~pairs.tie
    if not bool(usable.any()):
        raise ValueError(f"none of the {usable.numel()} pairs has every feature of both of its responses")
    better, worse = pairs.better[usable], pairs.worse[usable]
    mean, std = values[judged].mean(0), values[judged].std(0)
    module = nn.Sequential(
        linear(len(members), hidden, bias=True, seed=seed), nn.Tanh(), linear(hidden, 1, bias=False, seed=seed + 1)
    )
    combine = network(module, mean, std)
    known = (values - mean) / std
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=weight_decay)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        scores = module(known.nan_to_num()).squeeze(-1)
        objective(scores[better], scores[worse], probability=pairs.probability[usable]).mean().backward()
        optimizer.step()
    module.requires_grad_(False)
    return combine
