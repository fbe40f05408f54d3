"""What makes a run the same run: the key of its checkpoints, and the state of everything random."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import FunctionType
from typing import Any

import torch

from assay.records import Record
from assay.records.record import content_id
from assay.rewards.fingerprint import fingerprint
from assay.rewards.learned import LearnedReward
from assay.training.settings import Settings
from assay.training.supervision import Supervision

_FREE = frozenset({"checkpoint_every", "checkpoint_minutes", "log_every", "max_skipped"})


def run_key(
    reward: LearnedReward,
    records: Sequence[Record],
    evaluate: Sequence[Record],
    supervision: Supervision,
    settings: Settings,
    processes: int,
) -> dict[str, str]:
    """What must be the same for a checkpoint to be gone on from."""
    told = {item.name: _told(getattr(settings, item.name)) for item in fields(settings) if item.name not in _FREE}
    return {
        "model": reward.fingerprint()[:16],
        "objective": fingerprint(supervision)[:16],
        "records": _digest(records, reward.spec.needs),
        "evaluation records": _digest(evaluate, reward.spec.needs),
        "processes": str(processes),
        **told,
    }


def _told(value: object) -> str:
    return f"{value.__qualname__} {fingerprint(value)[:16]}" if isinstance(value, FunctionType) else repr(value)


def _digest(records: Sequence[Record], columns: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for record in records:
        seen = [record.context.get(column) for column in columns]
        told = f"{record.id} {content_id(record.prompt, record.responses)} {record.feedback}"
        digest.update(f"{told} {seen}\n".encode() if columns else f"{told}\n".encode())
    return f"{len(records)} of {digest.hexdigest()[:16]}"


def chance() -> dict[str, Any]:
    """The state of the random generators of this process."""
    found: dict[str, Any] = {"python": random.getstate(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def set_chance(found: Mapping[str, Any]) -> None:
    """Put the random generators where `chance` found them."""
    random.setstate(found["python"])
    torch.set_rng_state(found["torch"])
    if "cuda" in found and torch.cuda.is_available():
        torch.cuda.set_rng_state(found["cuda"])
