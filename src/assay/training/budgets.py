"""How long to train, and how the learning rate goes along: both are functions of one number, the progress 0..1."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, final


@dataclass(frozen=True, slots=True)
class Position:
    """How far a run has come: optimiser steps done, steps an epoch has, seconds spent training (resumed ones too)."""

    step: int
    steps_per_epoch: int
    seconds: float


class Budget(Protocol):
    """How long to train."""

    def progress(self, position: Position, /) -> float:
        """0 at the start; training ends at 1."""
        ...


Schedule: TypeAlias = Callable[[float], float]
"""Progress 0..1 to a factor of the learning rate."""


@final
@dataclass(frozen=True, slots=True)
class Epochs:
    """So many passes over the records; a fraction is allowed."""

    count: float

    def __post_init__(self) -> None:
        _positive("epochs", self.count)

    def progress(self, position: Position, /) -> float:
        return position.step / max(1, math.ceil(self.count * position.steps_per_epoch))


@final
@dataclass(frozen=True, slots=True)
class Steps:
    """So many optimiser steps."""

    count: int

    def __post_init__(self) -> None:
        _positive("steps", self.count)

    def progress(self, position: Position, /) -> float:
        return position.step / self.count


@final
@dataclass(frozen=True, slots=True)
class Minutes:
    """So many minutes of training by ``clock`` (seconds; evaluation and reading not counted).

    The schedule follows the clock, so the learning rate reaches its end on time whatever the machine does meanwhile.
    The price: two runs take different steps, and a resumed run goes on from the minutes spent but is not bit-equal.
    """

    count: float
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        _positive("minutes", self.count)

    def progress(self, position: Position, /) -> float:
        return position.seconds / (60.0 * self.count)


def _positive(name: str, count: float) -> None:
    if not (count > 0 and math.isfinite(count)):
        raise ValueError(f"{name} is {count}; it must be positive and finite")


@final
@dataclass(frozen=True, slots=True)
class Cosine:
    """Linear warm-up over the first ``warmup`` of the run, then half a cosine down to ``floor``."""

    warmup: float = 0.05
    floor: float = 0.0

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        along = min(1.0, (progress - self.warmup) / (1.0 - self.warmup))
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * along))


@final
@dataclass(frozen=True, slots=True)
class Linear:
    """Linear warm-up, then linearly to zero: what TRL and transformers do."""

    warmup: float = 0.0

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        return max(0.0, (1.0 - progress) / (1.0 - self.warmup))


@final
@dataclass(frozen=True, slots=True)
class Constant:
    """Linear warm-up, then constant."""

    warmup: float = 0.0

    def __call__(self, progress: float) -> float:
        return progress / self.warmup if progress < self.warmup else 1.0


@final
@dataclass(frozen=True, slots=True)
class Trapezoid:
    """Linear warm-up, constant, and linearly to zero over the last ``cooldown`` of the run (arXiv 2405.18392)."""

    warmup: float = 0.05
    cooldown: float = 0.3

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        return min(1.0, max(0.0, (1.0 - progress) / self.cooldown))
