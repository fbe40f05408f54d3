"""Many numbers for a sequence, one an attribute, and their weighted sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from assay.models.heads.conditioned import Conditioning, Film
from assay.models.heads.front import Front
from assay.models.heads.linear import linear
from assay.models.heads.pooling import Pool, last_read
from assay.models.outputs import Outputs, States, blank


@final
class AttributeHead(nn.Module):
    """``attributes = W h`` (+ ``b``), and ``values = attributes . weights``, the overall score.

    ``weights`` are fixed, one an attribute in the order of ``names``, and equal if none are given; HelpSteer2's
    goodness of helpfulness, correctness, coherence, complexity and verbosity is (.3, .74, .46, .47, -.33) (Wang et al.,
    2024, arXiv 2406.08673). An objective over one attribute trains its row alone, and one over ``values`` all rows.

    Raises:
        ValueError: no name, a name twice, or another number of weights.
    """

    weights: Tensor

    def __init__(
        self,
        hidden: int,
        names: Sequence[str],
        *,
        weights: Sequence[float] = (),
        bias: bool = True,
        norm: bool = False,
        pool: Pool = last_read,
        condition: int = 0,
        by: Conditioning = Film,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.names = tuple(names)
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"attributes need names, each once, got {list(self.names)}")
        if weights and len(weights) != len(self.names):
            raise ValueError(f"{len(weights)} weights for {len(self.names)} attributes {list(self.names)}")
        self._weights, self.has_bias = tuple(float(weight) for weight in weights), bias
        self.front = Front(hidden, pool=pool, norm=norm, condition=condition, by=by, seed=seed)
        self.linear = linear(hidden, len(self.names), bias=bias, seed=seed)
        given = torch.tensor(self._weights or (1.0 / len(self.names),) * len(self.names))
        self.register_buffer("weights", given, persistent=False)

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {**self.front.options(), "names": self.names, "weights": self._weights, "bias": self.has_bias}

    def forward(self, states: States) -> Outputs:
        """``attributes`` ``[sequences, names]`` and ``values`` ``[sequences]``, float32."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, none = self.front(states)
            attributes = self.linear(found)
            overall = (attributes * self.weights).sum(dim=-1)
            return blank(Outputs(overall, attributes=attributes, names=self.names), none)
