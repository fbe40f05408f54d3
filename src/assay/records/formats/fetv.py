"""FETV ratings (Liu et al. 2023, arXiv 2311.01813): clips of text-to-video models, rated from 1 to 5.

``prompt``, ``model``, ``video`` and ``SQ`` (static quality) with ``TQ`` (temporal quality), or ``Alignment``: means of
three raters. Neighbouring rows of one prompt make one record. ``models`` is context, a name for each response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.formats.groups import adjacent, members
from assay.records.record import Rating, Record, Response, messages_of

CRITERIA = ("SQ", "TQ", "Alignment")

_USED = frozenset({"id", "prompt", "model", "video", "video_index", "frames", "orig_frames", *CRITERIA})


def recognises(row: Any) -> bool:
    """``prompt``, ``model``, ``video`` and a criterion."""
    if not isinstance(row, dict):
        return False
    names = cast(Mapping[str, Any], row).keys()
    return {"prompt", "model", "video"} <= names and not names.isdisjoint(CRITERIA)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A record of all models' clips of one prompt."""
    rows = members(row)
    ratings = [
        Rating(index, float(one[criterion]), criterion=criterion)
        for index, one in enumerate(rows)
        for criterion in CRITERIA
        if one.get(criterion) is not None
    ]
    responses = tuple([Response.of(medium("video", one["video"], origin.root)) for one in rows])
    context = {"models": [one["model"] for one in rows], **context_of(rows[0], _USED)}
    return Record(
        origin.id(rows[0], number), messages_of(rows[0]["prompt"], "user"), responses, tuple(ratings), context
    )


FORMAT = Format(
    "fetv",
    '"prompt", "model", "video" and "SQ" with "TQ", or "Alignment"',
    recognises,
    to_record,
    gather=adjacent(lambda row: (row["prompt"], row.get("section"), row.get("subsection"))),
)
