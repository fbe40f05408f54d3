"""What every figure on real data shares: recorded splits, paired intervals against a floor, one JSON a data set.

A module of a data set has ``measure(place) -> list[Figure]``; `real_figures.py` names it, runs it and writes what it
returns to ``results/real_NAME.json``, from which ``docs/generate.py`` writes ``docs/results.md``.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from assay import metrics
from assay.metrics import Floats, Interval, Ints

RESULTS = Path(__file__).resolve().parent.parent / "results"

Bools: TypeAlias = npt.NDArray[np.bool_]
Statistic: TypeAlias = Callable[[Floats, Ints], float]
"""(values of all items, the items to count, drawn ones as often as they were drawn) to one number."""


class MissingError(Exception):
    """Data or weights that are not on this machine; the message says how to get them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where data are read, and where weights and states are kept for a next run."""

    data: Path
    cache: Path
    seed: int = 0

    def folder(self, name: str, remedy: str) -> Path:
        """A folder of the data.

        Raises:
            MissingError: it is not there; ``remedy`` says what to put there.
        """
        found = self.data / name
        if not found.exists():
            raise MissingError(f"{found}: put {remedy} there")
        return found

    @staticmethod
    def say(line: str) -> None:
        """Progress, on stderr; never a text of the data."""
        print(line, file=sys.stderr, flush=True)


# -- splits -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Split:
    """Which items are asked about by rewards fitted without them.

    ``fold`` ``[items]`` is the fold that asks about an item, -1 for one that is only learned from; ``unit`` ``[items]``
    numbers the clusters, none of which is in two folds. ``sha256`` is of the ids and folds in order of the ids.
    """

    how: str
    fold: Ints
    unit: Ints
    sha256: str

    @property
    def folds(self) -> int:
        """How many there are."""
        return int(self.fold.max()) + 1

    def each(self) -> Iterator[tuple[int, Bools, Bools]]:
        """(number, items to learn from, items asked about) of every fold."""
        for number in range(self.folds):
            yield number, self.fold != number, self.fold == number

    def inner(self, learned: Bools, count: int, seed: int) -> Iterator[tuple[Bools, Bools]]:
        """Folds by cluster inside the items that are learned from, to choose settings by: (learn, judge) of all."""
        units = np.unique(self.unit[learned])
        place = np.full(int(self.unit.max()) + 1, -1, dtype=np.int64)
        place[np.random.default_rng(seed).permutation(units)] = np.arange(len(units)) % count
        for number in range(count):
            yield learned & (place[self.unit] != number), learned & (place[self.unit] == number)

    def told(self) -> dict[str, Any]:
        """What is recorded of it."""
        asked = self.fold >= 0
        return {
            "how": self.how,
            "folds": self.folds,
            "items": int(self.fold.size),
            "asked": int(asked.sum()),
            "clusters_asked": int(np.unique(self.unit[asked]).size),
            "sha256": self.sha256,
        }


def crossed(how: str, ids: Sequence[str], keys: Sequence[Hashable], *, folds: int = 5, seed: int = 0) -> Split:
    """Every item is asked about once; items with one key are in one fold."""
    unit = numbered(keys)
    fold = np.random.default_rng(seed).permutation(int(unit.max()) + 1)[unit] % folds
    return _split(how, ids, fold.astype(np.int64), unit)


def held_out(how: str, ids: Sequence[str], keys: Sequence[Hashable], test: Sequence[bool]) -> Split:
    """The items of ``test`` are asked about by one reward fitted on all others.

    Raises:
        ValueError: items with one key are on both sides.
    """
    unit, fold = numbered(keys), np.where(np.array(test), 0, -1).astype(np.int64)
    return _split(how, ids, fold, unit)


def numbered(keys: Sequence[Hashable]) -> Ints:
    """Equal keys as equal numbers, in order of their first item."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)


def _split(how: str, ids: Sequence[str], fold: Ints, unit: Ints) -> Split:
    if len(set(ids)) != len(ids):
        raise ValueError("items of a split need ids of their own")
    sides = {(int(u), int(f)) for u, f in zip(unit, fold, strict=True)}
    if len(sides) != int(unit.max()) + 1:
        raise ValueError("a cluster is in two folds")
    rows = sorted(f"{name}\t{number}" for name, number in zip(ids, fold.tolist(), strict=True))
    return Split(how, fold, unit, hashlib.sha256("\n".join(rows).encode()).hexdigest())


# -- figures ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Goal:
    """What a difference to the floor must be: its whole interval above 0, its value at least something, or nothing."""

    interval_above: float | None = None
    value_at_least: float | None = None

    def reached(self, difference: Interval) -> bool:
        """Whether it is so."""
        above, least = self.interval_above, self.value_at_least
        return (above is None or difference.low > above) and (least is None or difference.value >= least)


ABOVE = Goal(interval_above=0.0)
REPORTED = Goal()


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of one reward beside its floor, on the same items.

    ``measure`` is its name, ``scale`` 100 for shares told in per cent and 1 for correlations. ``reward`` and
    ``floor_is`` say in a sentence what was fitted. ``details`` are further plain numbers.
    """

    measure: str
    ours: Interval
    floor: Interval
    difference: Interval
    goal: Goal
    reward: str
    floor_is: str
    scale: float = 1.0
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def good(self) -> bool:
        """Whether the goal is reached."""
        return self.goal.reached(self.difference)


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures of one data set. ``licence`` names source and licence; nothing of the data is in this project."""

    title: str
    folder: str
    licence: str
    split: Split
    figures: Sequence[Figure]
    cpu_seconds: Mapping[str, float]
    notes: str = ""

    @property
    def good(self) -> bool:
        """Whether all goals are reached."""
        return all(figure.good for figure in self.figures)


def compared(
    statistic: Statistic, ours: Floats, floor: Floats, unit: Ints, *, draws: int = 2000, level: float = 0.95
) -> tuple[Interval, Interval, Interval]:
    """A statistic of ``[items]``, of ours, of the floor and of ours minus the floor, with cluster bootstrap intervals.

    Clusters ``unit`` are drawn with replacement, the same ones for both (`metrics.paired_difference` for statistics
    that are no means: correlations, F1). Percentile intervals (Efron, 1979).
    """
    order = np.argsort(unit, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(unit[order])) + 1)
    every = np.arange(unit.size, dtype=np.int64)
    rng = np.random.default_rng(0)
    drawn = np.empty((draws, 2))
    for number in range(draws):
        rows = np.concatenate([members[place] for place in rng.integers(len(members), size=len(members))])
        drawn[number] = statistic(ours, rows), statistic(floor, rows)
    first, second = statistic(ours, every), statistic(floor, every)

    def interval(value: float, found: Floats) -> Interval:
        low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2])
        return Interval(value, float(low), float(high), int(unit.size), len(members), level)

    gap = drawn[:, 0] - drawn[:, 1]
    return interval(first, drawn[:, 0]), interval(second, drawn[:, 1]), interval(first - second, gap)


def of_outcomes(ours: Floats, floor: Floats, unit: Ints) -> tuple[Interval, Interval, Interval]:
    """The same of mean outcomes in 0..1 ``[items]``; one that is not known (NaN) counts half right for either."""
    mine, other = (np.where(np.isnan(each), 0.5, each) for each in (ours, floor))
    return (
        metrics.bootstrap_mean(mine, unit, bounds=(0.0, 1.0)),
        metrics.bootstrap_mean(other, unit, bounds=(0.0, 1.0)),
        metrics.paired_difference(mine, other, unit),
    )


def spearman_to(truth: Floats) -> Statistic:
    """Spearman's correlation with ``truth`` ``[items]``."""
    return lambda values, rows: metrics.spearman(values[rows], truth[rows])


@contextmanager
def timed(spent: dict[str, float], name: str) -> Generator[None]:
    """CPU seconds of a block, added to ``spent[name]``."""
    started = time.process_time()
    try:
        yield
    finally:
        spent[name] = spent.get(name, 0.0) + time.process_time() - started


# -- files and lines --------------------------------------------------------------------------------------------------


def write(name: str, found: Measured, environment: Mapping[str, Any]) -> Path:
    """``results/real_NAME.json``."""
    place = RESULTS / f"real_{name}.json"
    figures = [asdict(figure) | {"good": figure.good} for figure in found.figures]
    told = {
        "benchmark": f"real_{name}",
        "environment": dict(environment),
        "title": found.title,
        "folder": found.folder,
        "licence": found.licence,
        "notes": found.notes,
        "split": found.split.told(),
        "figures": figures,
        "cpu_seconds": dict(found.cpu_seconds),
        "good": found.good,
    }
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(told, indent=1) + "\n")
    return place


def lines(name: str, found: Measured) -> list[str]:
    """What is printed of a data set."""
    seconds = ", ".join(f"{what} {value:.0f}" for what, value in found.cpu_seconds.items())
    return [
        f"{name}: {found.split.how}; {found.split.told()['asked']:,} items, sha256 {found.split.sha256[:12]}",
        *(
            f"  {figure.measure:<28} ours {told(figure.ours, figure.scale)}, floor {told(figure.floor, figure.scale)}, "
            f"difference {told(figure.difference, figure.scale, signed=True)}: {'ok' if figure.good else 'MISSED'}"
            for figure in found.figures
        ),
        f"  CPU seconds: {seconds}",
    ]


def told(interval: Interval, scale: float, *, signed: bool = False) -> str:
    """``62.2 [60.3, 64.1]`` for shares in per cent, ``.651 [.59, .70]`` otherwise with three digits."""
    form = ("+" if signed else "") + (".1f" if scale == 100 else ".3f")
    return f"{scale * interval.value:{form}} [{scale * interval.low:{form}}, {scale * interval.high:{form}}]"
