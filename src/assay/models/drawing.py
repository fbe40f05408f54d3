"""Drawing tokens so that every row has its own random numbers, whatever stands beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor


@final
class Draw:
    """Leaves one token possible in each row: the one that the row's own random numbers choose."""

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.temperature = temperature
        self.top_p = top_p

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        del input_ids
        found = scores.float().cpu()
        if self.temperature:
            found = nucleus(found / self.temperature, self.top_p)
            noise = torch.stack([torch.rand(found.shape[-1], generator=each) for each in self.generators])
            found = found - (-noise.clamp(min=1e-20).log()).log()
        chosen = torch.full_like(scores, -torch.inf)
        return chosen.scatter(-1, found.argmax(-1, keepdim=True).to(scores.device), 0.0)


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Logits ``[rows, vocabulary]`` with all but the likeliest tokens that hold ``top_p`` together at -inf."""
    if top_p >= 1:
        return logits
    ordered, places = logits.softmax(-1).sort(-1, descending=True)
    beyond = ordered.cumsum(-1) - ordered >= top_p
    return logits.masked_fill(torch.zeros_like(beyond).scatter(-1, places, beyond), -torch.inf)


def seed_of(seed: int, ids: Tensor, copy: int) -> int:
    """The seed of one copy of what goes on from ``ids`` ``[length]`` int64."""
    digest = hashlib.sha256(f"{seed} {copy} ".encode() + ids.numpy().tobytes()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
