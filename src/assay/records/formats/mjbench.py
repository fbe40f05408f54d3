"""MJ-Bench pairs (Chen et al. 2024, arXiv 2407.04842): a ``caption`` and two pictures, one of them better.

``image0``, ``image1`` and ``label``, the index of the better one; or, in the quality files, ``image_0``, ``image_1``
and ``label_0``, 1 where the first is better. In the quality files the first always is: shuffle before judging.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Preference, Record, Response, messages_of

_INDEXED = frozenset({"caption", "image0", "image1", "label"})
_FLAGGED = frozenset({"caption", "image_0", "image_1", "label_0"})


def recognises(row: Any) -> bool:
    """``caption``, ``image0``, ``image1``, ``label``; or ``caption``, ``image_0``, ``image_1``, ``label_0``."""
    if not isinstance(row, dict):
        return False
    names = cast(Mapping[str, Any], row).keys()
    return "jpg_0" not in names and (names >= _INDEXED or names >= _FLAGGED)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """Pictures in the order given."""
    indexed = "image0" in row
    label = row["label"] if indexed else row["label_0"]
    if label not in (0, 1):
        raise BadRowError("bad_label", f"label {label!r}", "give 0 or 1")
    better = int(label) if indexed else 1 - int(label)
    names = ("image0", "image1") if indexed else ("image_0", "image_1")
    responses = tuple([Response.of(medium("image", row[name], origin.root)) for name in names])
    context = context_of(row, (_INDEXED if indexed else _FLAGGED) | {"id", "label_1"})
    prompt = messages_of(row["caption"], "user")
    return Record(origin.id(row, number), prompt, responses, (Preference(better, 1 - better),), context)


FORMAT = Format(
    "mj-bench",
    '"caption", "image0", "image1", "label", or "caption", "image_0", "image_1", "label_0"',
    recognises,
    to_record,
)
