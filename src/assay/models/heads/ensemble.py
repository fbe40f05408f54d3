"""Several heads on one state: an ensemble at the price of one forward of the backbone."""

from __future__ import annotations

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import nn

from assay.models.heads.conditioned import Conditioning, Film
from assay.models.heads.front import Front
from assay.models.heads.linear import linear
from assay.models.heads.pooling import Pool, last_read
from assay.models.outputs import Outputs, States, blank


@final
class EnsembleHead(nn.Module):
    """``members`` heads that differ in their seed; ``values = mean - k std`` over them (population std).

    A member is ``w . h + b``, or with ``width`` above 0 ``w . gelu(V h + c) + b``. Each member's number is an attribute
    ``member_0``, ..., and their variance is the score's. Members trained on the same loss of the mean stay alike: train
    each by `training.members.each_member`, with ``share`` below 1 on records of its own.

    Raises:
        ValueError: fewer than two members.

    Sources: Coste et al., 2023, arXiv 2310.02743; Osband et al., 2016, arXiv 1602.04621 (heads on shared features).
    """

    def __init__(
        self,
        hidden: int,
        members: int = 5,
        *,
        k: float = 0.0,
        width: int = 0,
        norm: bool = False,
        pool: Pool = last_read,
        condition: int = 0,
        by: Conditioning = Film,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if members < 2:
            raise ValueError(f"an ensemble has at least 2 members, got {members}")
        self.k, self.width = float(k), width
        self.names = tuple(f"member_{number}" for number in range(members))
        self.front = Front(hidden, pool=pool, norm=norm, condition=condition, by=by, seed=seed)
        seeds = [1000 * seed + number for number in range(members)]
        inner = [linear(hidden, width, bias=True, seed=each + 500) for each in seeds] if width else []
        self.inner = nn.ModuleList(inner)
        self.outer = nn.ModuleList([linear(width or hidden, 1, bias=True, seed=each) for each in seeds])

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**self.front.options(), "members": len(self.names), "k": self.k, "width": self.width}

    def forward(self, states: States) -> Outputs:
        """``values`` and ``log_variance`` ``[sequences]``, ``attributes`` ``[sequences, members]``, float32."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, none = self.front(states)
            inner = [F.gelu(layer(found)) for layer in self.inner] or [found] * len(self.names)
            each = [layer(state) for layer, state in zip(self.outer, inner, strict=True)]
            members = torch.cat(each, dim=-1)
            variance = members.var(dim=-1, unbiased=False).clamp(min=torch.finfo(torch.float32).tiny)
            values = members.mean(dim=-1) - self.k * variance.sqrt()
            outputs = Outputs(values, attributes=members, names=self.names, log_variance=variance.log())
            return blank(outputs, none)
