"""Rows that lie behind one another and make one record, such as several answers to one question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from assay.records.problems import Problem
from assay.records.sources import Item

_ROWS = "$rows"


def adjacent(key: Callable[[Mapping[str, Any]], Any]) -> Callable[[Iterator[Item]], Iterator[Item]]:
    """A ``gather`` that joins neighbouring rows with the same key, under the number of the first; see `members`.

    A row without the key's columns stands alone. Rows of one key that lie apart make several records, so that memory
    holds one group.
    """

    def gather(items: Iterator[Item]) -> Iterator[Item]:
        rows: list[Any] = []
        first, last = 0, object()
        for item in items:
            if isinstance(item, Problem):
                yield item
                continue
            number, row = item
            this = _key(key, row)
            if rows and this != last:
                yield first, {_ROWS: rows}
                rows = []
            if not rows:
                first, last = number, this
            rows.append(row)
        if rows:
            yield first, {_ROWS: rows}

    return gather


def _key(key: Callable[[Mapping[str, Any]], Any], row: Any) -> Any:
    try:
        return key(row)
    except (LookupError, TypeError):
        return object()


def members(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The rows that `adjacent` joined; a row that was not gathered is a group of one."""
    return cast(Sequence[Mapping[str, Any]], row[_ROWS]) if _ROWS in row else (row,)
