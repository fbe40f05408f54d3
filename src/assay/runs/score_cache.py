"""Scores kept between runs: by the reward's fingerprint and what the reward saw, in one SQLite file."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast, final

from assay.records import Record
from assay.rewards.base import Reward, fingerprint, name_of, score, spec_of
from assay.runs.content import Content, content_of
from assay.runs.files import StorageError
from assay.runs.reading import scores_from
from assay.runs.results import rows_of
from assay.scores import Scores, Status
from assay.spec import Spec

_APPLICATION = 0x41534159  # "ASAY", in the header of the file
_FORMAT = 1
_PASSING = frozenset({Status.TIMEOUT, Status.UNAVAILABLE, Status.OUT_OF_MEMORY, Status.FAILED, Status.UNREADABLE_MEDIA})
_OWN = frozenset({"id", "record", "response"})
_TABLE = """
CREATE TABLE IF NOT EXISTS score (
    number INTEGER PRIMARY KEY,
    reward BLOB NOT NULL,
    content BLOB NOT NULL,
    row BLOB NOT NULL,
    crc INTEGER NOT NULL,
    UNIQUE (reward, content)
)
"""
_AT_ONCE = 400
_PATIENCE = 60.0
T = TypeVar("T")


class CacheError(ValueError):
    """A file that is no score cache, of another format, or damaged. The message names file and remedy."""


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """What a cache has answered since it was opened here."""

    hits: int = 0
    misses: int = 0


@final
class ScoreCache:
    """Rows by reward and content in one file that several processes may use at once.

    A row is kept under the reward's fingerprint and the digest of what was judged, so that the scores of one model are
    never taken for those of another, and a record's id does not matter. A commit survives a kill (SQLite, write-ahead
    log, ``synchronous=NORMAL``; a power cut may take the last ones). When the file reaches ``max_bytes`` the rows kept
    first go. A row whose checksum is wrong is no answer.

    Raises:
        CacheError: the file is something else, of another format, or damaged.
        StorageError: there is no space.
    """

    def __init__(self, path: str | Path, *, max_bytes: int = 2**30) -> None:
        if max_bytes < 2**16:
            raise ValueError(f"a cache of {max_bytes} bytes holds nothing; give at least {2**16}")
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.counts = CacheCounts()
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None
        with self._lock:
            self._asked(self._prepared)

    def find(self, reward: str, contents: Sequence[bytes | None]) -> list[dict[str, Any] | None]:
        """The row of each content under this fingerprint, None where there is none.

        Raises:
            CacheError: the file was damaged since it was opened.
        """
        wanted = list(dict.fromkeys(content for content in contents if content is not None))
        with self._lock:
            found = self._asked(lambda connection: _found(connection, bytes.fromhex(reward), wanted))
            hits = sum(content in found for content in contents)
            self.counts = CacheCounts(self.counts.hits + hits, self.counts.misses + len(contents) - hits)
        return [None if content is None else found.get(content) for content in contents]

    def keep(self, reward: str, rows: Iterable[tuple[bytes | None, Mapping[str, Any]]]) -> int:
        """Keep rows of `assay.runs.results.rows_of` by their content; how many.

        A row without content, or with a status that may pass (timeout, unavailable, out of memory, failed, unreadable
        media, which hangs on limits and on what is installed), is not kept.

        Raises:
            CacheError: the file was damaged since it was opened.
            StorageError: there is no space.
        """
        mark = bytes.fromhex(reward)
        made = [
            (mark, content, *_packed(mark, content, row))
            for content, row in rows
            if content is not None and Status(row["status"]) not in _PASSING
        ]
        if made:
            with self._lock:
                self._asked(lambda connection: _kept(connection, made, self.max_bytes))
        return len(made)

    def close(self) -> None:
        """Let go of the file; using the cache again opens it again."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def __reduce__(self) -> tuple[Callable[..., ScoreCache], tuple[Path, int]]:
        return _reopened, (self.path, self.max_bytes)

    def __repr__(self) -> str:
        return f"ScoreCache({str(self.path)!r})"

    def _prepared(self, connection: sqlite3.Connection) -> None:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        written = connection.execute("PRAGMA user_version").fetchone()[0]
        if tables and application != _APPLICATION:
            raise CacheError(f"{self.path} is a database of something else; choose another file for the cache")
        if tables and written != _FORMAT:
            raise CacheError(f"{self.path} is a cache of format {written}, not {_FORMAT}; remove it to start anew")
        _write_ahead(connection)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_FORMAT}")

    def _asked(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """What a connection answers, with SQLite's ways of saying that a file is unfit as one error."""
        try:
            if self._open is None:
                self._open = _connected(self.path)
            return ask(self._open)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise StorageError(28, f"no space left to write {self.path}; what was kept is safe") from error
            raise CacheError(f"{self.path} cannot be used as a score cache: {error}") from error
        except sqlite3.DatabaseError as error:
            raise CacheError(
                f"{self.path} is no score cache, or a damaged one ({error}); choose another file, or remove it if it "
                "holds nothing else"
            ) from error


def _reopened(path: Path, max_bytes: int) -> ScoreCache:
    return ScoreCache(path, max_bytes=max_bytes)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on. SQLite does not wait for another process that does so at the same time."""
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return


def _found(connection: sqlite3.Connection, reward: bytes, wanted: Sequence[bytes]) -> dict[bytes, dict[str, Any]]:
    found: dict[bytes, dict[str, Any]] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        some = wanted[first : first + _AT_ONCE]
        places = ", ".join("?" * len(some))
        query = f"SELECT content, row, crc FROM score WHERE reward = ? AND content IN ({places})"  # noqa: S608
        for content, row, crc in connection.execute(query, (reward, *some)):
            if isinstance(row, bytes) and zlib.crc32(reward + content + row) == crc:
                found[content] = json.loads(row)
    return found


def _packed(reward: bytes, content: bytes, row: Mapping[str, Any]) -> tuple[bytes, int]:
    kept = {name: cell for name, cell in row.items() if name not in _OWN}
    packed = json.dumps(kept, allow_nan=False, separators=(",", ":")).encode()
    return packed, zlib.crc32(reward + content + packed)


def _kept(connection: sqlite3.Connection, rows: Sequence[tuple[bytes, bytes, bytes, int]], most: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany("INSERT OR REPLACE INTO score (reward, content, row, crc) VALUES (?, ?, ?, ?)", rows)
        while _bytes(connection) > most and _forget_oldest(connection):
            pass
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the pages in use; pages that were freed are used again before the file grows."""
    pages, free, size = (
        cast("int", connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _forget_oldest(connection: sqlite3.Connection) -> bool:
    """Drop the eighth of the rows that was kept first; False when none is left."""
    first, last = connection.execute("SELECT min(number), max(number) FROM score").fetchone()
    if first is None:
        return False
    connection.execute("DELETE FROM score WHERE number <= ?", (first + (last - first) // 8,))
    return True


def may_be_kept(spec: Spec) -> bool:
    """Whether a reward gives the same score for the same content each time, whatever else it is asked."""
    return spec.deterministic and spec.order_invariant


def kept_under(content: Content, spec: Spec) -> tuple[bytes | None, ...]:
    """What each response of a record of this content is kept under; None for one that cannot be.

    For a score that means something only beside the other responses, those belong to the content, in their order.
    """
    nothing = (None,) * len(content.responses)
    if content.prompt is None:
        return nothing
    if spec.scale == "absolute":
        return tuple(each and hashlib.sha256(content.prompt + each).digest() for each in content.responses)
    if None in content.responses:
        return nothing
    group = content.prompt + b"".join(cast("tuple[bytes, ...]", content.responses))
    return tuple(hashlib.sha256(group + b"%d" % place).digest() for place in range(len(content.responses)))


def cached(reward: Reward, cache: ScoreCache) -> Reward:
    """The reward, asked only for responses whose scores the cache does not hold; what it answers is kept.

    It prints and counts as the reward itself: same spec, same fingerprint. Scores are float64 and have no gradient. A
    reward that is not deterministic or not order-invariant is asked each time, and a warning says so here. When the
    cache fails it warns, and scores as if there were none.
    """
    if not may_be_kept(spec_of(reward)):
        warnings.warn(f"the scores of {name_of(reward)} are not kept: they vary, or hang on the order", stacklevel=2)
    return _Cached(reward, cache)


@final
@dataclass(frozen=True)
class _Cached:
    reward: Reward
    cache: ScoreCache

    @property
    def spec(self) -> Spec:
        return spec_of(self.reward)

    @property
    def stands_for(self) -> Reward:
        """What its fingerprint is that of."""
        return self.reward

    def __call__(self, records: Sequence[Record], /) -> Scores:
        spec = self.spec
        if not may_be_kept(spec):
            return score(self.reward, records)
        mark = fingerprint(self.reward)
        contents = [mark for record in records for mark in kept_under(content_of(record, spec.needs), spec)]
        rows = self._found(mark, contents)
        missing = _missing(rows, records, together=spec.scale == "within_group")
        if missing:
            asked = _asked_of(records, set(missing))
            found = rows_of(score(self.reward, asked), asked)
            for place, row in zip(missing, found, strict=True):
                rows[place] = row
            self._keep(mark, [(contents[place], row) for place, row in zip(missing, found, strict=True)])
        return scores_from(cast("list[dict[str, Any]]", rows), records)

    def __repr__(self) -> str:
        return name_of(self.reward)

    def _found(self, mark: str, contents: Sequence[bytes | None]) -> list[dict[str, Any] | None]:
        try:
            return self.cache.find(mark, contents)
        except CacheError as error:
            warnings.warn(f"scoring without the cache: {error}", stacklevel=2)
            return [None] * len(contents)

    def _keep(self, mark: str, rows: Sequence[tuple[bytes | None, Mapping[str, Any]]]) -> None:
        try:
            self.cache.keep(mark, rows)
        except (CacheError, StorageError) as error:
            warnings.warn(f"scores were not kept: {error}", stacklevel=2)


def _missing(rows: Sequence[object | None], records: Sequence[Record], *, together: bool) -> list[int]:
    """The places without a row; ``together``, all places of a record that lacks one."""
    if not together:
        return [place for place, row in enumerate(rows) if row is None]
    missing: list[int] = []
    place = 0
    for record in records:
        places = range(place, place + len(record.responses))
        place = places.stop
        if any(rows[i] is None for i in places):
            missing.extend(places)
    return missing


def _asked_of(records: Sequence[Record], missing: set[int]) -> list[Record]:
    """The records with only the responses at these places of the batch."""
    asked: list[Record] = []
    place = 0
    for record in records:
        responses = tuple(r for i, r in enumerate(record.responses, place) if i in missing)
        place += len(record.responses)
        if responses:
            asked.append(record if len(responses) == len(record.responses) else replace(record, responses=responses))
    return asked
