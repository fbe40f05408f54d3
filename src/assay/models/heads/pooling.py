"""One state of a sequence from those that were read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from assay.models.outputs import States

Pool: TypeAlias = Callable[[States], Tensor]
"""``States`` to ``[sequences, hidden]``; NaN for a sequence of which nothing was read."""


def last_read(states: States) -> Tensor:
    """The last state read of each sequence."""
    if all(count == 1 for count in states.counts):
        return states.hidden
    counts = torch.tensor(states.counts, device=states.hidden.device)
    place = (counts.cumsum(0) - 1).clamp(min=0)
    found = states.hidden[place] if states.hidden.shape[0] else states.hidden.new_zeros(len(counts), *_width(states))
    return torch.where((counts > 0)[:, None], found, torch.nan)


def mean_of_reads(states: States) -> Tensor:
    """The mean over the states read of each sequence, in float32: over a response's tokens, say."""
    if not states.counts:
        return states.hidden.new_zeros(0, *_width(states))
    if all(count == 1 for count in states.counts):
        return states.hidden.float()
    return torch.stack([part.float().mean(0) for part in states.hidden.split(list(states.counts))])


def by_sequence(values: Tensor, counts: tuple[int, ...], fill: float = torch.nan) -> Tensor:
    """``[reads, ...]`` one after another to ``[sequences, longest, ...]``, padded with ``fill``."""
    longest = max(counts, default=0)
    lengths = torch.tensor(counts, device=values.device, dtype=torch.long)
    mask = torch.arange(longest, device=values.device)[None] < lengths[:, None]
    padded = torch.full((len(counts), longest, *values.shape[1:]), fill, dtype=values.dtype, device=values.device)
    return padded.index_put((mask,), values)


def of_each_read(rows: Tensor, counts: tuple[int, ...]) -> Tensor:
    """``[sequences, ...]`` repeated for every read of its sequence, ``[reads, ...]``."""
    return rows.repeat_interleave(torch.tensor(counts, device=rows.device, dtype=torch.long), dim=0)


def _width(states: States) -> tuple[int, ...]:
    return tuple(states.hidden.shape[1:])
