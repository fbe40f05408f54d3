"""Cache: a thread-safe store bounded in bytes that forgets what was used longest ago."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """What a cache has done: hits and misses of lookups, values dropped to make room, bytes held now."""

    hits: int
    misses: int
    evictions: int
    bytes: int


class Cache(Generic[T]):
    """Values by key, together at most ``max_bytes`` as measured by ``size_of``; the least recently used go first.

    A value that alone exceeds the bound is returned but not kept. Threads that ask `get` for one missing key compute
    it once; the others wait. A computation that raises leaves no trace, and the next caller tries again.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[T], int]) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes must not be negative, got {max_bytes}")
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._kept: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._pending: dict[str, threading.Lock] = {}
        self._hits = self._misses = self._evictions = self._bytes = 0

    @property
    def counts(self) -> CacheCounts:
        with self._lock:
            return CacheCounts(self._hits, self._misses, self._evictions, self._bytes)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str, compute: Callable[[], T]) -> T:
        """The value of ``key``, computed if it is not held."""
        with self._lock:
            if key in self._kept:
                return self._hit(key)
            turn = self._pending.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._kept:
                    return self._hit(key)
                self._misses += 1
            try:
                value = compute()
                self._keep(key, value)
            finally:
                with self._lock:
                    self._pending.pop(key, None)
        return value

    def clear(self) -> None:
        """Forget every value; the counts of hits, misses and evictions stay."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _hit(self, key: str) -> T:
        self._hits += 1
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def _keep(self, key: str, value: T) -> None:
        size = self._size_of(value)
        if size > self._max_bytes:
            return
        with self._lock:
            if key in self._kept:
                self._bytes -= self._kept.pop(key)[1]
            self._kept[key] = (value, size)
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped
                self._evictions += 1
