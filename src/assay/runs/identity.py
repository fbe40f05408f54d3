"""Which data a job is about: one digest over everything the reward may see of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from assay.records import Record
from assay.records.check import DuplicateIdsError, SeenIds


def digest_of(records: Iterable[Record], needs: Sequence[str]) -> tuple[str, int, int]:
    """sha256 over the reward's view of every record, in order, and how many records and responses there are.

    A medium counts by path and size, or by its bytes where it is in memory: nothing is decoded, no file is read.

    Raises:
        DuplicateIdsError: some records share an id; all of them are listed.
    """
    total = hashlib.sha256()
    seen = SeenIds()
    duplicates: list[tuple[str, int, int]] = []
    count = responses = 0
    for record in records:
        total.update(record_digest(record, needs))
        if (first := seen.add(record.id, count)) is not None:
            duplicates.append((record.id, first, count))
        count += 1
        responses += len(record.responses)
    if duplicates:
        raise DuplicateIdsError(duplicates)
    return total.hexdigest(), count, responses


def record_digest(record: Record, needs: Sequence[str]) -> bytes:
    """sha256 over the reward's view of one record."""
    return hashlib.sha256(json.dumps(_plain(record.view(needs)), sort_keys=True).encode()).digest()


_AS_IT_IS = frozenset({str, int, float, bool, type(None)})


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is tuple or kind is list:
        return [_plain(item) for item in value]
    if names := _fields(kind):
        return [kind.__name__, *(_plain(getattr(value, name)) for name in names)]
    return _plain_other(value)


@cache
def _fields(kind: type) -> tuple[str, ...]:
    """The names of what a dataclass is made from; none for any other type."""
    return tuple(field.name for field in fields(kind) if field.init) if is_dataclass(kind) else ()


def _plain_other(value: object) -> Any:
    if isinstance(value, bytes | bytearray):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, Path):
        return ["path", str(value), value.stat().st_size if value.is_file() else None]
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(item)] for key, item in cast("Mapping[object, object]", value).items()]
    if isinstance(value, str | Sequence):
        items = [str(value)] if isinstance(value, str) else [_plain(item) for item in cast("Sequence[object]", value)]
        return [type(value).__name__, *items]
    return _array(value)


def _array(value: object) -> Any:
    import numpy as np
    from torch import Tensor

    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return ["array", str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    return [type(value).__name__, str(value)]
