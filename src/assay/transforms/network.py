"""A small network over the scores of several rewards: features that mean something, and a learned score of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from assay.scores import Scores
from assay.spec import Spec, merge
from assay.transforms.combine import Combine, combined, stacked


@dataclass(frozen=True, eq=False)
class _Network:
    module: nn.Module
    mean: Tensor
    std: Tensor

    def __call__(self, members: Sequence[Scores], /) -> Scores:
        if len(members) != self.mean.numel():
            raise ValueError(f"this network is of {self.mean.numel()} features; got {len(members)}")
        values, present = stacked(members)
        decided = present.all(0)
        found = self.module((values.T.to(self.mean) - self.mean) / self.std).squeeze(-1)
        return combined(members, torch.where(decided, found.to(values), 0.0), decided)

    def spec_after(self, *specs: Spec) -> Spec:
        return replace(merge(specs), better="higher", unit="score")

    def __repr__(self) -> str:
        shapes = "x".join(str(tuple(weight.shape)) for weight in self.module.parameters())
        return f"network({shapes})"


def network(module: nn.Module, mean: Tensor, std: Tensor) -> Combine:
    """``module((r - mean) / std)``, ``[responses, features]`` to ``[responses]`` or ``[responses, 1]``: one feature a
    member, in the members' order. A response on which any member abstained abstains: no feature can be made up.

    ``mean`` and ``std`` ``[features]`` are those of the data it was trained on (`training.features.fit_network`).

    Raises:
        ValueError: a std is not above 0; when called, another number of members.
    """
    if not bool((std > 0).all()):
        raise ValueError("every feature needs a std above 0: one that never varies says nothing, leave it out")
    return _Network(module, mean, std)
