"""One number for a sequence: the reward head."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import nn

from assay.models.heads.conditioned import Conditioning, Film
from assay.models.heads.front import Front
from assay.models.heads.linear import linear
from assay.models.heads.pooling import Pool, last_read
from assay.models.outputs import Outputs, States, blank


@final
class ScalarHead(nn.Module):
    """``values = w . h`` (+ ``b``) of the state that `Front` makes of a sequence: its last one, unless told otherwise.

    ``w`` starts normal with standard deviation ``1 / sqrt(hidden + 1)`` (Stiennon et al. 2020, arXiv 2009.01325), from
    ``seed``; ``b`` starts at zero. There is no dropout. With defaults it is the head that transformers' sequence
    classification has.
    """

    def __init__(
        self,
        hidden: int,
        *,
        bias: bool = False,
        norm: bool = False,
        pool: Pool = last_read,
        condition: int = 0,
        by: Conditioning = Film,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.has_bias = bias
        self.front = Front(hidden, pool=pool, norm=norm, condition=condition, by=by, seed=seed)
        self.linear = linear(hidden, 1, bias=bias, seed=seed)

    @property
    def is_plain(self) -> bool:
        """Nothing but the product with the last state."""
        return self.front.is_plain and not self.has_bias

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**self.front.options(), "bias": self.has_bias}

    def forward(self, states: States) -> Outputs:
        """``values`` ``[sequences]``, float32, outside any autocast."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, none = self.front(states)
            return blank(Outputs(self.linear(found).squeeze(-1)), none)
