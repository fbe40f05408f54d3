"""Heads: what turns hidden states into numbers. A head computes in float32 whatever the backbone's format is."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn


@final
class ScalarHead(nn.Module):
    """One number per hidden state: ``w . h`` (+ ``b``), of the normalised state when ``norm`` is set.

    ``w`` starts normal with standard deviation ``1 / sqrt(hidden + 1)`` (Stiennon et al. 2020, arXiv 2009.01325), from
    ``seed``; ``b`` starts at zero. There is no dropout. Without ``bias`` and ``norm`` it is the head that
    transformers' sequence classification has.
    """

    def __init__(self, hidden: int, *, bias: bool = False, norm: bool = False, seed: int = 0) -> None:
        super().__init__()
        self.has_bias = bias
        self.norm = nn.LayerNorm(hidden, dtype=torch.float32) if norm else None
        self.linear = nn.Linear(hidden, 1, bias=bias, dtype=torch.float32)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn((1, hidden), generator=generator) / (hidden + 1) ** 0.5)
            if bias:
                self.linear.bias.zero_()

    @property
    def is_plain(self) -> bool:
        """Neither bias nor norm."""
        return self.norm is None and not self.has_bias

    def forward(self, hidden: Tensor) -> Tensor:
        """``[..., hidden]`` to ``[...]``, float32, outside any autocast."""
        with torch.autocast(hidden.device.type, enabled=False):
            states = hidden.float()
            if self.norm is not None:
                states = self.norm(states)
            return self.linear(states).squeeze(-1)
