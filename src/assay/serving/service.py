"""The server without HTTP: rewards by name and version, each computing in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from prometheus_client import CollectorRegistry, generate_latest

from assay.records import Record
from assay.rewards.base import Reward, fingerprint, name_of, spec_of
from assay.rewards.batches import score_each
from assay.runs.score_cache import ScoreCache
from assay.scores import Scores
from assay.serving.problems import Draining, Unavailable, UnknownReward
from assay.spec import Spec


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may wait for one reward, and what is computed at once."""

    tokens: int = 262_144
    records: int = 16_384
    batch_tokens: int = 16_384
    wait: float = 0.004
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A reward to serve: its name, and what makes it (``functools.partial(assay.load, reference)``)."""

    name: str
    load: Callable[[], Reward]
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """One version of a reward as it is served."""

    name: str
    fingerprint: str
    recipe: str
    spec: Spec
    current: bool
    ready: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """Scores, and the version that gave them."""

    scores: Scores
    served: Served


@dataclass
class _Running:
    served: Served
    reward: Reward
    thread: ThreadPoolExecutor
    tasks: set[asyncio.Future[Scores]] = field(default_factory=set[asyncio.Future[Scores]])


class Service:
    """Rewards that answer requests."""

    def __init__(
        self, entries: Sequence[Entry], *, limits: QueueLimits | None = None, cache: ScoreCache | None = None
    ) -> None:
        self._entries = tuple(entries)
        self._limits = limits or QueueLimits()
        self._cache = cache
        self._running: dict[str, list[_Running]] = {}
        self._registry = CollectorRegistry()
        self._draining = False

    async def start(self) -> None:
        """Load every reward."""
        loop = asyncio.get_running_loop()
        for entry in self._entries:
            thread = ThreadPoolExecutor(1, f"assay-{entry.name}")
            reward = await loop.run_in_executor(thread, entry.load)
            found = self._running.setdefault(entry.name, [])
            served = Served(entry.name, fingerprint(reward), name_of(reward), spec_of(reward), not found, True)
            found.append(_Running(served, reward, thread))

    async def score(self, name: str | None, records: Sequence[Record], *, seconds: float | None = None) -> Answered:
        """The scores of records."""
        if self._draining:
            raise Draining("the server is stopping", retry_after=1.0)
        running = self._find(name)
        loop = asyncio.get_running_loop()
        scores = await loop.run_in_executor(running.thread, score_each, running.reward, list(records))
        return Answered(scores, running.served)

    def served(self) -> tuple[Served, ...]:
        """Every version."""
        return tuple(running.served for each in self._running.values() for running in each)

    def promote(self, name: str, fingerprint: str) -> Served:
        """Make a version the current one of its name."""
        chosen = self._find(f"{name}@{fingerprint}")
        for running in self._running[name]:
            running.served = replace(running.served, current=running is chosen)
        return chosen.served

    def rollback(self, name: str) -> Served:
        """Make the version before the current one."""
        raise Unavailable(f"{name} has no earlier version")

    async def drain(self, seconds: float) -> None:
        """Refuse new work and finish what was accepted."""
        self._draining = True
        for each in self._running.values():
            for running in each:
                await asyncio.to_thread(running.thread.shutdown)

    def exposition(self) -> bytes:
        """Prometheus' text."""
        return generate_latest(self._registry)

    def _find(self, name: str | None) -> _Running:
        if not self._running:
            raise Unavailable("no reward is loaded yet", retry_after=1.0)
        wanted, _, prefix = (name or next(iter(self._running))).partition("@")
        for running in self._running.get(wanted, ()):
            if (running.served.fingerprint.startswith(prefix) and len(prefix) >= 8) or (
                not prefix and running.served.current
            ):
                return running
        raise UnknownReward(f"there is no reward {name!r}; there are {', '.join(self._running)}")
