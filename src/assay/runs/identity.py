"""Which data a job is about: one digest over everything the reward may see of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
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


def _plain(value: object) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes | bytearray):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, Path):
        return ["path", str(value), value.stat().st_size if value.is_file() else None]
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(item)] for key, item in cast("Mapping[object, object]", value).items()]
    if isinstance(value, Sequence):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
        return [type(value).__name__, given]
    return _array(value)


def _array(value: object) -> Any:
    import numpy as np
    from torch import Tensor

    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return ["array", str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    return [type(value).__name__, str(value)]
