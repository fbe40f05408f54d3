"""The number of a response from those of its steps: each function is ``[sequences, longest]`` to ``[sequences]``.

NaN cells are padding, and without gradient; a row of nothing else gives NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Aggregate: TypeAlias = Callable[[Tensor], Tensor]


def product(steps: Tensor) -> Tensor:
    """All steps are right, if they are independent and the numbers probabilities."""
    found, mask = _filled(steps, 1.0)
    return _known(found.prod(dim=-1), mask)


def minimum(steps: Tensor) -> Tensor:
    """As good as the worst step."""
    found, mask = _filled(steps, torch.inf)
    return _known(found.amin(dim=-1) if steps.shape[-1] else steps.new_zeros(len(steps)), mask)


def last(steps: Tensor) -> Tensor:
    """The last step has seen all before it."""
    found, mask = _filled(steps, 0.0)
    if not steps.shape[-1]:
        return steps.new_full((len(steps),), torch.nan)
    place = torch.where(mask, torch.arange(steps.shape[-1], device=steps.device), -1).amax(dim=-1)
    return _known(found.gather(-1, place.clamp(min=0)[:, None]).squeeze(-1), mask)


def mean(steps: Tensor) -> Tensor:
    """The mean step."""
    found, mask = _filled(steps, 0.0)
    return _known(found.sum(dim=-1) / mask.sum(dim=-1).clamp(min=1), mask)


def total(steps: Tensor) -> Tensor:
    """The sum of the steps: of dense rewards, say."""
    found, mask = _filled(steps, 0.0)
    return _known(found.sum(dim=-1), mask)


def _filled(steps: Tensor, fill: float) -> tuple[Tensor, Tensor]:
    mask = ~steps.isnan()
    return torch.where(mask, steps, fill), mask


def _known(found: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask.any(dim=-1), found, torch.nan)
