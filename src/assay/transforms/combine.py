"""Combinations: several rewards' scores of the same rows made one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch

from assay.scores import Scores, Status

Combine: TypeAlias = Callable[[Sequence[Scores]], Scores]
AbstainRule: TypeAlias = Callable[[Sequence[Scores], Scores], Scores]


def any_abstains(members: Sequence[Scores], combined: Scores) -> Scores:
    """A row abstains when any member abstained on it, with the first such member's status and message."""
    for member in members:
        for status in dict.fromkeys(member.status):
            if status is not Status.OK:
                rows = torch.tensor(
                    [s is status and c is Status.OK for s, c in zip(member.status, combined.status, strict=True)]
                )
                message = next(m for s, m in zip(member.status, member.messages, strict=True) if s is status)
                combined = combined.abstain(rows, status, message)
    return combined
