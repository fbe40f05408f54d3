"""Records by id or number, however the data are written: read once into an SQLite file, memory flat, then at random."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from assay.records import Record, content_id, preferences_of, read
from assay.records.formats.base import Origin, Target
from assay.records.formats.native import to_record, writer
from assay.view.store import folder_of, made_whole

_SCHEMA = """
CREATE TABLE records (number INTEGER PRIMARY KEY, id TEXT UNIQUE, row TEXT, pairs TEXT);
CREATE TABLE media (record INTEGER, place INTEGER, bytes BLOB, PRIMARY KEY (record, place)) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT);
"""
_AT_ONCE = 512

Update = Callable[[int, int | None], None]


class ShelfError(ValueError):
    """The data cannot be shown; the message says why and what to do."""


def _silent(done: int, total: int | None) -> None:
    pass


@final
@dataclass(frozen=True)
class Shelf:
    """The records of one data file or folder, at random; opened by `shelve`.

    ``problems`` are rows that could not be read, ``digest`` is that of ids and content.
    """

    folder: Path
    root: Path
    count: int
    digest: str
    problems: tuple[str, ...]
    _connection: sqlite3.Connection = field(repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def record(self, name: str) -> Record | None:
        """The record of an id; None where there is none."""
        return self._one("id = ?", name)

    def at(self, number: int) -> Record | None:
        """The record of a number, 0 the first; None where there is none."""
        return self._one("number = ?", number) if 0 <= number < self.count else None

    def number(self, name: str) -> int | None:
        """The number of the record of an id."""
        found = self._all("SELECT number FROM records WHERE id = ?", (name,))
        return found[0][0] if found else None

    def names(self) -> list[str]:
        """The id of every record, in order."""
        return [name for (name,) in self._all("SELECT id FROM records ORDER BY number", ())]

    def pairs(self) -> Iterator[tuple[str, list[tuple[int, int]]]]:
        """(id, [(better, worse)]) of every record whose feedback prefers some response to another."""
        last = -1
        query = "SELECT number, id, pairs FROM records WHERE number > ? AND pairs != '' ORDER BY number LIMIT ?"
        while rows := self._all(query, (last, _AT_ONCE)):
            yield from ((name, [(better, worse) for better, worse in json.loads(pairs)]) for _, name, pairs in rows)
            last = rows[-1][0]

    def __iter__(self) -> Iterator[Record]:
        for number in range(self.count):
            record = self.at(number)
            assert record is not None
            yield record

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _one(self, where: str, value: str | int) -> Record | None:
        found = self._all(f"SELECT number, id, row FROM records WHERE {where}", (value,))  # noqa: S608  two literals
        if not found:
            return None
        number, name, row = found[0]
        media = self._all("SELECT bytes FROM media WHERE record = ? ORDER BY place", (number,))
        made = {"id": name, "record": row, "media": [data for (data,) in media]}
        return to_record(made, number, Origin(name, self.root))

    def _all(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()


def shelve(data: Path, cache: Path, *, limit: int | None = None, progress: Update = _silent) -> Shelf:
    """The records of ``data`` (any format), from ``cache`` where the data have not changed since they were read.

    Rows that cannot be read are left out, and so are records whose id came before; both are ``problems``.

    Raises:
        ShelfError: no record can be read.
    """
    folder = folder_of(data, cache)
    path = folder / (f"records-{limit}.sqlite" if limit is not None else "records.sqlite")
    root = data if data.is_dir() else data.parent
    if not path.exists():
        made_whole(path, lambda partial: _fill(partial, data, root, limit, progress))
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    facts = dict(connection.execute("SELECT name, value FROM facts").fetchall())
    problems = tuple(json.loads(facts["problems"]))
    if int(facts["count"]) == 0:
        connection.close()
        raise ShelfError(f"{data}: no record to show" + (f"; first problem: {problems[0]}" if problems else ""))
    return Shelf(folder, root, int(facts["count"]), facts["digest"], problems, connection)


def _fill(path: Path, data: Path, root: Path, limit: int | None, progress: Update) -> None:
    records = read(data, on_error="collect", limit=limit)
    encode = writer([], Target(table=True, folder=root))
    digest, count, repeated = hashlib.sha256(), 0, list[str]()
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    try:
        connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _SCHEMA)
        for record in records:
            pairs = [(item.better, item.worse) for item in preferences_of(record) if not item.tie]
            row = encode(record)[0]
            values = (count, row["id"], row["record"], json.dumps(pairs) if pairs else "")
            taken = connection.execute("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?)", values).rowcount
            if not taken:
                repeated.append(row["id"])
                continue
            media = [(count, place, bytes(each)) for place, each in enumerate(row["media"] or ())]
            connection.executemany("INSERT INTO media VALUES (?, ?, ?)", media)
            digest.update(f"{row['id']}\x1f{content_id(record.prompt, record.responses)}\x1e".encode())
            count += 1
            if count % _AT_ONCE == 0:
                progress(count, None)
        problems = [str(problem) for problem in records.problems[:100]]
        problems += [f"{data}: record id {name!r} came before; only the first is shown" for name in repeated[:100]]
        facts = {"count": str(count), "digest": digest.hexdigest(), "problems": json.dumps(problems)}
        connection.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        connection.commit()
    finally:
        connection.close()
    progress(count, count)
