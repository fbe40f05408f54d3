"""Audio-alpaca rows (Majumder et al. 2024, arXiv 2404.09956): two sounds for a ``prompt``, one of them chosen.

``chosen`` and ``rejected`` hold the bytes or the path of a recording. ``strategy``, how the worse one was made, is
context. The better response is number 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.record import Preference, Record, Response, messages_of

_USED = frozenset({"id", "prompt", "chosen", "rejected"})


def recognises(row: Any) -> bool:
    """``prompt``, and ``chosen`` and ``rejected`` as bytes, or as dictionaries of bytes or path."""
    if not isinstance(row, dict):
        return False
    columns = cast(Mapping[str, Any], row)
    return "prompt" in columns and all(_holds_sound(columns.get(name)) for name in ("chosen", "rejected"))


def _holds_sound(value: Any) -> bool:
    if isinstance(value, bytes):
        return True
    return isinstance(value, dict) and "role" not in value and ("bytes" in value or "path" in value)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The better response is number 0."""
    responses = tuple([Response.of(medium("audio", row[name], origin.root)) for name in ("chosen", "rejected")])
    prompt = messages_of(row["prompt"], "user")
    return Record(origin.id(row, number), prompt, responses, (Preference(0, 1),), context_of(row, _USED))


FORMAT = Format("audio-alpaca", '"prompt", and "chosen" and "rejected" as {"bytes", "path"}', recognises, to_record)
