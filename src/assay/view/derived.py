"""Columns that a table has beside its own: what another reward says, where the two disagree, where people do."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np

from assay.view.shelf import Shelf
from assay.view.store import Array
from assay.view.table import Derived, Table

OTHER, FLIPS, ERROR = "other", "flips", "error"
_Preferred = tuple[str, list[tuple[int, int]]]
_RECORDS_AT_ONCE = 8_192
_PAIRS_AT_ONCE = 4_096


def other_values(table: Table, other: Table) -> Array:
    """The value that ``other`` gives each row of ``table`` ``[rows]``; NaN where it has no such record or response."""
    place = other.places_of(table.hashes())
    sizes = (table.ends().astype("i8") - table.starts).astype("i8")
    known = np.maximum(place, 0)
    first = other.starts[known].astype("i8") if other.records else np.zeros(len(place), "i8")
    length = np.where(place >= 0, other.ends()[known].astype("i8") - first, 0) if other.records else first
    offset = np.arange(table.rows) - np.repeat(table.starts.astype("i8"), sizes)
    there = offset < np.repeat(length, sizes)
    row = np.where(there, np.repeat(first, sizes) + offset, 0)
    return np.where(there, other.column("value")[row], np.nan) if other.rows else np.full(table.rows, np.nan)


def flips(table: Table) -> Array:
    """How many responses of its record the two rewards order otherwise than this one: ``[rows]``, NaN without both
    values. A tie of either reward is no disagreement."""
    value, other = table.column("value"), table.column(OTHER)
    starts, ends = table.starts, table.ends()
    found = np.zeros(table.rows)
    for block in range(0, table.records, _RECORDS_AT_ONCE):
        low, high = int(starts[block]), int(ends[min(block + _RECORDS_AT_ONCE, table.records) - 1])
        sizes = (ends[block : block + _RECORDS_AT_ONCE] - starts[block : block + _RECORDS_AT_ONCE]).astype("i8")
        record = np.repeat(np.arange(len(sizes)), sizes)
        one, two = np.asarray(value[low:high]), np.asarray(other[low:high])
        for step in range(1, int(sizes.max(initial=0))):
            same = record[step:] == record[:-step]
            flipped = same & ((one[step:] - one[:-step]) * (two[step:] - two[:-step]) < 0)
            found[low + step : high] += flipped
            found[low : high - step] += flipped
        found[low:high][np.isnan(one) | np.isnan(two)] = np.nan
    return found


def errors(table: Table, shelf: Shelf, sign: float = 1.0) -> Array:
    """By how much each response stands above one that people prefer to it, the most of several: ``[rows]``.

    ``max over pairs (better, this) of sign (value[this] - value[better])``: positive is wrong; NaN where no one
    preferred another response to it, or a value is missing. ``sign`` is -1 where lower is better.
    """
    value = table.column("value")
    found = np.full(table.rows, np.nan)
    for chunk in _chunks(shelf.pairs(), _PAIRS_AT_ONCE):
        place = table.places([name for name, _ in chunk])
        triples = [
            (int(at), better, worse)
            for at, (_, pairs) in zip(place, chunk, strict=True)
            for better, worse in pairs
            if at >= 0 and max(better, worse) < len(table.span_at(int(at)))
        ]
        if not triples:
            continue
        at, better, worse = np.array(triples).T
        first = table.starts[at].astype("i8")
        np.fmax.at(found, first + worse, sign * (value[first + worse] - value[first + better]))
    return found


def add_derived(table: Table, *, shelf: Shelf | None = None, other: Table | None = None, sign: float = 1.0) -> None:
    """Give a table the columns ``other`` and ``flips`` of another's values and ``error`` of the records' feedback."""
    made: dict[str, Derived] = {}
    if other is not None:
        of = other.folder.name
        made |= {OTHER: Derived(of, lambda: other_values(table, other)), FLIPS: Derived(of, lambda: flips(table))}
    if shelf is not None and next(shelf.pairs(), None) is not None:
        made[ERROR] = Derived(f"{shelf.digest} {sign}", lambda: errors(table, shelf, sign))
    table.derived.update({name: make for name, make in made.items() if name not in table.numbers})


def _chunks(items: Iterable[_Preferred], size: int) -> Iterable[list[_Preferred]]:
    stream = iter(items)
    while chunk := list(islice(stream, size)):
        yield chunk
