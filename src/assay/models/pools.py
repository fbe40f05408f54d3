"""Several pictures, frames or sounds as one state."""

from __future__ import annotations

from typing import Protocol, final

import torch
from torch import Tensor, nn


class Pooling(Protocol):
    """A module made by ``(width, seed)``: states ``[items, width]``, one or more, to ``[width]``."""

    def __call__(self, states: Tensor, /) -> Tensor: ...


@final
class MeanPool(nn.Module):
    """The mean. It has no weights."""

    def __init__(self, width: int, seed: int = 0) -> None:
        super().__init__()

    def forward(self, states: Tensor) -> Tensor:
        """``[items, width]`` to ``[width]``."""
        return states.mean(0)


@final
class AttentionPool(nn.Module):
    """``sum_i softmax_i(q . h_i / sqrt(width)) h_i`` with a trained ``q``, which starts at zero: the mean at first."""

    def __init__(self, width: int, seed: int = 0) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, states: Tensor) -> Tensor:
        """``[items, width]`` to ``[width]``."""
        weights = torch.softmax(states @ self.query / states.shape[-1] ** 0.5, 0)
        return weights @ states
