"""Figures of two arms that share their seeds, and heads read on plain feature tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.models.outputs import Outputs, States


def differences(method: Sequence[float], baseline: Sequence[float]) -> tuple[float, ...]:
    """``method - baseline`` of each seed."""
    return tuple(a - b for a, b in zip(method, baseline, strict=True))


def ratios(method: Sequence[float], baseline: Sequence[float]) -> tuple[float, ...]:
    """``method / baseline`` of each seed."""
    return tuple(a / b for a, b in zip(method, baseline, strict=True))


def outputs(head: nn.Module, features: Tensor) -> Outputs:
    """What a head says of sequences that are read once, ``[sequences, width]``, or at each step,
    ``[sequences, steps, width]``."""
    reads = features.shape[1] if features.dim() == 3 else 1
    found: Outputs = head(States(features.reshape(-1, features.shape[-1]), (reads,) * len(features)))
    return found


def values(head: nn.Module, features: Tensor) -> Tensor:
    """A head's number for each of ``features`` ``[..., width]``, read once: ``[...]``."""
    return outputs(head, features.reshape(-1, features.shape[-1])).values.reshape(features.shape[:-1])


def world(seed: int) -> torch.Generator:
    """The generator of a small world. Heads start from draws of their own seed: a world drawn from the same seed would
    hand them its truth."""
    return torch.Generator().manual_seed(1_000_003 * (seed + 1))
