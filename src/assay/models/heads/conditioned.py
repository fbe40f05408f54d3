"""Scores that depend on more than the response: on a criterion, a user's profile, a direction, a context."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.models.heads.linear import linear, zeros

Conditioning: TypeAlias = Callable[[int, int, int], nn.Module]
"""``(hidden, width, seed)`` to a module ``(states [rows, hidden], condition [rows, width]) -> [rows, hidden]``."""


@final
class Film(nn.Module):
    """``h * (1 + G c) + B c``: a condition scales and shifts each feature. ``G`` and ``B`` start at zero.

    A row whose condition is NaN has the condition ``population`` ``[width]``, uniform until `observe` sets it to the
    mean condition of the training records: what the population on average says.

    Source: Perez et al., 2018, arXiv 1709.07871.
    """

    population: Tensor

    def __init__(self, hidden: int, width: int, seed: int = 0) -> None:
        super().__init__()
        self.linear = zeros(width, 2 * hidden)
        self.register_buffer("population", torch.full((width,), 1.0 / width))

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """``[rows, hidden]`` and ``[rows, width]`` to ``[rows, hidden]``."""
        scale, shift = self.linear(known(condition, self.population)).chunk(2, dim=-1)
        return hidden * (1.0 + scale) + shift


@final
class Concat(nn.Module):
    """``h + V gelu(W [h; c] + b)``: state and condition side by side through a hidden layer as wide as the state.

    ``W`` starts from ``seed``, ``V`` at zero. NaN conditions as in `Film`.
    """

    population: Tensor

    def __init__(self, hidden: int, width: int, seed: int = 0) -> None:
        super().__init__()
        self.inner = linear(hidden + width, hidden, bias=True, seed=seed)
        self.outer = zeros(hidden, hidden)
        self.register_buffer("population", torch.full((width,), 1.0 / width))

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """``[rows, hidden]`` and ``[rows, width]`` to ``[rows, hidden]``."""
        joined = torch.cat([hidden, known(condition, self.population)], dim=-1)
        return hidden + self.outer(F.gelu(self.inner(joined)))


def known(condition: Tensor, population: Tensor) -> Tensor:
    """The condition of each row; ``population`` where it is NaN."""
    unknown = condition.isnan().any(dim=-1, keepdim=True)
    return torch.where(unknown, population.to(condition), condition).float()


@torch.no_grad()
def observe(head: nn.Module, conditions: Tensor) -> None:
    """Set every ``population`` in a head to the mean of the known rows of ``conditions`` ``[rows, width]``."""
    rows = conditions[~conditions.isnan().any(dim=-1)]
    if not len(rows):
        return
    for module in head.modules():
        if isinstance(module, Film | Concat):
            module.population.copy_(rows.double().mean(dim=0))
