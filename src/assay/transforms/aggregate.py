"""One number of several, along an axis and under a mask: of members, aspects, neighbours, judges or steps.

Each function takes ``values`` of any shape, a bool ``mask`` of the same shape (None: all are there) and the axis
``dim`` that goes. Where nothing is there the result is NaN and nothing flows back; masked cells, also NaN or infinite
ones, touch neither the value nor the gradient of the rest. Bind arguments by ``functools.partial``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Aggregate: TypeAlias = Callable[[Tensor, Tensor | None, int], Tensor]
"""``(values, mask, dim)`` to a tensor without that axis."""


def mean(values: Tensor, mask: Tensor | None = None, dim: int = 0) -> Tensor:
    """``sum / count``."""
    filled, there = _there(values, mask, 0.0)
    return _found(filled.sum(dim) / _count(there, values, dim), there, dim)


def median(values: Tensor, mask: Tensor | None = None, dim: int = 0) -> Tensor:
    """The middle value; of an even number the mean of the two in the middle."""
    filled, there = _there(values, mask, torch.inf)
    if not values.shape[dim]:
        return _found(filled.sum(dim), there, dim)
    ordered = filled.sort(dim=dim).values
    count = there.sum(dim, keepdim=True).clamp(min=1)
    lower, upper = ((count - 1) // 2, count // 2)
    middle = 0.5 * (ordered.gather(dim, lower) + ordered.gather(dim, upper))
    return _found(middle.squeeze(dim), there, dim)


def minimum(values: Tensor, mask: Tensor | None = None, dim: int = 0) -> Tensor:
    """The lowest value: worst-case optimisation (Coste et al., 2023, arXiv 2310.02743)."""
    filled, there = _there(values, mask, torch.inf)
    return _found(filled.amin(dim) if values.shape[dim] else filled.sum(dim), there, dim)


def maximum(values: Tensor, mask: Tensor | None = None, dim: int = 0) -> Tensor:
    """The highest value."""
    filled, there = _there(values, mask, -torch.inf)
    return _found(filled.amax(dim) if values.shape[dim] else filled.sum(dim), there, dim)


def total(values: Tensor, mask: Tensor | None = None, dim: int = 0) -> Tensor:
    """The sum of what is there."""
    filled, there = _there(values, mask, 0.0)
    return _found(filled.sum(dim), there, dim)


def product(values: Tensor, mask: Tensor | None = None, dim: int = 0) -> Tensor:
    """The product of what is there: of probabilities, that all hold, if they are independent."""
    filled, there = _there(values, mask, 1.0)
    return _found(filled.prod(dim), there, dim)


def weighted(values: Tensor, mask: Tensor | None = None, dim: int = 0, *, weights: Sequence[float] | Tensor) -> Tensor:
    """``sum w v / sum w`` over what is there; ``weights`` of the length of the axis, or of the shape of ``values``.

    Raises:
        ValueError: a weight is negative, or there is another number of them.
    """
    given = torch.as_tensor(weights, dtype=values.dtype, device=values.device)
    if given.dim() == 1 and given.numel() != values.shape[dim]:
        raise ValueError(f"{given.numel()} weights for {values.shape[dim]} values")
    if bool((given < 0).any()):
        raise ValueError("the weights of a mean must not be negative")
    shape = [1] * values.dim()
    shape[dim] = -1
    spread = (given.reshape(shape) if given.dim() == 1 else given).expand_as(values)
    filled, there = _there(values, mask, 0.0)
    mass = torch.where(there, spread, 0.0)
    whole = mass.sum(dim)
    return _found((mass * filled).sum(dim) / torch.where(whole > 0, whole, 1.0), there & (spread > 0), dim)


def variance(values: Tensor, mask: Tensor | None = None, dim: int = 0) -> Tensor:
    """The population variance, ``mean (v - mean)^2``; 0 of one value."""
    filled, there = _there(values, mask, 0.0)
    count = _count(there, values, dim)
    middle = (filled.sum(dim) / count).unsqueeze(dim)
    return _found(torch.where(there, filled - middle, 0.0).square().sum(dim) / count, there, dim)


def deviation(values: Tensor, mask: Tensor | None = None, dim: int = 0) -> Tensor:
    """The square root of `variance`; its gradient is 0 where the values are equal."""
    squared = variance(values, mask, dim)
    apart = squared > 0
    return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), squared)


def mean_minus_std(values: Tensor, mask: Tensor | None = None, dim: int = 0, *, k: float = 1.0) -> Tensor:
    """``mean - k std``: caution where the values differ (Eisenstein et al., 2023, arXiv 2312.09244)."""
    return mean(values, mask, dim) - k * deviation(values, mask, dim)


def mean_minus_variance(values: Tensor, mask: Tensor | None = None, dim: int = 0, *, k: float = 1.0) -> Tensor:
    """``mean - k variance``: uncertainty-weighted optimisation (Coste et al., 2023, arXiv 2310.02743)."""
    return mean(values, mask, dim) - k * variance(values, mask, dim)


def log_sum_exp(values: Tensor, mask: Tensor | None = None, dim: int = 0, *, temperature: float = 1.0) -> Tensor:
    """``T log mean exp(v / T)``: between the mean (T large) and the maximum (T to 0) or, of T below 0, the minimum.

    Raises:
        ValueError: ``temperature`` is 0.
    """
    if temperature == 0:
        raise ValueError("log_sum_exp needs a temperature other than 0 (below 0: a soft minimum)")
    # not an infinite fill: its softmax has a NaN gradient where nothing is there
    filled, there = _there(values / temperature, mask, torch.finfo(values.dtype).min / 4)
    found = filled.logsumexp(dim) - _count(there, values, dim).log()
    return _found(temperature * found, there, dim)


def conjunction(
    values: Tensor, mask: Tensor | None = None, dim: int = 0, *, references: Sequence[float] | float = 0.0
) -> Tensor:
    """``sum log sigmoid(v - reference)``: the log-probability that all are good, each against its reference.

    At most 0. It saturates, so that none can make up for another: over part of the values it is multiplied by the
    number of all over the number there.

    Raises:
        ValueError: another number of references than values.

    Source: Wang et al., 2024, arXiv 2402.00742.
    """
    against = torch.as_tensor(references, dtype=values.dtype, device=values.device)
    if against.dim() == 1:
        if against.numel() != values.shape[dim]:
            raise ValueError(f"{against.numel()} references for {values.shape[dim]} values")
        shape = [1] * values.dim()
        shape[dim] = -1
        against = against.reshape(shape)
    filled, there = _there(values, mask, 0.0)
    terms = torch.where(there, F.logsigmoid(filled - against), 0.0)
    return _found(terms.sum(dim) * (values.shape[dim] / _count(there, values, dim)), there, dim)


def _there(values: Tensor, mask: Tensor | None, fill: float) -> tuple[Tensor, Tensor]:
    there = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    return torch.where(there, values, fill), there


def _count(there: Tensor, values: Tensor, dim: int) -> Tensor:
    return there.sum(dim).clamp(min=1).to(values.dtype)


def _found(result: Tensor, there: Tensor, dim: int) -> Tensor:
    return torch.where(there.any(dim), result, torch.nan)
