"""An attribute at a mark of its own: each is read where the text names it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from assay.models.heads.linear import linear
from assay.models.outputs import Outputs, States


@final
class MarkedHead(nn.Module):
    """``attribute_k = w_k . h_k``, ``h_k`` the k-th state read of a sequence, and ``values = attributes . weights``.

    There is no bias. A sequence that was not read once for each of ``names`` has no number. ``weights`` are fixed, one
    an attribute, and equal if none are given. Read at `reading.step_ends` of responses that end with a mark for each
    attribute (`rewards.augmented.marks`).

    Source: Liu et al. (VideoAlign), 2025, arXiv 2501.13918.

    Raises:
        ValueError: no name, a name twice, or another number of weights.
    """

    weights: Tensor

    def __init__(self, hidden: int, names: Sequence[str], *, weights: Sequence[float] = (), seed: int = 0) -> None:
        super().__init__()
        self.names = tuple(names)
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"attributes need names, each once, got {list(self.names)}")
        if weights and len(weights) != len(self.names):
            raise ValueError(f"{len(weights)} weights for {len(self.names)} attributes {list(self.names)}")
        self._options: dict[str, Any] = {
            "hidden": hidden,
            "names": self.names,
            "weights": tuple(float(weight) for weight in weights),
            "seed": seed,
        }
        self.linear = linear(hidden, len(self.names), bias=False, seed=seed)
        given = torch.tensor(self._options["weights"] or (1.0 / len(self.names),) * len(self.names))
        self.register_buffer("weights", given, persistent=False)

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return dict(self._options)

    def forward(self, states: States) -> Outputs:
        """``attributes`` ``[sequences, names]`` and ``values`` ``[sequences]``, float32."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            wanted = len(self.names)
            counts = torch.tensor(states.counts, dtype=torch.long, device=states.hidden.device)
            whole = counts == wanted
            reads = whole.repeat_interleave(counts)
            each = states.hidden[reads].float().reshape(-1, wanted, states.hidden.shape[-1])
            found = (each * self.linear.weight).sum(-1)
            space = torch.full((len(counts), wanted), torch.nan, dtype=found.dtype, device=found.device)
            attributes = space.index_put((whole.nonzero().squeeze(-1),), found)
            return Outputs((attributes * self.weights).sum(-1), attributes=attributes, names=self.names)
