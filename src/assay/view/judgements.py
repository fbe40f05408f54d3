"""What people said, in an SQLite file: on the disk before anyone is told that it is."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from assay.view.tasks import Answer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shown (
    id INTEGER PRIMARY KEY, rater TEXT NOT NULL, question TEXT NOT NULL, sides TEXT NOT NULL, at REAL NOT NULL,
    UNIQUE (rater, question)
);
CREATE TABLE IF NOT EXISTS judgements (
    id INTEGER PRIMARY KEY AUTOINCREMENT, shown INTEGER NOT NULL REFERENCES shown (id), answer TEXT NOT NULL,
    at REAL NOT NULL, undone REAL
);
CREATE UNIQUE INDEX IF NOT EXISTS standing ON judgements (shown) WHERE undone IS NULL;
"""


_NUMBERS = 2**63
_HELD_SECONDS = 1800.0


class JudgementsError(ValueError):
    """The file is in use, or of another task or other data; the message names it and the remedy."""


@final
@dataclass(frozen=True)
class Shown:
    """A question as one rater sees it: ``sides`` are its responses from left to right."""

    id: int
    rater: str
    question: str
    sides: tuple[int, ...]
    at: float


@final
@dataclass
class Judgements:
    """The judgements of a file, opened by `open_judgements`.

    ``standing`` holds the answers that were not taken back, ``{question: {rater: answer}}``; a change puts a new
    dictionary in the place of an old one, so that readers need no lock. ``version`` grows with each change. A change
    returns when it is on the disk (write-ahead log, ``synchronous=FULL``).
    """

    path: Path
    standing: dict[str, dict[str, Answer]]
    _connection: sqlite3.Connection = field(repr=False)
    _clock: Callable[[], float] = time.time
    version: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _held: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]], repr=False)

    def show(self, rater: str, question: str, responses: Sequence[int], chance: random.Random | None = None) -> Shown:
        """The question for a rater, its sides in an order drawn when the rater first sees it, and stored."""
        sides = list(responses)
        (chance or random.SystemRandom()).shuffle(sides)
        with self._lock:
            values = (rater, question, json.dumps(sides), self._clock())
            self._change("INSERT OR IGNORE INTO shown (rater, question, sides, at) VALUES (?, ?, ?, ?)", values)
            found = self._connection.execute(
                "SELECT id, rater, question, sides, at FROM shown WHERE rater = ? AND question = ?", (rater, question)
            ).fetchone()
        self.hold(rater, question)
        return _shown(found)

    def hold(self, rater: str, question: str | None) -> None:
        """Say which question a rater has before them now, None for none."""
        with self._lock:
            self._held.pop(rater, None)
            if question is not None:
                self._held[rater] = question, self._clock()

    def held(self, rater: str) -> dict[str, int]:
        """How many others have each question before them, given to them less than half an hour ago."""
        found: dict[str, int] = {}
        with self._lock:
            for other, (question, at) in self._held.items():
                answered = other in self.standing.get(question, {})
                if other != rater and not answered and self._clock() - at < _HELD_SECONDS:
                    found[question] = found.get(question, 0) + 1
        return found

    def shown(self, number: int) -> Shown | None:
        """What was shown under a number; None for none."""
        if not 0 < number < _NUMBERS:
            return None
        with self._lock:
            query = "SELECT id, rater, question, sides, at FROM shown WHERE id = ?"
            found = self._connection.execute(query, (number,)).fetchone()
        return None if found is None else _shown(found)

    def judge(self, shown: Shown, answer: Answer) -> bool:
        """Keep an answer; False where the rater has answered this before: the answer sent first stands."""
        with self._lock:
            values = (shown.id, json.dumps(dict(answer)), self._clock())
            kept = self._change("INSERT OR IGNORE INTO judgements (shown, answer, at) VALUES (?, ?, ?)", values)
            if kept:
                self.standing[shown.question] = {**self.standing.get(shown.question, {}), shown.rater: answer}
                self.version += 1
        return bool(kept)

    def undo(self, rater: str) -> Shown | None:
        """Take back the rater's last standing answer; returns what it was about, None for none."""
        with self._lock:
            found = self._connection.execute(
                "SELECT shown.id, rater, question, sides, shown.at, judgements.id FROM judgements "
                "JOIN shown ON shown.id = shown WHERE rater = ? AND undone IS NULL ORDER BY judgements.id DESC LIMIT 1",
                (rater,),
            ).fetchone()
            if found is None:
                return None
            self._change("UPDATE judgements SET undone = ? WHERE id = ?", (self._clock(), found[5]))
            shown = _shown(found[:5])
            left = {name: answer for name, answer in self.standing[shown.question].items() if name != rater}
            self.standing[shown.question] = left
            self.version += 1
        return shown

    def counts(self) -> dict[str, int]:
        """How many questions each rater has answered or skipped, by name."""
        found: dict[str, int] = {}
        with self._lock:
            for answers in self.standing.values():
                for rater in answers:
                    found[rater] = found.get(rater, 0) + 1
        return dict(sorted(found.items()))

    def answers(self) -> list[tuple[str, str, Answer]]:
        """(question, rater, answer) of all that stand and are no skips."""
        with self._lock:
            return [
                (question, rater, answer)
                for question, said in self.standing.items()
                for rater, answer in said.items()
                if not answer.get("skip")
            ]

    def close(self) -> None:
        """Close the file; nothing is waiting to be written."""
        with self._lock:
            self._connection.close()

    def _change(self, statement: str, values: Sequence[Any]) -> int:
        return self._connection.execute(statement, values).rowcount


def open_judgements(path: Path, facts: Mapping[str, str], clock: Callable[[], float] = time.time) -> Judgements:
    """The judgements of ``path``, made where it is not there. ``facts`` say of which task and data they are.

    Raises:
        JudgementsError: the file is of other facts, in use by another process, or no such file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        for name, value in facts.items():
            connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
        known = dict(connection.execute("SELECT name, value FROM facts").fetchall())
        standing: dict[str, dict[str, Answer]] = {}
        query = "SELECT question, rater, answer FROM judgements JOIN shown ON shown.id = shown WHERE undone IS NULL"
        for question, rater, answer in connection.execute(f"{query} ORDER BY judgements.id"):
            standing.setdefault(question, {})[rater] = json.loads(answer)
    except sqlite3.OperationalError as error:
        connection.close()
        raise JudgementsError(f"{path} cannot be opened ({error}): close the page that has it open") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise JudgementsError(f"{path} holds no judgements ({error}); choose another -o") from error
    if wrong := [name for name, value in facts.items() if known.get(name) != value]:
        connection.close()
        raise JudgementsError(
            f"{path} holds judgements of another {wrong[0]} ({known.get(wrong[0])}); choose another -o"
        )
    return Judgements(path, standing, connection, clock)


def _shown(row: Sequence[Any]) -> Shown:
    number, rater, question, sides, at = row
    return Shown(number, rater, question, tuple(json.loads(sides)), at)
