"""What a claim is: figures of a method and of its baselines over seeds, and the effects that must be there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np


class Grade(StrEnum):
    """What a claim shows: an ``EFFECT`` measured against a baseline, an exact ``IDENTITY``, or a ``MECHANISM``, the
    logic of a loop whose roles are scripted."""

    EFFECT = "effect"
    IDENTITY = "identity"
    MECHANISM = "mechanism"


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds with its 95 % interval (Student's t over the seeds); one seed has no width."""

    mean: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Interval:
        """The interval of one figure a seed.

        Raises:
            ValueError: no figure, or one that is not finite.
        """
        from scipy import stats

        found = np.asarray(values, dtype=float)
        if not found.size or not np.isfinite(found).all():
            raise ValueError(f"figures must be finite and at least one, got {list(values)}")
        mean = float(found.mean())
        if found.size == 1:
            return Interval(mean, mean, mean)
        half = float(stats.t.ppf(0.975, found.size - 1) * found.std(ddof=1) / math.sqrt(found.size))
        return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold: ``measured`` (a figure a seed) has its mean at least ``at_least`` or at most
    ``at_most``. An effect whose seeds are paired is the difference of each seed."""

    name: str
    measured: tuple[float, ...]
    at_least: float = -math.inf
    at_most: float = math.inf

    @property
    def interval(self) -> Interval:
        """Mean and 95 % interval over the seeds."""
        return Interval.of(self.measured)

    @property
    def holds(self) -> bool:
        """Whether the mean lies within the bounds. A figure that is not finite never holds."""
        if not all(math.isfinite(value) for value in self.measured):
            return False
        return self.at_least <= self.interval.mean <= self.at_most


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a claim measured: ``figures`` by name, one a seed, for the table; ``checks`` decide."""

    figures: Mapping[str, tuple[float, ...]]
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.checks:
            raise ValueError("a claim without a check cannot fail")

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)


class Claim(Protocol):
    """``claim(seeds, sabotage)``: the method beside its baseline; with ``sabotage`` the one decisive term is replaced,
    and the outcome must not hold."""

    def __call__(self, seeds: Sequence[int], sabotage: bool = False) -> Outcome: ...
