"""Running a claim: its seeds, the time it takes on one thread, and what came out, for people and for machines."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from assay.claims.base import Check, Interval, Outcome
from assay.claims.papers import Paper

FEW = 3


@final
@dataclass(frozen=True, slots=True)
class Reproduced:
    """What running a paper's claim gave; ``seconds`` are CPU seconds on one thread, without the imports."""

    paper: Paper
    seeds: tuple[int, ...]
    sabotaged: bool
    outcome: Outcome
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every effect that is claimed was there."""
        return self.outcome.holds

    def facts(self) -> dict[str, Any]:
        """Everything measured, as JSON can hold it: a bound that is open and a figure that is not finite are null."""
        return {
            "number": self.paper.number,
            "name": self.paper.name,
            "grade": str(self.paper.grade),
            "seeds": list(self.seeds),
            "sabotage": self.sabotaged,
            "holds": self.holds,
            "figures": {name: _measured(values) for name, values in self.outcome.figures.items()},
            "checks": [_check(check) for check in self.outcome.checks],
            "notes": list(self.outcome.notes),
            "cpu_seconds": round(self.seconds, 2),
        }


def reproduce(paper: Paper, seeds: Sequence[int] = (), *, sabotage: bool = False) -> Reproduced:
    """Run a paper's claim on its own seeds, or on those given."""
    import torch

    claim = paper.load_claim()
    paper.load_home()
    chosen = tuple(seeds) or paper.seeds
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        start = time.process_time()
        outcome = claim(chosen, sabotage)
        seconds = time.process_time() - start
    finally:
        torch.set_num_threads(threads)
    return Reproduced(paper, chosen, sabotage, outcome, seconds)


def sabotaged(paper: Paper) -> Reproduced:
    """Run a paper's claim under sabotage on the first `FEW` of its seeds, and on all of them if it still holds there:
    what is replaced is the whole of the effect, so that a few seeds show it gone."""
    few = reproduce(paper, paper.seeds[:FEW], sabotage=True)
    return reproduce(paper, sabotage=True) if few.holds and len(paper.seeds) > FEW else few


def interval_of(values: Sequence[float]) -> Interval | None:
    """The interval of a figure over the seeds; None when one of them is not finite."""
    return Interval.of(values) if values and all(math.isfinite(value) for value in values) else None


def _measured(values: Sequence[float]) -> dict[str, Any]:
    found = interval_of(values)
    each = [value if math.isfinite(value) else None for value in values]
    if found is None:
        return {"mean": None, "low": None, "high": None, "each": each}
    return {"mean": found.mean, "low": found.low, "high": found.high, "each": each}


def _check(check: Check) -> dict[str, Any]:
    bounds = {"at_least": check.at_least, "at_most": check.at_most}
    finite = {name: bound if math.isfinite(bound) else None for name, bound in bounds.items()}
    return {"name": check.name, "holds": check.holds, **finite, **_measured(check.measured)}
