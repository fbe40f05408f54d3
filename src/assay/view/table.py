"""A result file as a table that is never loaded: columns as mapped arrays, orders made once, rows read by number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.runs.reading import nested, read_rows
from assay.runs.results import ResultError, Tally, read_metadata, writer_for
from assay.scores import Status
from assay.view.store import Array, folder_of, kept, made_whole, mapped

STATUSES = tuple(str(status) for status in Status)
_CHUNK = 16_384
_BUFFER = 1 << 16


@final
@dataclass(frozen=True)
class Derived:
    """A column that is no column of the file: how it is made, and ``of`` what, so that it is made again of another."""

    of: str
    make: Callable[[], Array]


@final
@dataclass(frozen=True)
class Table:
    """Scored rows: ``rows`` of them, in ``records`` records; opened by `open_table`.

    ``numbers`` are the names of columns of numbers in the file; `derived` ones come on top.
    """

    path: Path
    folder: Path
    rows: int
    numbers: tuple[str, ...]
    metadata: Mapping[str, Any]
    _file: Path
    _firsts: tuple[int, ...]
    derived: dict[str, Derived] = field(default_factory=dict[str, Derived])

    @property
    def columns(self) -> tuple[str, ...]:
        """What rows are sorted and filtered by."""
        return (*self.numbers, *self.derived, "status", "response")

    @property
    def records(self) -> int:
        """How many records the rows are of."""
        return len(self.starts)

    def column(self, name: str) -> Array:
        """One column ``[rows]``: numbers with NaN where absent, ``status`` as places in `Status`.

        Raises:
            KeyError: there is none of this name.
        """
        path = self._kept(name, "column")
        if name in self.derived:
            return kept(path, "f8", self.derived[name].make)
        if name == "status":
            return kept(path, "u1", lambda: self._gathered("status", np.dtype("u1")))
        if name not in (*self.numbers, "response"):
            raise KeyError(name)
        return kept(path, "f8", lambda: self._gathered(name, np.dtype("f8")))

    def order(self, name: str, descending: bool = False) -> Array:
        """The numbers of all rows sorted by a column, those without a number last; ties as in the file."""

        def sort() -> Array:
            column = self.column(name).astype("f8")
            return np.argsort(-column if descending else column, kind="stable")

        return kept(self._kept(name, "down" if descending else "up"), "u4", sort)

    def counts(self) -> dict[str, int]:
        """How many rows have each status."""
        found = np.bincount(self.column("status"), minlength=len(STATUSES))
        return {name: int(count) for name, count in zip(STATUSES, found, strict=True) if count}

    @property
    def starts(self) -> Array:
        """The first row of each record."""
        return mapped(self.folder / "starts.u4", "u4")

    def span(self, record: str) -> range:
        """The rows of a record; empty where there are none."""
        hashes, places = mapped(self.folder / "hashes.u8", "u8"), mapped(self.folder / "places.u4", "u4")
        wanted = hash_of(record)
        at = int(np.searchsorted(hashes, wanted))
        while at < len(hashes) and hashes[at] == wanted:
            found = self.span_at(int(places[at]))
            if self.read([found.start], ["record"])[0]["record"] == record:
                return found
            at += 1
        return range(0)

    def span_at(self, place: int) -> range:
        """The rows of the record of a place among `records`."""
        starts = self.starts
        return range(int(starts[place]), int(starts[place + 1]) if place + 1 < len(starts) else self.rows)

    def places(self, records: Sequence[str]) -> Array:
        """The place of each of these records among `records`, -1 where it is not there."""
        return self.places_of(np.array([hash_of(name) for name in records], dtype="u8"))

    def places_of(self, hashes: Array) -> Array:
        """As `places`, of records' `hash_of`."""
        own, places = mapped(self.folder / "hashes.u8", "u8"), mapped(self.folder / "places.u4", "u4")
        if not len(own):
            return np.full(len(hashes), -1)
        at = np.minimum(np.searchsorted(own, hashes), len(own) - 1)
        return np.where(own[at] == hashes, places[at].astype("i8"), -1)

    def hashes(self) -> Array:
        """`hash_of` of each record, in the order of the file."""
        found = np.empty(self.records, dtype="u8")
        found[mapped(self.folder / "places.u4", "u4")] = mapped(self.folder / "hashes.u8", "u8")
        return found

    def ends(self) -> Array:
        """The row behind the last of each record."""
        return np.append(self.starts[1:], np.uint32(self.rows)) if self.records else self.starts

    def read(self, rows: Sequence[int], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Rows by number, in the order asked for, as `assay.runs.results.rows_of` makes them, each with its number as
        ``row``. Only the row groups that they are in are decoded, one at a time."""
        found: dict[int, dict[str, Any]] = {}
        wanted = np.unique(np.asarray(rows, dtype="i8"))
        groups = np.searchsorted(self._firsts, wanted, side="right") - 1
        with pq.ParquetFile(self._file, pre_buffer=False, buffer_size=_BUFFER) as file:
            for group in np.unique(groups).tolist():
                numbers = wanted[groups == group]
                table = file.read_row_group(group, columns=None if columns is None else list(columns))
                taken = table.take(numbers - self._firsts[group]).to_pylist()
                found |= dict(zip(numbers.tolist(), taken, strict=True))
        whole = columns is None
        return [{**(nested(found[int(row)]) if whole else found[int(row)]), "row": int(row)} for row in rows]

    def _gathered(self, name: str, dtype: np.dtype[Any]) -> Array:
        out = np.empty(self.rows, dtype=dtype)
        at = 0
        with pq.ParquetFile(self._file, pre_buffer=False, buffer_size=_BUFFER) as file:
            for batch in file.iter_batches(_CHUNK, columns=[name]):
                column = batch.column(batch.schema.get_field_index(name))
                if name == "status":
                    coded = column.dictionary_encode()
                    places = np.array([STATUSES.index(each) for each in coded.dictionary.to_pylist()], dtype=dtype)
                    cells = places[coded.indices.to_numpy(zero_copy_only=False)]
                else:
                    cells = column.to_numpy(zero_copy_only=False).astype(dtype)
                out[at : at + len(cells)] = cells
                at += len(cells)
        pa.default_memory_pool().release_unused()
        return out

    def _kept(self, name: str, what: str) -> Path:
        of = self.derived[name].of if name in self.derived else ""
        digest = hashlib.sha256(f"{name}\x1f{of}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return self.folder / f"{digest}.{what}"


def open_table(path: Path, cache: Path, progress: Callable[[int, int | None], None] | None = None) -> Table:
    """The table of scores that `assay score` wrote, .parquet or .jsonl, or of the folder of an `assay bench` run.

    Raises:
        ResultError: it is no such file.
        FileNotFoundError: there is none.
    """
    place = path / "scores.parquet" if path.is_dir() else path
    if not place.is_file():
        raise FileNotFoundError(f"{place}: no such file; give scores that `assay score` wrote")
    metadata = read_metadata(place)
    if metadata is None:
        raise ResultError(f"{place} was not written by `assay score`: nothing says what made it; score it again")
    folder = folder_of(place, cache)
    file = place if place.suffix == ".parquet" else folder / "table.parquet"
    if not file.exists():
        made_whole(file, lambda partial: _as_parquet(place, partial, metadata))
    with pq.ParquetFile(file) as opened:
        groups = [opened.metadata.row_group(group).num_rows for group in range(opened.num_row_groups)]
        numbers = tuple(field.name for field in opened.schema_arrow if str(field.type) == "double")
    firsts = tuple(int(first) for first in np.cumsum([0, *groups[:-1]])) if groups else ()
    table = Table(place, folder, sum(groups), numbers, metadata, file, firsts)
    if not (folder / "places.u4").exists():
        _index_records(table, file, progress)
    return table


def _as_parquet(source: Path, target: Path, metadata: Mapping[str, Any]) -> None:
    tally = Tally()
    for row in read_rows(source):
        tally.add(row)
    writer_for(target)(target, lambda: ([row] for row in read_rows(source)), tally, metadata)


def _index_records(table: Table, file: Path, progress: Callable[[int, int | None], None] | None) -> None:
    """Where each record starts, and the hashes of their ids in order with the record that each is of."""
    starts: list[Array] = []
    hashes: list[Array] = []
    last: str | None = None
    at = 0
    for names in _columns_of(file, "record"):
        encoded = names.dictionary_encode().indices.to_numpy(zero_copy_only=False)
        changed = np.flatnonzero(np.diff(encoded)) + 1
        first = cast("str", names[0].as_py())
        places = changed if first == last else np.concatenate([[0], changed])
        starts.append(places + at)
        hashes.append(np.array([hash_of(name) for name in names.take(places).to_pylist()], dtype="u8"))
        last = cast("str", names[len(names) - 1].as_py())
        at += len(names)
        if progress is not None:
            progress(at, table.rows)
    all_hashes = np.concatenate(hashes) if hashes else np.zeros(0, "u8")
    order = np.argsort(all_hashes, kind="stable")
    kept(table.folder / "starts.u4", "u4", lambda: np.concatenate(starts) if starts else np.zeros(0, "u4"))
    kept(table.folder / "hashes.u8", "u8", lambda: all_hashes[order])
    kept(table.folder / "places.u4", "u4", lambda: order)
    pa.default_memory_pool().release_unused()


def _columns_of(file: Path, name: str) -> Iterator[Any]:
    with pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER) as opened:
        for batch in opened.iter_batches(_CHUNK, columns=[name]):
            if batch.num_rows:
                yield batch.column(0)


def hash_of(name: str) -> int:
    """64 bits that stand for the id of a record where records are told apart in bulk."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
