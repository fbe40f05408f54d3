"""One version of a reward at work: what waits for it, the thread that computes, and what happens when that dies."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast, final

from assay.media import Text
from assay.records import Record
from assay.rewards.batches import batched
from assay.runs.files import StorageError
from assay.runs.score_cache import CacheError, ScoreCache
from assay.scores import Status
from assay.serving.batching import Known, Measure, Work, add_units, add_whole, known, work_of
from assay.serving.cores import Cores
from assay.serving.metrics import LaneMetrics, Metrics
from assay.serving.problems import Overloaded, TooLarge, Unavailable
from assay.serving.queue import Batch, Queue, QueueLimits, Request, Row, abstention
from assay.serving.workers import Done, EngineError, Entry, Facts, Thread, engine_of

_LOG = logging.getLogger(__name__)
_LONGEST_PAUSE = 30.0
_AT_ONCE = 256
_LEAST_TOKENS = 1_024
_ANSWERS = 4


@final
@dataclass(frozen=True, slots=True)
class Shelf:
    """The cache of scores, if there is one, and the thread that reads media and asks it; the loop waits for no disk."""

    cache: ScoreCache | None
    thread: Thread
    metrics: Metrics

    def find(self, facts: Facts, records: Sequence[Record]) -> tuple[list[Known], list[Row | None]]:
        """The records by content, and the rows that are kept of them; none where the cache fails, which is counted."""
        found = known(records, facts.spec, caching=self.cache is not None)
        kept = [content for each in found for content in each.kept]
        if self.cache is None:
            return found, [None] * len(kept)
        try:
            return found, list(self.cache.find(facts.fingerprint, kept))
        except CacheError as error:
            self._failed(error)
            return found, [None] * len(kept)

    def keep(self, mark: str, work: Work, rows: Sequence[Row]) -> None:
        """Keep what was computed; a cache that fails costs time, never an answer."""
        if self.cache is None:
            return
        try:
            self.cache.keep(mark, work.kept(rows))
        except (CacheError, StorageError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.metrics.lost.inc()
        _LOG.warning("scoring without the cache: %s", error)


@final
class Lane:
    """The queue of one version, and the one thread in which it computes.

    When the process of an isolated reward dies, it is started again: at once the first time, then after pauses that
    double up to 30 s until it has answered again. What it had of several requests is then computed request by request,
    so that only the one that kills it is ``UNAVAILABLE``; so is what it had where it cannot be started again at once. A
    reward whose files are no longer those that it was started from stays down.
    """

    def __init__(self, entry: Entry, limits: QueueLimits, shelf: Shelf, cores: Cores | None = None) -> None:
        self.entry = entry
        self.queue = Queue(limits)
        self._limits = limits
        self._shelf = shelf
        self._cores = cores
        self._measure = Measure()
        self._engine = engine_of(entry, limits.hang)
        self._thread = Thread(f"assay-{entry.name}")
        self._facts: Facts | None = None
        self._metrics: LaneMetrics | None = None
        self._task: asyncio.Task[None] | None = None
        self._some, self._full = asyncio.Event(), asyncio.Event()
        self._now: Batch | None = None
        self._handing: set[asyncio.Task[None]] = set()
        self._spent = (0.0, 0.0)
        self._is_local = False
        self._pause = 0.0
        self._ready = False
        self._problem: str | None = "it is not loaded yet"

    @property
    def facts(self) -> Facts:
        """What the reward is. Only of a lane that was opened."""
        assert self._facts is not None
        return self._facts

    @property
    def metrics(self) -> LaneMetrics:
        """Its figures. Only of a lane that was opened."""
        assert self._metrics is not None
        return self._metrics

    @property
    def ready(self) -> bool:
        """Whether the reward can be computed."""
        return self._ready

    async def open(self) -> None:
        """Load the reward. Raises what loading it raises."""
        self._facts = await self._thread.run(self._engine.open)

    def begin(self) -> None:
        """Take requests."""
        self._metrics = self._shelf.metrics.of(self.entry.name, self.facts.fingerprint)
        self._is(ready=True)
        self._task = asyncio.create_task(self._run(), name=f"assay-{self.entry.name}")
        self._task.add_done_callback(self._stopped)

    def tokens(self, records: Sequence[Record]) -> int:
        """About how many tokens the records are."""
        messages = (m for r in records for m in (*r.prompt, *(m for each in r.responses for m in each.messages)))
        return self._measure.of(messages)

    async def rows(self, records: Sequence[Record], seconds: float) -> list[Row]:
        """A row for each response, in order.

        Raises:
            Unavailable: the reward cannot be computed now.
            TooLarge: the records are more than the queue can hold.
            Overloaded: they are more than it has room for.
        """
        self._check()
        loop = asyncio.get_running_loop()
        finished: asyncio.Future[None] = loop.create_future()
        arrived = loop.time()
        request = Request(arrived, arrived + seconds, partial(_finish, finished))
        await self._cut(request, records)
        if request.left:
            self._admit(request)
            timer = loop.call_at(request.deadline, self._time_out, request)
            try:
                await finished
            finally:
                timer.cancel()
                self.queue.remove(request)
                self.metrics.queued.set(self.queue.tokens)
        return cast("list[Row]", request.rows)

    async def close(self, seconds: float) -> bool:
        """End it: what still waits or is being computed is ``UNAVAILABLE``. Whether its thread ended in time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await asyncio.gather(*self._handing)
        self._stop("the server has stopped")
        if self._now is not None or self._task is None:
            self._engine.kill()
        closing = asyncio.ensure_future(self._thread.run(self._engine.close))
        done, _ = await asyncio.wait([closing], timeout=seconds)
        return self._thread.stop(1.0 if done else 0.0)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Should the lane ever end by itself, nobody waits for it in vain."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("%s stopped", self.entry.name, exc_info=error)
            self._stop("it has stopped; the server's log says why")

    def _stop(self, problem: str) -> None:
        """Answer everything that waits or is being computed, and take nothing more."""
        self._is(ready=False, problem=problem)
        units = self._now.units if self._now is not None else ()
        for request in [*self.queue.requests, *(unit.request for unit in units)]:
            self.queue.remove(request)
            request.give_up(Status.UNAVAILABLE, f"not judged: {problem}")

    async def _cut(self, request: Request, records: Sequence[Record]) -> None:
        """Give a request the rows that the cache holds and units for the others, some records at a time, so that a
        large one does not hold up the loop."""
        spec = self.facts.spec
        whole: list[Known] = []
        for some in batched(records, _AT_ONCE):
            if first := len(request.rows):
                await asyncio.sleep(0)
            found, rows = await self._found(some)
            request.extend(rows)
            if spec.order_invariant:
                add_units(request, first, found, spec, self._measure)
            else:
                whole += found
        if whole:
            add_whole(request, whole, self._measure)

    async def _found(self, records: Sequence[Record]) -> tuple[list[Known], list[Row | None]]:
        """The records by content, and the rows of them that the cache holds."""
        if self._shelf.cache is None and not self.facts.spec.needs and _only_text(records):
            return self._shelf.find(self.facts, records)
        found, rows = await self._shelf.thread.run(self._shelf.find, self.facts, records)
        if self._shelf.cache is not None:
            hits = sum(row is not None for row in rows)
            self.metrics.hits.inc(hits)
            self.metrics.misses.inc(len(rows) - hits)
        return found, rows

    def _check(self) -> None:
        if self._problem is not None:
            raise Unavailable(f"{self.entry.name}: {self._problem}", retry_after=max(self._pause, 1.0))
        if self._shelf.cache is None and self.queue.tokens >= self._limits.tokens:
            raise self._overload(1)

    def _admit(self, request: Request) -> None:
        self._check()
        if not self.queue.could_hold(request):
            raise TooLarge(
                f"a request of about {request.tokens} tokens in {request.waiting} responses; at most "
                f"{self._limits.tokens} tokens and {self._limits.rows} responses may wait: send it in parts"
            )
        if not self.queue.has_room(request):
            raise self._overload(request.tokens)
        self.queue.add(request)
        self.metrics.queued.set(self.queue.tokens)
        self._some.set()
        if self.queue.tokens >= self._budget:
            self._full.set()

    @property
    def _rate(self) -> float:
        """Tokens a second, as measured; what was long ago weighs less. 0 before anything was."""
        tokens, seconds = self._spent
        return tokens / seconds if seconds else 0.0

    @property
    def _budget(self) -> int:
        """Tokens of a batch. What asks over a network is not measured by tokens, and gets all that it may."""
        if not self._is_local:
            return self._limits.batch_tokens
        return min(self._limits.batch_tokens, max(_LEAST_TOKENS, int(self._rate * self._limits.batch_seconds)))

    def _overload(self, tokens: int) -> Overloaded:
        """With the seconds until, at the measured rate, there is room for the tokens and half of the queue is done."""
        waiting = self.queue.tokens
        needed = max(waiting + tokens - self._limits.tokens, waiting / 2)
        seconds = min(max(needed / self._rate, 0.1), 600.0) if self._rate else 1.0
        return Overloaded(f"about {waiting} tokens wait, of at most {self._limits.tokens}", retry_after=seconds)

    def _time_out(self, request: Request) -> None:
        self.queue.time_out(request)
        self.metrics.queued.set(self.queue.tokens)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._company()
            self.queue.expire(loop.time())
            batch = self.queue.take(self._budget)
            self.metrics.queued.set(self.queue.tokens)
            if batch.units:
                self._now = batch
                await self._compute(batch)
                self._now = None

    async def _company(self) -> None:
        """Until there is something to compute, and a batch is full or the first of it has waited long enough."""
        while not len(self.queue):
            self._some.clear()
            await self._some.wait()
        loop = asyncio.get_running_loop()
        until = self.queue.arrived + self._limits.wait
        if until > loop.time() and self.queue.tokens < self._budget:
            self._full.clear()
            timer = loop.call_at(until, self._full.set)
            await self._full.wait()
            timer.cancel()

    async def _compute(self, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for request in {unit.request: None for unit in batch.units if not unit.request.begun}:
            request.begun = True
            self.metrics.waiting.observe(began - request.arrived)
        try:
            work = work_of(batch.units)
            threads = None if self._cores is None else self._cores.threads()
            done = await self._thread.run(self._computed, work, threads)
        except EngineError as error:
            await self._died(batch, str(error))
        except Exception as error:  # noqa: BLE001 - a batch that cannot be computed must not end the lane
            _LOG.exception("a batch of %s failed", self.entry.name)
            _give_up(batch, Status.FAILED, traceback.format_exception_only(error)[-1].strip())
        else:
            handing = asyncio.create_task(_handed(work, done.rows))
            self._handing.add(handing)
            handing.add_done_callback(self._handing.discard)
            self._count(batch, work, done, loop.time() - began)

    def _computed(self, work: Work, threads: int | None) -> Done:
        done = self._engine.compute(work.pieces, threads)
        self._shelf.keep(self.facts.fingerprint, work, done.rows)
        return done

    def _count(self, batch: Batch, work: Work, done: Done, seconds: float) -> None:
        self._pause = 0.0
        self._measure.learn(*done.sample)
        self._is_local = self._is_local or done.sample[1] > 0
        before_tokens, before_seconds = self._spent
        self._spent = 0.7 * before_tokens + batch.tokens, 0.7 * before_seconds + max(seconds, 1e-6)
        self.metrics.batch_rows.observe(len(done.rows))
        self.metrics.batch_tokens.observe(batch.tokens)
        self.metrics.computing.observe(seconds)
        self.metrics.grouped.inc(work.grouped)

    async def _died(self, batch: Batch, why: str) -> None:
        """Start the reward again, and compute what it had, unless that was of one request, which may kill it again."""
        parts = batch.by_request()
        if len(parts) == 1:
            _give_up(batch, Status.UNAVAILABLE, why)
        await self._revive(why, batch)
        for part in parts:
            request = part.units[0].request
            if request.deadline <= asyncio.get_running_loop().time():
                _give_up(part, Status.UNAVAILABLE, why)
            elif request.left:
                await self._compute(part)

    async def _revive(self, why: str, batch: Batch) -> None:
        """Start the reward again until it is the one that it was.

        What comes while it is started waits; once that has failed, or must be put off, new requests are refused, and
        the rows of the batch that it died of are given up.
        """
        _LOG.warning("%s", why)
        self._is(ready=False, problem=why if self._pause else None)
        while True:
            pause, self._pause = self._pause, min(max(2 * self._pause, 0.5), _LONGEST_PAUSE)
            await asyncio.sleep(pause)
            self.metrics.restarts.inc()
            try:
                facts = await self._thread.run(self._engine.open)
            except Exception:  # noqa: BLE001 - it is tried again, and callers are told meanwhile
                why = "it could not be started again; the server's log says why"
                _LOG.warning("%s could not be started again", self.entry.name, exc_info=True)
            else:
                if facts.fingerprint == self.facts.fingerprint:
                    break
                why = "its files are no longer those that it was started from; start the server again to serve them"
                _LOG.warning("%s: %s", self.entry.name, why)
                await self._thread.run(self._engine.close)
            self._is(ready=False, problem=why)
            _give_up(batch, Status.UNAVAILABLE, why)
        self._is(ready=True)

    def _is(self, *, ready: bool, problem: str | None = None) -> None:
        """Whether the reward can be computed, and what new requests are refused with."""
        self._ready, self._problem = ready, problem
        if self._metrics is not None:
            self._metrics.ready.set(int(ready))


async def _handed(work: Work, rows: Sequence[Row]) -> None:
    """Hand out the rows of a batch a few requests at a time: those that come meanwhile, perhaps to be refused, wait for
    a few answers to be written and not for a whole batch of them."""
    for first in range(0, len(work.answers), _ANSWERS):
        work.settle(rows, first, first + _ANSWERS)
        await asyncio.sleep(0)


def _finish(finished: asyncio.Future[None]) -> None:
    if not finished.done():
        finished.set_result(None)


def _give_up(batch: Batch, status: Status, message: str) -> None:
    for unit in batch.units:
        unit.request.settle(unit.places, [abstention(status, message)] * len(unit.places))


def _only_text(records: Sequence[Record]) -> bool:
    return all(isinstance(part, Text) for record in records for part in record.parts())
