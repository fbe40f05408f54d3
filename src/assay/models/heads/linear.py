"""Linear layers that start from a seed, or at zero, and leave the global random state as it is."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn


def linear(hidden: int, outputs: int, *, bias: bool, seed: int) -> nn.Linear:
    """``W h (+ b)``: ``W`` normal with standard deviation ``1 / sqrt(hidden + 1)`` (Stiennon et al. 2020, arXiv
    2009.01325), ``b`` zero."""
    made = zeros(hidden, outputs, bias=bias)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        made.weight.copy_(torch.randn((outputs, hidden), generator=generator) / (hidden + 1) ** 0.5)
    return made


def zeros(hidden: int, outputs: int, *, bias: bool = False) -> nn.Linear:
    """``W h (+ b)`` that starts at zero."""
    made = cast("nn.Linear", nn.utils.skip_init(nn.Linear, hidden, outputs, bias=bias, dtype=torch.float32))
    with torch.no_grad():
        for weight in made.parameters():
            weight.zero_()
    return made
