"""VideoFeedback rows (He et al. 2024, arXiv 2406.15252): a generated video as frames, rated from 1 to 4.

``images`` (the frame files, in order), ``text prompt`` and five ratings: ``visual quality``, ``temporal consistency``,
``dynamic degree``, ``text-to-video alignment``, ``factual consistency``. ``conversations`` repeats them in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.record import Rating, Record, Response, messages_of

CRITERIA = (
    "visual quality",
    "temporal consistency",
    "dynamic degree",
    "text-to-video alignment",
    "factual consistency",
)

_USED = frozenset({"id", "images", "text prompt", "conversations", *CRITERIA})


def recognises(row: Any) -> bool:
    """``images``, ``text prompt`` and the five ratings."""
    return isinstance(row, dict) and {"images", "text prompt", *CRITERIA} <= cast(Mapping[str, Any], row).keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """One response, the video."""
    ratings = [Rating(0, float(row[name]), criterion=name) for name in CRITERIA if row[name] is not None]
    responses = (Response.of(medium("video", list(row["images"]), origin.root)),)
    prompt = messages_of(row["text prompt"], "user")
    return Record(origin.id(row, number), prompt, responses, tuple(ratings), context_of(row, _USED))


FORMAT = Format(
    "videofeedback", '"images", "text prompt" and "visual quality" to "factual consistency"', recognises, to_record
)
