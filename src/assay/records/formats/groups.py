"""Rows that lie behind one another and make one record, such as several answers to one question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from assay.records.problems import Problem
from assay.records.sources import Item

_ROWS = "$rows"
_NUMBERS = "$numbers"


def adjacent(key: Callable[[Mapping[str, Any]], Any]) -> Callable[[Iterator[Item]], Iterator[Item]]:
    """A ``gather`` that joins neighbouring rows with the same key, under the number of the first; see `members`.

    A row without the key's columns stands alone. Rows of one key that lie apart make several records, so that memory
    holds one group.
    """

    def gather(items: Iterator[Item]) -> Iterator[Item]:
        group: list[tuple[int, Any]] = []
        last = object()
        for item in items:
            if isinstance(item, Problem):
                yield item
                continue
            this = _key(key, item[1])
            if group and this != last:
                yield group[0][0], joined(group)
                group = []
            group.append(item)
            last = this
        if group:
            yield group[0][0], joined(group)

    return gather


def _key(key: Callable[[Mapping[str, Any]], Any], row: Any) -> Any:
    try:
        return key(row)
    except (LookupError, TypeError):
        return object()


def joined(rows: Sequence[tuple[int, Any]]) -> dict[str, Any]:
    """One row of several, each with its number."""
    return {_ROWS: [row for _, row in rows], _NUMBERS: [number for number, _ in rows]}


def members(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The rows that `adjacent` joined; a row that was not gathered is a group of one."""
    return cast(Sequence[Mapping[str, Any]], row[_ROWS]) if _ROWS in row else (row,)


def parted(row: Any) -> Sequence[tuple[int, Any]]:
    """The rows of a group with their numbers; none where the row is no group."""
    return list(zip(row[_NUMBERS], row[_ROWS], strict=True)) if isinstance(row, dict) and _ROWS in row else ()
