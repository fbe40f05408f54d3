"""Result files read back: the scores that `assay.runs.score` wrote, as scores again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from assay.records import Record
from assay.rewards.base import expected_ids, group_index
from assay.runs.results import ResultError, read_metadata
from assay.scores import Scores, Status

_PLAIN = frozenset(
    {"id", "record", "response", "value", "status", "message", "std", "steps", "step_status", "critique"}
)


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """Rows as `assay.runs.results.rows_of` makes them, from .parquet or .jsonl, in order.

    Raises:
        ResultError: the file is no result of assay.
        FileNotFoundError: there is none.
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"{place}: no such file; give scores that `assay score` wrote")
    if read_metadata(place) is None:
        raise ResultError(f"{place} was not written by `assay score`: nothing says what made it; score it again")
    if place.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(place) as file:
            for batch in file.iter_batches():
                yield from map(nested, batch.to_pylist())
        return
    with place.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """A flat row of a table with its attributes together again."""
    names = [name for name in row if name not in _PLAIN and not (name.endswith(".status") and name[:-7] in row)]
    found = {name: value for name, value in row.items() if name in _PLAIN and value is not None}
    found.setdefault("value", None)
    if names:
        found["attributes"] = {name: [row[name], row.get(f"{name}.status") or row["status"]] for name in names}
    return found


def read_scores(path: str | Path, records: Sequence[Record]) -> Scores:
    """The scores of ``records`` from the file that holds them, in their order.

    Raises:
        ResultError: the file is of other records, or no result of assay.
        FileNotFoundError: there is none.
    """
    rows = list(read_rows(path))
    ids = expected_ids(records)
    if tuple(row["id"] for row in rows) != ids:
        raise ResultError(f"{path} holds {len(rows)} scores of other responses than these {len(ids)}; score them again")
    return scores_from(rows, records)


def scores_from(rows: Sequence[Mapping[str, Any]], records: Sequence[Record]) -> Scores:
    """Scores of ``records`` from rows of `assay.runs.results.rows_of`, one a response and in order, as float64.

    A row's id, record and response are not read. An attribute that some judged row lacks is dropped.
    """
    judged = [row for row in rows if row["value"] is not None] or rows
    names = [name for name in (judged[0].get("attributes", {}) if judged else {}) if _all_have(judged, name)]
    attributes = {name: [row.get("attributes", {}).get(name, (None, row["status"])) for row in rows] for name in names}
    has = {column: any(column in row for row in rows) for column in ("std", "steps", "critique")}
    return Scores(
        values=_column([row["value"] for row in rows]),
        group=group_index(records),
        ids=expected_ids(records),
        status=tuple(Status(row["status"]) for row in rows),
        std=_column([row.get("std") for row in rows]) if has["std"] else None,
        attributes={name: _column([value for value, _ in cells]) for name, cells in attributes.items()},
        attribute_status={name: tuple(Status(status) for _, status in cells) for name, cells in attributes.items()},
        steps=tuple(_column(row.get("steps") or ()) for row in rows) if has["steps"] else None,
        step_status=_step_status(rows) if has["steps"] else None,
        critiques=tuple(row.get("critique") for row in rows) if has["critique"] else None,
        messages=tuple(row.get("message") or "" for row in rows),
    )


def _all_have(rows: Sequence[Mapping[str, Any]], attribute: str) -> bool:
    return all(attribute in row.get("attributes", {}) for row in rows)


def _column(values: Sequence[float | None]) -> torch.Tensor:
    return torch.tensor([torch.nan if value is None else value for value in values], dtype=torch.float64)


def _step_status(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[Status, ...], ...] | None:
    if not any(row.get("step_status") for row in rows):
        return None
    return tuple(
        tuple(map(Status, row.get("step_status") or [row["status"]] * len(row.get("steps") or ()))) for row in rows
    )
