"""What a server counts and times, as Prometheus reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import final

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Count

_LABELS = ("reward", "version")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
_TOKENS = (64, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


@final
class Metrics:
    """The figures of one server in a registry of their own, so that several servers may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Count("assay_requests", "Requests by outcome.", ("reward", "outcome"), registry=own)
        self.rows = Count("assay_rows", "Responses answered, by status.", (*_LABELS, "status"), registry=own)
        self.grouped = Count(
            "assay_grouped_rows", "Responses computed beside another's equal prompt.", _LABELS, registry=own
        )
        self.hits = Count("assay_cache_hits", "Responses answered from the cache of scores.", _LABELS, registry=own)
        self.misses = Count("assay_cache_misses", "Responses that the cache did not hold.", _LABELS, registry=own)
        self.lost = Count("assay_cache_failures", "Times that the cache could not be asked or written.", registry=own)
        self.restarts = Count(
            "assay_worker_restarts", "Times that a reward's process was started again.", _LABELS, registry=own
        )
        self.queued = Gauge("assay_queue_tokens", "Tokens that wait, as estimated.", _LABELS, registry=own)
        self.ready = Gauge("assay_ready", "1 where the reward can be computed.", _LABELS, registry=own)
        self.batch_rows = Histogram("assay_batch_rows", "Responses a call.", _LABELS, buckets=_SIZES, registry=own)
        self.batch_tokens = Histogram(
            "assay_batch_tokens", "Tokens a call, as estimated.", _LABELS, buckets=_TOKENS, registry=own
        )
        self.waiting = Histogram(
            "assay_waiting_seconds", "From a request to the first call for it.", _LABELS, buckets=_SECONDS, registry=own
        )
        self.computing = Histogram("assay_compute_seconds", "Seconds a call.", _LABELS, buckets=_SECONDS, registry=own)

    def of(self, reward: str, fingerprint: str) -> LaneMetrics:
        """The figures of one version of a reward."""
        return LaneMetrics(self, reward, fingerprint[:12])

    def exposition(self) -> bytes:
        """All figures as text."""
        return generate_latest(self.registry)


@final
class LaneMetrics:
    """The figures of one version of a reward."""

    def __init__(self, metrics: Metrics, reward: str, version: str) -> None:
        labels = (reward, version)
        self._rows = metrics.rows
        self._labels = labels
        self.grouped = metrics.grouped.labels(*labels)
        self.hits = metrics.hits.labels(*labels)
        self.misses = metrics.misses.labels(*labels)
        self.restarts = metrics.restarts.labels(*labels)
        self.queued = metrics.queued.labels(*labels)
        self.ready = metrics.ready.labels(*labels)
        self.batch_rows = metrics.batch_rows.labels(*labels)
        self.batch_tokens = metrics.batch_tokens.labels(*labels)
        self.waiting = metrics.waiting.labels(*labels)
        self.computing = metrics.computing.labels(*labels)

    def answered(self, statuses: Iterable[str]) -> None:
        """Count rows by status."""
        for status, count in Counter(statuses).items():
            self._rows.labels(*self._labels, status).inc(count)
