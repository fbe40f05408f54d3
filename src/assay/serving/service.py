"""The server without HTTP: rewards by name and version, asked by many at once and computed in shared batches."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from assay.records import Record
from assay.runs.reading import scores_from
from assay.runs.score_cache import ScoreCache
from assay.scores import Scores
from assay.serving.catalogue import Catalogue, check_name
from assay.serving.cores import Cores
from assay.serving.lanes import Lane, Shelf
from assay.serving.metrics import Metrics
from assay.serving.problems import Draining, ServiceError, Unprocessable
from assay.serving.queue import QueueLimits
from assay.serving.workers import Entry, Thread
from assay.spec import Spec

__all__ = ["Answered", "Entry", "QueueLimits", "Served", "Service"]

_LIMITS = QueueLimits()
_CLOSING = 5.0


@dataclass(frozen=True, slots=True)
class Served:
    """One version of a reward as it is served: ``current`` where its name alone means it, ``ready`` where it can be
    computed now."""

    name: str
    fingerprint: str
    recipe: str
    spec: Spec
    current: bool
    ready: bool
    isolated: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """Scores, and the version that gave them."""

    scores: Scores
    served: Served


@final
class Service:
    """Rewards that answer many callers of one event loop.

    What waits for one version is computed together: responses of equal prompt, whoever asked, as one record, so that
    the prompt is computed once, and equal responses once; never so for a reward whose responses are judged beside each
    other (``within_group``) or that minds order. A score is the same whatever it was computed with. Callers get their
    turns response by response, so that a large request does not hold up small ones. ``limits`` bound each version.

    Each reward computes in a thread of its own, or, where its entry says ``isolated``, in a process of its own.
    ``cores`` says how many threads its arithmetic gets; without it they are what torch takes.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        limits: QueueLimits = _LIMITS,
        cache: ScoreCache | None = None,
        cores: Cores | None = None,
    ) -> None:
        if not entries:
            raise ValueError("a service serves at least one reward")
        for entry in entries:
            check_name(entry.name)
        self._entries = tuple(entries)
        self._limits = limits
        self._cache = cache
        self._cores = cores
        self._metrics = Metrics()
        self._catalogue = Catalogue[Lane](lambda lane: lane.facts.fingerprint)
        self._lanes: list[Lane] = []
        self._shelf: Shelf | None = None
        self._draining = False
        self._asked = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def start(self) -> None:
        """Load every reward, one after another, those in processes of their own at the same time.

        Raises:
            RuntimeError: it was started before.
            ValueError: two versions of a name are the same reward.
            EngineError: a reward in a process of its own could not be loaded. Others raise what loading them raises.
        """
        if self._shelf is not None:
            raise RuntimeError("a service is started once")
        self._shelf = Shelf(self._cache, Thread("assay-shelf"), self._metrics)
        self._lanes = [Lane(entry, self._limits, self._shelf, self._cores) for entry in self._entries]
        apart = [asyncio.ensure_future(lane.open()) for lane in self._lanes if lane.entry.isolated]
        try:
            for lane in self._lanes:
                if not lane.entry.isolated:
                    await lane.open()  # loading a model sets global state: not two in one process at once
            await asyncio.gather(*apart)
            for lane in self._lanes:
                self._catalogue.add(lane.entry.name, lane)
            for lane in self._lanes:
                lane.begin()
        except BaseException:
            await self.drain(0.0)
            await asyncio.gather(*apart, return_exceptions=True)
            raise

    async def score(self, name: str | None, records: Sequence[Record], *, seconds: float | None = None) -> Answered:
        """The scores of records, in order, by the reward of this name (see `Catalogue`; None: the first).

        Rows that have not begun ``seconds`` after the call are ``TIMEOUT`` and are not computed. Cancelling the call
        takes what still waits out of the queue.

        Raises:
            UnknownReward, Unavailable, Overloaded, TooLarge, Unprocessable, Draining: as their classes say.
        """
        outcome, label = "cancelled", ""
        self._asked += 1
        self._quiet.clear()
        try:
            if self._draining:
                raise Draining("the server is stopping; ask another, or later", retry_after=1.0)
            lane = self._catalogue.find(name)
            label = lane.entry.name
            rows = await lane.rows(records, self._checked(seconds))
            lane.metrics.answered(row["status"] for row in rows)
            outcome = "answered"
            return Answered(scores_from(rows, records), self._served(lane))
        except ServiceError as error:
            outcome = error.code
            raise
        finally:
            self._metrics.requests.labels(label, outcome).inc()
            self._asked -= 1
            if not self._asked:
                self._quiet.set()

    def named(self, name: str | None) -> Served:
        """The version that `score` would ask. Raises `UnknownReward` and `Unavailable`."""
        return self._served(self._catalogue.find(name))

    def tokens(self, name: str | None, records: Sequence[Record]) -> int:
        """How many tokens the queue takes the records for. Raises as `named`."""
        return self._catalogue.find(name).tokens(records)

    def served(self) -> tuple[Served, ...]:
        """Every version of every reward."""
        return tuple(self._shown(lane, current) for _, lane, current in self._catalogue)

    def promote(self, name: str, fingerprint: str) -> Served:
        """Make a version, by 8 or more digits of its fingerprint, the one that its name means.

        Raises:
            UnknownReward: there is no such version.
        """
        return self._served(self._catalogue.promote(name, fingerprint))

    def rollback(self, name: str) -> Served:
        """Take back the last promotion.

        Raises:
            UnknownReward: there is no such name.
            Unprocessable: nothing was promoted.
        """
        return self._served(self._catalogue.rollback(name))

    async def drain(self, seconds: float) -> None:
        """Refuse new work, let what was accepted finish within ``seconds``, and end every thread and process.

        What has not finished then is ``UNAVAILABLE``. A reward in this process that computes on cannot be ended; its
        thread does not keep the program from ending.
        """
        self._draining = True
        if self._asked and seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), seconds)
        lanes, self._lanes = self._lanes, []
        await asyncio.gather(*(lane.close(_CLOSING) for lane in lanes))
        if self._shelf is not None:
            self._shelf.thread.stop(_CLOSING)
            if self._shelf.cache is not None:
                self._shelf.cache.close()

    def exposition(self) -> bytes:
        """The figures as Prometheus reads them."""
        return self._metrics.exposition()

    def _checked(self, seconds: float | None) -> float:
        if seconds is None:
            return self._limits.seconds
        if not (math.isfinite(seconds) and seconds > 0):
            raise Unprocessable(f"seconds must be a positive number, got {seconds}")
        return seconds

    def _served(self, lane: Lane) -> Served:
        return self._shown(lane, self._catalogue.find(lane.entry.name) is lane)

    def _shown(self, lane: Lane, current: bool) -> Served:
        facts = lane.facts
        return Served(
            lane.entry.name, facts.fingerprint, facts.recipe, facts.spec, current, lane.ready, lane.entry.isolated
        )
