"""A number for a sequence and how uncertain it is."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import nn

from assay.models.heads.conditioned import Conditioning, Film
from assay.models.heads.front import Front
from assay.models.heads.linear import linear, zeros
from assay.models.heads.pooling import Pool, last_read
from assay.models.outputs import Outputs, States, blank

_LIMIT = 12.0


@final
class GaussianHead(nn.Module):
    """``values = w . h + b`` and ``log_variance = 12 tanh((v . h + c) / 12)``; ``v`` and ``c`` start at zero.

    So the spread starts at 1 and stays within exp(-6) and exp(6), in the unit of the values. Source: Kendall and Gal,
    2017, arXiv 1703.04977.
    """

    def __init__(
        self,
        hidden: int,
        *,
        bias: bool = True,
        norm: bool = False,
        pool: Pool = last_read,
        condition: int = 0,
        by: Conditioning = Film,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.has_bias = bias
        self.front = Front(hidden, pool=pool, norm=norm, condition=condition, by=by, seed=seed)
        self.mean = linear(hidden, 1, bias=bias, seed=seed)
        self.spread = zeros(hidden, 1, bias=True)

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**self.front.options(), "bias": self.has_bias}

    def forward(self, states: States) -> Outputs:
        """``values`` and ``log_variance``, each ``[sequences]``, float32."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, none = self.front(states)
            raw = self.spread(found).squeeze(-1)
            outputs = Outputs(self.mean(found).squeeze(-1), log_variance=_LIMIT * torch.tanh(raw / _LIMIT))
            return blank(outputs, none)
