"""`write`: records to every format that can be written, streamed, whole or absent."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias, cast

from assay.media import Text
from assay.records.formats import Format, Row, Target, format_named, formats
from assay.records.formats.native import json_text
from assay.records.problems import BadRowError, FormatError, Problem, RowError
from assay.records.reading import OnError
from assay.records.record import Record

_Rows: TypeAlias = Iterator[tuple[int, Row]]
_Report: TypeAlias = Callable[[Problem], None]
_FIRST = 1000
_GROUP_ROWS = 20_000
_MOST_BYTES = 12 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """What `write` did: records taken, rows written, and what could not be written."""

    records: int
    rows: int
    problems: tuple[Problem, ...] = ()


def write(
    records: Iterable[Record], path: str | Path, *, format: str = "native", on_error: OnError = "raise"
) -> Written:
    """Write records, streamed; the file is whole or absent. Its suffix says how: .jsonl, .json (an array) or .parquet,
    the first two also with .gz.

    In text files media given by bytes are laid down in ``NAME_media/`` beside the file and referred to by relative path
    (native rows hold them in base64); Parquet files hold the bytes of all media (native: media by path stay paths).
    Parquet column types are those of the first 1,000 rows (fewer, if they hold much media); pages carry checksums,
    which `read` verifies.

    Raises:
        FormatError: an unknown or read-only format, or a suffix that cannot be written.
        RowError: at the first record that the format cannot hold, with ``on_error="raise"``; ``"collect"`` leaves the
            record out and says so in ``Written.problems``.
    """
    if on_error not in ("raise", "collect"):
        raise ValueError(f"on_error={on_error!r}; give 'raise' or 'collect'")
    target = Path(path)
    to = format_named(format)
    sink = _sink(target, to)
    stream = iter(records)
    first = first_records(stream)
    assert to.writer is not None
    media = target.with_name(target.name.split(".")[0] + "_media")
    encode = to.writer(first, Target(sink is _write_parquet, target.parent, media))
    problems: list[Problem] = []
    taken = 0

    def report(problem: Problem) -> None:
        if on_error == "raise":
            raise RowError(problem)
        problems.append(problem)

    def rows() -> _Rows:
        nonlocal taken
        for taken, record in enumerate(chain(first, stream), start=1):
            try:
                encoded = encode(record)
            except BadRowError as error:
                report(error.at(f"record {record.id!r}", taken))
                continue
            for row in encoded:
                yield taken, row

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    try:
        count = sink(partial, rows(), report, to, target.suffix == ".gz")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if to.beside is not None:
        to.beside(target)
    return Written(taken, count, tuple(problems))


def first_records(stream: Iterator[Record]) -> list[Record]:
    """The first 1,000 records, which decide on columns; fewer when they hold more than 12 MB of media."""
    first: list[Record] = []
    held = 0
    for record in islice(stream, _FIRST):
        first.append(record)
        held += sum(len(part.data or b"") for part in record.parts() if not isinstance(part, Text))
        if held > _MOST_BYTES:
            break
    return first


_Sink: TypeAlias = Callable[[Path, _Rows, _Report, Format, bool], int]


def _sink(path: Path, to: Format) -> _Sink:
    if to.writer is None:
        writable = ", ".join(known.name for known in formats() if known.writer)
        raise FormatError(f"{to.name} can only be read; formats that can be written: {writable}")
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _write_parquet
    if name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        return _write_lines
    if name.removesuffix(".gz").endswith(".json"):
        return _write_array
    raise FormatError(f"{path}: name it .jsonl, .json (also .gz) or .parquet; the suffix says how to write")


def _text(path: Path, compressed: bool) -> io.TextIOWrapper:
    raw = gzip.GzipFile(path, "wb", mtime=0) if compressed else path.open("wb")
    return io.TextIOWrapper(cast(Any, raw), encoding="utf-8", newline="\n")


def _write_lines(path: Path, rows: _Rows, report: _Report, _to: Format, compressed: bool) -> int:
    count = 0
    with _text(path, compressed) as file:
        for text in _json(rows, report):
            file.write(text + "\n")
            count += 1
    return count


def _write_array(path: Path, rows: _Rows, report: _Report, _to: Format, compressed: bool) -> int:
    count = 0
    with _text(path, compressed) as file:
        file.write("[")
        for text in _json(rows, report):
            file.write((",\n" if count else "\n") + text)
            count += 1
        file.write("\n]\n")
    return count


def _json(rows: _Rows, report: _Report) -> Iterator[str]:
    for number, row in rows:
        try:
            yield json_text(row)
        except BadRowError as error:
            report(error.at(f"record {row.get('id', '')!r}", number))


def _write_parquet(path: Path, rows: _Rows, report: _Report, to: Format, _compressed: bool) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    batch = _batch(rows)
    if to.schema is not None:
        schema = to.schema()
    elif batch:
        schema = _inferred([row for _, row in batch[:_FIRST]])
    else:
        schema = pa.schema([("id", pa.string())])
    with pq.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        while batch:
            table = _table(batch, schema, report)
            writer.write_table(table)
            count += table.num_rows
            batch = _batch(rows)
    return count


def _batch(rows: _Rows) -> list[tuple[int, Row]]:
    """The rows of the next group: 20,000, or as many as 12 MB hold."""
    batch: list[tuple[int, Row]] = []
    weight = 0
    for number, row in rows:
        batch.append((number, row))
        weight += _weight(row)
        if len(batch) == _GROUP_ROWS or weight > _MOST_BYTES:
            break
    return batch


def _weight(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum([_weight(item) for item in cast(dict[str, Any], value).values()])
    return sum([_weight(item) for item in cast(list[Any], value)]) if isinstance(value, list) else 8


def _inferred(rows: Sequence[Row]) -> Any:
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, UnicodeError, OverflowError):
            columns[name] = pa.array([value for value in values if _fits(value)][:1])
    return pa.schema([(name, column.type) for name, column in columns.items()])


def _fits(value: Any) -> bool:
    import pyarrow as pa

    try:
        return not pa.types.is_null(pa.array([value]).type)
    except (pa.ArrowException, UnicodeError, OverflowError):
        return False


def _table(batch: Sequence[tuple[int, Row]], schema: Any, report: _Report) -> Any:
    import pyarrow as pa

    failures = (pa.ArrowException, UnicodeError, OverflowError, TypeError)
    known = set(schema.names)
    if all(row.keys() <= known for _, row in batch):
        try:
            return pa.Table.from_pylist([row for _, row in batch], schema=schema)
        except failures:
            pass  # some row does not fit: find which, below
    good: list[Row] = []
    for number, row in batch:
        extra = sorted(row.keys() - known)
        try:
            pa.Table.from_pylist([row], schema=schema)
            cause = f"columns that the first 1,000 rows lack: {', '.join(extra)}"
        except failures as error:
            cause, extra = f"does not fit the column types of the first 1,000 rows ({error})", ["?"]
        if not extra:
            good.append(row)
            continue
        problem = BadRowError("column_types", cause, "write .jsonl, or give every row the same columns")
        report(problem.at(f"record {row.get('id', '')!r}", number))
    return pa.Table.from_pylist(good, schema=schema)
