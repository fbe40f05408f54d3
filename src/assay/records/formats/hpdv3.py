"""HPDv3 rows (Ma et al. 2025, arXiv 2508.03789): two pictures of a ``prompt``; that at ``path1`` is preferred.

``confidence``, where it is given, is the strength. ``choice_dist``, ``model1`` and ``model2`` are context. The better
picture always comes first: shuffle before judging.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.record import Preference, Record, Response, messages_of

_USED = frozenset({"id", "prompt", "path1", "path2", "confidence"})


def recognises(row: Any) -> bool:
    """``prompt``, ``path1`` and ``path2``."""
    return isinstance(row, dict) and {"prompt", "path1", "path2"} <= cast(Mapping[str, Any], row).keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The preferred picture is number 0."""
    confidence = row.get("confidence")
    feedback = (Preference(0, 1, strength=None if confidence is None else float(confidence)),)
    responses = tuple([Response.of(medium("image", row[name], origin.root)) for name in ("path1", "path2")])
    return Record(
        origin.id(row, number), messages_of(row["prompt"], "user"), responses, feedback, context_of(row, _USED)
    )


FORMAT = Format("hpdv3", '"prompt", "path1", "path2" [, "confidence"]', recognises, to_record)
