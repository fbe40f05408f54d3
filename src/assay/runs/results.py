"""Result files: one row a response as Parquet or JSONL, with what made them written beside or inside."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from assay.records import Record
from assay.runs.files import write_whole
from assay.scores import Scores, Status, numbers

ROW_GROUP = 8_192
_KEY = b"assay"


class ResultError(ValueError):
    """A result file cannot be written or read as asked. The message names the file and the remedy."""


def rows_of(scores: Scores, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Rows ready for JSON: id, record, response, value (None for an abstention), status, message.

    Where present: ``std``, ``attributes`` as ``{name: [value, status]}``, ``steps``, ``step_status``, ``critique``.
    """
    places = [(record.id, index) for record in records for index in range(len(record.responses))]
    values, std = _cells(scores.values), None if scores.std is None else _cells(scores.std)
    attributes = {name: _cells(column) for name, column in scores.attributes.items()}
    rows: list[dict[str, Any]] = []
    for i, (name, index) in enumerate(places):
        row: dict[str, Any] = {
            "id": scores.ids[i],
            "record": name,
            "response": index,
            "value": values[i],
            "status": str(scores.status[i]),
            "message": scores.messages[i],
        }
        if std is not None:
            row["std"] = std[i]
        if attributes:
            row["attributes"] = {n: [cells[i], str(scores.attribute_status[n][i])] for n, cells in attributes.items()}
        if scores.steps is not None and scores.step_status is not None:
            row["steps"] = _cells(scores.steps[i])
            row["step_status"] = [str(status) for status in scores.step_status[i]]
        if scores.critiques is not None:
            row["critique"] = scores.critiques[i]
        rows.append(row)
    return rows


def _cells(column: torch.Tensor) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in cast("list[float]", numbers(column).tolist())]


@dataclass
class Tally:
    """Counts by status, mean and std of the judged values (Welford), and which optional columns appear."""

    counts: dict[str, int] = field(default_factory=dict[str, int])
    judged: int = 0
    mean: float = 0.0
    squares: float = 0.0
    columns: dict[str, None] = field(default_factory=dict[str, None])
    attributes: dict[str, None] = field(default_factory=dict[str, None])
    uneven: dict[str, None] = field(default_factory=dict[str, None])

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row of `rows_of`."""
        self.counts[row["status"]] = self.counts.get(row["status"], 0) + 1
        if row["value"] is not None:
            self.judged += 1
            step = row["value"] - self.mean
            self.mean += step / self.judged
            self.squares += step * (row["value"] - self.mean)
        self.columns |= dict.fromkeys(name for name in ("std", "steps", "critique") if name in row)
        if any(status != Status.OK for status in row.get("step_status", ())):
            self.columns["step_status"] = None
        for name, (_, status) in row.get("attributes", {}).items():
            self.attributes[name] = None
            if status != row["status"]:
                self.uneven[name] = None

    @property
    def std(self) -> float | None:
        """The sample std of the judged values; None below two."""
        return math.sqrt(self.squares / (self.judged - 1)) if self.judged > 1 else None

    def summary(self) -> dict[str, Any]:
        """Plain numbers, the same for the same rows."""
        ordered = {str(status): self.counts[status] for status in Status if status in self.counts}
        mean = self.mean if self.judged else None
        return {"responses": sum(self.counts.values()), "counts": ordered, "mean": mean, "std": self.std}


Batches = Callable[[], Iterable[Sequence[Mapping[str, Any]]]]


def writer_for(path: Path) -> Callable[[Path, Batches, Tally, Mapping[str, Any]], None]:
    """How a result of this name is written.

    Raises:
        ResultError: the name ends neither in .parquet nor in .jsonl.
    """
    writers = {".parquet": _write_parquet, ".jsonl": _write_jsonl}
    if path.suffix not in writers:
        raise ResultError(f"{path}: a result is written as .parquet or .jsonl; name it so")
    return writers[path.suffix]


def sidecar(path: Path) -> Path:
    """Where the metadata of a JSONL result lies."""
    return path.with_name(path.name + ".meta.json")


def read_metadata(path: Path) -> dict[str, Any] | None:
    """What was written with a result: assay's version, the job, the summary. None for a file that is no result.

    Raises:
        ResultError: the file cannot be read as its name says.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        beside = sidecar(path)
        return json.loads(beside.read_bytes()) if beside.exists() else None
    try:
        stored = pq.read_metadata(path).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise ResultError(f"{path} is no readable Parquet file ({error}); remove it or choose another name") from error
    return json.loads(stored[_KEY]) if _KEY in stored else None


def _write_jsonl(path: Path, batches: Batches, tally: Tally, metadata: Mapping[str, Any]) -> None:
    def write(file: BinaryIO) -> None:
        for batch in batches():
            file.write(b"".join(json.dumps(row, allow_nan=False).encode() + b"\n" for row in batch))

    write_whole(path, write)
    write_whole(sidecar(path), lambda file: _dump(file, metadata))


def _dump(file: BinaryIO, metadata: Mapping[str, Any]) -> None:
    file.write(json.dumps(metadata, indent=1).encode() + b"\n")


def _write_parquet(path: Path, batches: Batches, tally: Tally, metadata: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(tally).with_metadata({_KEY: json.dumps(metadata).encode()})

    def write(file: BinaryIO) -> None:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for group in _groups(batches()):
                flat = [_flat(row, tally) for row in group]
                writer.write_table(pa.Table.from_pylist(flat, schema=schema), row_group_size=ROW_GROUP)

    write_whole(path, write)


def _groups(batches: Iterable[Sequence[Mapping[str, Any]]]) -> Iterator[list[Mapping[str, Any]]]:
    """Rows in groups of `ROW_GROUP`, however they were batched, so that the same rows give the same bytes."""
    group: list[Mapping[str, Any]] = []
    for batch in batches:
        for row in batch:
            group.append(row)
            if len(group) == ROW_GROUP:
                yield group
                group = []
    if group:
        yield group


def _schema(tally: Tally) -> Any:
    import pyarrow as pa

    fields: list[Any] = [
        ("id", pa.string()),
        ("record", pa.string()),
        ("response", pa.int32()),
        ("value", pa.float64()),
        ("status", pa.string()),
        ("message", pa.string()),
    ]
    kinds = {
        "std": pa.float64(),
        "steps": pa.list_(pa.float64()),
        "step_status": pa.list_(pa.string()),
        "critique": pa.string(),
    }
    fields += [(name, kind) for name, kind in kinds.items() if name in tally.columns]
    for name in tally.attributes:
        fields.append((name, pa.float64()))
        if name in tally.uneven:
            fields.append((f"{name}.status", pa.string()))
    return pa.schema(fields)


def _flat(row: Mapping[str, Any], tally: Tally) -> dict[str, Any]:
    flat = {name: _encodable(cell) for name, cell in row.items() if name != "attributes"}
    given: Mapping[str, Sequence[Any]] = row.get("attributes", {})
    for name in tally.attributes:
        flat[name], flat[f"{name}.status"] = given.get(name, (None, row["status"]))
    return flat


def _encodable(cell: Any) -> Any:
    """Text that Parquet, which is UTF-8, can hold; a lone surrogate is written as its escape."""
    return cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else cell
