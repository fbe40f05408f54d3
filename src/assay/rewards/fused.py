"""A reward made steadier by asking it about near copies of each response too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from assay.perturb.responses import last_text, retold
from assay.perturb.variants import surface_variants
from assay.records import Record, Response
from assay.rewards.base import Reward, name_of, score, scores_of, spec_of
from assay.scores import Scores
from assay.spec import Spec
from assay.transforms import aggregate

Neighbours: TypeAlias = Callable[[Record, int], Sequence[tuple[Response, float]]]
"""A record and the index of a response to near copies of it, each with its similarity 0..1."""


@dataclass(frozen=True)
class _Fused:
    reward: Reward
    neighbours: Neighbours

    @property
    def spec(self) -> Spec:
        return replace(spec_of(self.reward), differentiable=False)

    def __call__(self, records: Sequence[Record], /) -> Scores:
        own = score(self.reward, records)
        near = [list(self.neighbours(record, i)) for record in records for i in range(len(record.responses))]
        wide: list[Record] = []
        for place, (record, index) in enumerate((r, i) for r in records for i in range(len(r.responses))):
            copies = tuple(copy for copy, _ in near[place])
            wide.append(replace(record, id=f"{place}/{record.id}/{index}", responses=copies, feedback=()))
        found = score(self.reward, wide).values.detach().to(own.values)
        width = 1 + max((len(copies) for copies in near), default=0)
        values = torch.full((len(own), width), torch.nan, dtype=own.values.dtype)
        weights = torch.zeros_like(values)
        start = 0
        for row, copies in enumerate(near):
            values[row, 0], weights[row, 0] = own.values[row].detach(), 1.0
            values[row, 1 : 1 + len(copies)] = found[start : start + len(copies)]
            weights[row, 1 : 1 + len(copies)] = torch.tensor([similar for _, similar in copies], dtype=values.dtype)
            start += len(copies)
        fused = aggregate.weighted(values, ~values.isnan(), 1, weights=weights)
        kept = torch.where(own.ok.cpu(), fused.cpu(), torch.nan)
        return scores_of(records, kept, own.status, own.messages)

    def __repr__(self) -> str:
        return f"neighbour_fused({name_of(self.reward)}, {name_of(self.neighbours)})"


def neighbour_fused(reward: Reward, neighbours: Neighbours) -> Reward:
    """``(r(y) + sum_i s_i r(y_i)) / (1 + sum_i s_i)`` over near copies ``y_i`` of similarity ``s_i``.

    A copy that the reward cannot judge is left out; where the response itself cannot be judged the row abstains, with
    its status. The reward is called twice, whatever the number of copies. Copies must be near duplicates: in trials
    the mean over merely similar other responses changed nothing.

    Source: Shen et al. (RewardFusion), 2023, arXiv 2309.16155.
    """
    return _Fused(reward, neighbours)


@dataclass(frozen=True)
class _SurfaceNeighbours:
    count: int
    similarity: float
    seed: int

    def __call__(self, record: Record, index: int, /) -> list[tuple[Response, float]]:
        response = record.responses[index]
        part = last_text(response)
        texts = [] if part is None else surface_variants(part.text, self.count, seed=self.seed)
        return [(retold(response, text), self.similarity) for text in texts]

    def __repr__(self) -> str:
        return f"surface_neighbours({self.count!r}, similarity={self.similarity!r}, seed={self.seed!r})"


def surface_neighbours(count: int = 5, *, similarity: float = 1.0, seed: int = 0) -> Neighbours:
    """Neighbours that are respellings of the response's text (`surface_variants`), all of one similarity."""
    return _SurfaceNeighbours(count, similarity, seed)
