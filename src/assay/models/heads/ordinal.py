"""A level on an ordered scale: the distances between levels are learned, not assumed."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.models.heads.conditioned import Conditioning, Film
from assay.models.heads.front import Front
from assay.models.heads.linear import linear
from assay.models.heads.pooling import Pool, last_read
from assay.models.outputs import Outputs, States, blank


@final
class OrdinalHead(nn.Module):
    """A cumulative link: ``P(level > k) = sigmoid(w . h - t_k)``, thresholds ``t_0 < ... < t_{levels - 2}`` learned.

    ``logits`` are ``w . h - t_k``, falling along k; ``values`` the expected level
    ``lowest + sum_k P(level > k)``; ``extra["probabilities"]`` ``[sequences, levels]``. Without evidence all levels are
    equally likely at the start. Source: McCullagh, JRSS B 1980.

    Raises:
        ValueError: fewer than two levels.
    """

    def __init__(
        self,
        hidden: int,
        levels: int,
        *,
        lowest: float = 0.0,
        norm: bool = False,
        pool: Pool = last_read,
        condition: int = 0,
        by: Conditioning = Film,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"an ordinal scale has at least 2 levels, got {levels}")
        self.levels, self.lowest = levels, lowest
        self.front = Front(hidden, pool=pool, norm=norm, condition=condition, by=by, seed=seed)
        self.linear = linear(hidden, 1, bias=False, seed=seed)
        starts = [math.log((k + 1) / (levels - k - 1)) for k in range(levels - 1)]
        gaps = [math.log(math.expm1(after - before)) for before, after in pairwise(starts)]
        self.first = nn.Parameter(torch.tensor(starts[:1]))
        self.gaps = nn.Parameter(torch.tensor(gaps))

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**self.front.options(), "levels": self.levels, "lowest": self.lowest}

    @property
    def thresholds(self) -> Tensor:
        """``[levels - 1]``, ascending."""
        return torch.cat([self.first, self.first + F.softplus(self.gaps).cumsum(0)])

    def forward(self, states: States) -> Outputs:
        """``values`` ``[sequences]`` and ``logits`` ``[sequences, levels - 1]``, float32."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, none = self.front(states)
            logits = self.linear(found) - self.thresholds
            above = torch.sigmoid(logits)
            bounded = F.pad(F.pad(above, (1, 0), value=1.0), (0, 1), value=0.0)
            shares = {"probabilities": bounded[:, :-1] - bounded[:, 1:]}
            return blank(Outputs(self.lowest + above.sum(dim=-1), logits=logits, extra=shares), none)
