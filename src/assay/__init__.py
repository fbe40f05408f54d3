"""Assay: build, audit, use and serve multimodal reward models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.benchmarks.audit import audit
    from assay.benchmarks.verify import verify
    from assay.records import Record, Response, read, write
    from assay.rewards.base import Reward, Spec, chain, combine, fingerprint, score
    from assay.rewards.load import load
    from assay.scores import Scores, Status

__version__ = "0.1.0"

_HOMES = {
    "Record": "assay.records",
    "Response": "assay.records",
    "Reward": "assay.rewards.base",
    "Spec": "assay.rewards.base",
    "audit": "assay.benchmarks.audit",
    "chain": "assay.rewards.base",
    "combine": "assay.rewards.base",
    "fingerprint": "assay.rewards.base",
    "load": "assay.rewards.load",
    "read": "assay.records",
    "score": "assay.rewards.base",
    "Scores": "assay.scores",
    "Status": "assay.scores",
    "verify": "assay.benchmarks.verify",
    "write": "assay.records",
}

__all__ = [
    "Record",
    "Response",
    "Reward",
    "Scores",
    "Spec",
    "Status",
    "__version__",
    "audit",
    "chain",
    "combine",
    "fingerprint",
    "load",
    "read",
    "score",
    "verify",
    "write",
]


def __getattr__(name: str) -> Any:
    """Public names load their module on first use, so that ``import assay`` needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
