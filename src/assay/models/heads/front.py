"""What heads do first: read, condition and normalise states, in float32."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn

from assay.models.heads.conditioned import Conditioning, Film
from assay.models.heads.pooling import Pool, last_read, of_each_read
from assay.models.outputs import States


@final
class Front(nn.Module):
    """States to those that a linear layer reads, float32.

    ``pool`` makes one state a sequence; ``condition`` is the width of the condition the states are changed by, with
    ``by`` (`Film` or `Concat`), 0 for none; ``norm`` is a layer norm after it.
    """

    def __init__(
        self,
        hidden: int,
        *,
        pool: Pool = last_read,
        norm: bool = False,
        condition: int = 0,
        by: Conditioning = Film,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._options: dict[str, Any] = {
            "hidden": hidden,
            "pool": pool,
            "norm": norm,
            "condition": condition,
            "by": by,
            "seed": seed,
        }
        self.pool = pool
        self.conditioning = by(hidden, condition, seed + 1) if condition else None
        self.norm = nn.LayerNorm(hidden, dtype=torch.float32) if norm else None

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return dict(self._options)

    @property
    def is_plain(self) -> bool:
        """The last state as it is."""
        return self.norm is None and self.conditioning is None and self.pool is last_read

    def forward(self, states: States) -> tuple[Tensor, Tensor]:
        """One state a sequence ``[sequences, hidden]``, and ``[sequences]`` bool: which have none.

        Those are zero here, so that no gradient is lost in them; what is made of them is no number (`blank`).
        """
        return self._changed(self.pool(states).float(), states.condition)

    def each(self, states: States) -> tuple[Tensor, Tensor]:
        """Every state read ``[reads, hidden]``, and which are none ``[reads]``."""
        rows = None if states.condition is None else of_each_read(states.condition, states.counts)
        return self._changed(states.hidden.float(), rows)

    def _changed(self, hidden: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        none = hidden.isnan().any(dim=-1)
        hidden = torch.where(none[:, None], 0.0, hidden)
        if self.conditioning is not None:
            if condition is None:
                width = int(self._options["condition"])
                condition = hidden.new_full((hidden.shape[0], width), torch.nan)
            hidden = self.conditioning(hidden, condition)
        return (hidden if self.norm is None else self.norm(hidden)), none
