"""What a list shows: the rows that a filter keeps, in the order of a column, a page at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import final

import numpy as np

from assay.curation.filters import FilterError, keep_columns
from assay.view.store import Array
from assay.view.table import Table

_CHUNK = 65_536
_MOST_KEPT = 4


@final
@dataclass(frozen=True)
class Query:
    """What is asked for: a column to sort by (``-value`` downwards, empty as in the file) and a filter (empty: all)."""

    sort: str = ""
    keep: str = ""

    @property
    def column(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        return self.sort.startswith("-")


@final
@dataclass
class Listing:
    """Pages of a table. The last few selections are kept, each four bytes a row."""

    table: Table
    _kept: OrderedDict[Query, Array] = field(default_factory=OrderedDict[Query, Array])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, query: Query) -> int:
        """How many rows the filter keeps. Raises as `rows`."""
        return len(self._selected(query)) if query.keep or query.sort else self.table.rows

    def rows(self, query: Query, start: int, count: int) -> list[int]:
        """The numbers of ``count`` rows from place ``start`` on.

        Raises:
            FilterError: the filter cannot be read, or names a column that is not there; so for the column to sort by.
        """
        if not query.keep and not query.sort:
            return list(range(start, min(start + count, self.table.rows)))
        return [int(row) for row in self._selected(query)[start : start + count]]

    def _selected(self, query: Query) -> Array:
        with self._lock:
            if query not in self._kept:
                self._kept[query] = self._select(query)
                if len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(query)
            return self._kept[query]

    def _select(self, query: Query) -> Array:
        if query.sort and query.column not in self.table.columns:
            known = ", ".join(self.table.columns)
            raise FilterError(f"sort {query.sort!r}: no column {query.column!r}; there are {known}")
        order = self.table.order(query.column, query.descending) if query.sort else None
        if not query.keep:
            assert order is not None
            return order
        mask = self._mask(query.keep)
        return np.flatnonzero(mask).astype("u4") if order is None else order[mask[order]]

    def _mask(self, expression: str) -> Array:
        wanted = keep_columns(expression, self.table.columns)
        columns = {name: self.table.column(name) for name in wanted.names}
        found = np.empty(self.table.rows, dtype=np.bool_)
        for low in range(0, self.table.rows, _CHUNK):
            found[low : low + _CHUNK] = wanted({name: cells[low : low + _CHUNK] for name, cells in columns.items()})
        return found
