"""Pick-a-Pic rows (Kirstain et al. 2023, arXiv 2305.01569): a ``caption`` and two pictures, one of them picked.

``jpg_0`` and ``jpg_1`` (bytes, or what else holds a picture), ``label_0`` and ``label_1``: 1 and 0, or .5 and .5 for a
tie. ``user_id`` is the rater. A row with ``has_label`` false has no preference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Preference, Record, Response, messages_of

_USED = frozenset({"id", "caption", "jpg_0", "jpg_1", "label_0", "label_1", "user_id", "has_label"})


def recognises(row: Any) -> bool:
    """``caption``, ``jpg_0``, ``jpg_1``, ``label_0`` and ``label_1``."""
    return isinstance(row, dict) and {"caption", "jpg_0", "jpg_1", "label_0", "label_1"} <= (
        cast(Mapping[str, Any], row).keys()
    )


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """Pictures in the order given."""
    responses = tuple([Response.of(medium("image", row[name], origin.root)) for name in ("jpg_0", "jpg_1")])
    feedback = (_preference(row),) if row.get("has_label", True) else ()
    prompt = messages_of(row["caption"], "user")
    return Record(origin.id(row, number), prompt, responses, feedback, context_of(row, _USED))


def _preference(row: Mapping[str, Any]) -> Preference:
    first, second = float(row["label_0"]), float(row["label_1"])
    if not (0 <= first <= 1 and abs(first + second - 1) < 1e-6):
        raise BadRowError("bad_label", f"labels {first:g} and {second:g}", "give 1 and 0, or .5 and .5 for a tie")
    rater = None if row.get("user_id") is None else str(row["user_id"])
    if first == second:
        return Preference(0, 1, probability=0.5, tie=True, rater=rater)
    better, worse = (0, 1) if first > second else (1, 0)
    return Preference(better, worse, probability=max(first, second), rater=rater)


FORMAT = Format("pick-a-pic", '"caption", "jpg_0", "jpg_1", "label_0", "label_1"', recognises, to_record)
