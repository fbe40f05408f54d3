"""Rows out of files: JSON Lines, JSON arrays, Parquet, CSV and TSV, streamed, whatever their line ends, padding or
compression.

A row comes with its number, counted from 1 (in text files the line, in arrays the element). Rows that cannot be
parsed come as a `Problem` in their place, and reading goes on behind them wherever the file still says where the next
row starts.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from assay.records.problems import FormatError, Problem

Item: TypeAlias = tuple[int, Any] | Problem

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")

_CHUNK = 1 << 18
_LONGEST_ROW = 1 << 28
_PADDING = "\0 \t\r\n\ufeff"
_UNDECODED = re.compile("[\udc80-\udcff]")
_PARQUET_BATCH_BYTES = 4 << 20


def is_data_file(path: Path) -> bool:
    """Whether the name is one that rows are read from: .jsonl, .ndjson, .json (also with .gz) or .parquet."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES) and not name.startswith((".", "dataset_info", "dataset_infos"))


def is_delimited(path: Path) -> bool:
    """Whether the name ends in .csv or .tsv (also with .gz). A directory's are read if it holds no other data file."""
    return path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")) and not path.name.startswith(".")


def rows_of(path: Path) -> Iterator[Item]:
    """The rows of one file, in order, streamed.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: the file is not UTF-8 text (JSON, JSON Lines, CSV, TSV) or Parquet.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    with path.open("rb") as raw:
        start = raw.read(4)
    if start == b"PAR1":
        return _parquet_rows(path)
    if path.suffix.lower() == ".parquet":
        raise FormatError(f"{path}: named .parquet but does not begin as one (first bytes {start!r}); write it again")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FormatError(f"{path}: UTF-16 text; save it as UTF-8")
    return _text_rows(path, compressed=start[:2] == b"\x1f\x8b")


def _text_rows(path: Path, *, compressed: bool) -> Iterator[Item]:
    with path.open("rb") as raw:
        binary: IO[bytes] = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if compressed else raw
        text = io.TextIOWrapper(cast(Any, binary), encoding="utf-8", errors="surrogateescape", newline=None)
        last = 0
        try:
            for item in _delimited(path, text) if is_delimited(path) else _rows_of_text(str(path), text):
                last = item.last if isinstance(item, Problem) else item[0]
                yield item
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            cause = f"the compressed data is damaged or ends early ({error})"
            yield Problem(str(path), last + 1, last + 1, "corrupt_gzip", cause, "fetch or write the file again")


def _rows_of_text(file: str, text: io.TextIOWrapper) -> Iterator[Item]:
    start = text.read(_CHUNK)
    while start and not start.strip(_PADDING):
        start = text.read(_CHUNK)
    start = start.lstrip("\0\ufeff")
    if start.lstrip(_PADDING).startswith("["):
        return _array(file, start, text)
    return _lines(file, start, text)


def _delimited(path: Path, text: io.TextIOWrapper) -> Iterator[Item]:
    """Dictionaries of strings, named by the first line; an empty cell is "". TSV knows no quotes, as TREC and WMT write
    it; a quoted CSV cell may hold line ends."""
    tabbed = path.name.lower().removesuffix(".gz").endswith(".tsv")
    text.reconfigure(newline="")
    if tabbed:
        reader = csv.reader(_bounded_lines(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(_bounded_lines(text), strict=True)
    names: list[str] | None = None
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            remedy = "the rows from here on were not read; mend it"
            yield Problem(str(path), first, first, "bad_csv", f"not delimited text ({error})", remedy)
            return
        if cells is None:
            return
        if names is None:
            names = [name.strip("\ufeff") for name in cells]
        elif len(cells) == len(names):
            if any(_UNDECODED.search(cell) for cell in cells if not cell.isascii()):
                cause, remedy = "bytes that are not UTF-8", "write the row again as UTF-8"
                yield Problem(str(path), first, first, "not_utf8", cause, remedy)
            else:
                yield first, dict(zip(names, cells, strict=True))
        elif cells:
            cause = f"{len(cells)} cells under {len(names)} names"
            yield Problem(str(path), first, first, "bad_csv", cause, "give each row a cell for each name")


def _lines(file: str, start: str, text: io.TextIOWrapper) -> Iterator[Item]:
    rest = start + text.readline(_LONGEST_ROW) if not start.endswith("\n") else start
    loads = json.loads
    for number, line in enumerate(chain(io.StringIO(rest, newline="\n"), _bounded_lines(text)), start=1):
        try:
            row = loads(line)
        except ValueError as error:
            stripped = line.strip(_PADDING)
            if not stripped:
                continue
            try:
                row = loads(stripped)
            except ValueError:
                yield _unparsable(file, number, line, error)
                continue
        except RecursionError:
            yield Problem(file, number, number, "bad_json", "nested too deeply", "flatten the row")
            continue
        if not line.isascii() and _UNDECODED.search(line):
            yield Problem(file, number, number, "not_utf8", "bytes that are not UTF-8", "write the row again as UTF-8")
        else:
            yield number, row


def _bounded_lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_LONGEST_ROW):
        yield line


def _unparsable(file: str, number: int, line: str, error: ValueError) -> Problem:
    if len(line) >= _LONGEST_ROW:
        return Problem(
            file, number, number, "row_too_long", f"longer than {_LONGEST_ROW:,} characters", "split the row"
        )
    where = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
    cause = f"not JSON{where} ({getattr(error, 'msg', error)})"
    if not line.endswith("\n"):
        cause += ", and the file ends within the row"
    return Problem(file, number, number, "bad_json", cause, "mend or remove the row")


class _UnfinishedError(Exception):
    """The buffer ends before the value does."""


def _array(file: str, start: str, text: io.TextIOWrapper) -> Iterator[Item]:
    decoder = json.JSONDecoder()
    buffer, position, number, want = start, start.index("[") + 1, 0, _CHUNK
    while True:
        try:
            found, row, position = _element(decoder, buffer, position)
        except _UnfinishedError:
            more = text.read(want)
            if more and len(buffer) - position < _LONGEST_ROW:
                buffer, position, want = buffer[position:] + more, 0, want * 2
                continue
            rows = f"the array ends within element {number + 1}" if not more else f"element {number + 1} is too long"
            yield Problem(
                file, number + 1, number + 1, "bad_json", rows, "the rows from here on were not read; mend it"
            )
            return
        except json.JSONDecodeError as error:
            cause = f"element {number + 1} is not JSON ({error.msg})"
            remedy = "the rows from here on were not read; mend or remove the element"
            yield Problem(file, number + 1, number + 1, "bad_json", cause, remedy)
            return
        if not found:
            return
        want, number = _CHUNK, number + 1
        yield number, row


def _element(decoder: json.JSONDecoder, buffer: str, position: int) -> tuple[bool, Any, int]:
    end = len(buffer)
    while position < end and (buffer[position] in _PADDING or buffer[position] == ","):
        position += 1
    if position >= end:
        raise _UnfinishedError
    if buffer[position] == "]":
        return False, None, position
    try:
        row, after = decoder.raw_decode(buffer, position)
    except json.JSONDecodeError as error:
        if error.pos >= end - 8 or error.msg.startswith("Unterminated string"):
            raise _UnfinishedError from error
        raise
    if after >= end:
        raise _UnfinishedError
    return True, row, after


def _parquet_rows(path: Path) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{path}: not a whole Parquet file ({_first_line(error)}); write it again") from error
    with file:
        first = 1
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group)
            batch_rows = max(1, min(1024, _PARQUET_BATCH_BYTES * size.num_rows // max(1, size.total_byte_size)))
            row = first
            try:
                for batch in file.iter_batches(batch_rows, row_groups=[group]):
                    yield from _batch_rows(str(path), group, row, batch)
                    row += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                last = first + size.num_rows - 1
                cause = f"the row group cannot be decoded ({_first_line(error)})"
                remedy = "write the file again, or read with on_error='collect' to go on behind the group"
                yield Problem(str(path), row, last, "corrupt_row_group", cause, remedy, group)
            first += size.num_rows


def _batch_rows(file: str, group: int, first: int, batch: Any) -> Iterator[Item]:
    import pyarrow as pa

    try:
        yield from enumerate(batch.to_pylist(), start=first)
    except (UnicodeDecodeError, pa.ArrowInvalid):
        for offset in range(batch.num_rows):
            try:
                yield first + offset, batch.slice(offset, 1).to_pylist()[0]
            except (UnicodeDecodeError, pa.ArrowInvalid):
                cause, remedy = "text that is not UTF-8", "write the row again as UTF-8"
                yield Problem(file, first + offset, first + offset, "not_utf8", cause, remedy, group)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
