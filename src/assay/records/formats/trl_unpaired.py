"""TRL unpaired rows: ``prompt``, ``completion`` and a boolean ``label``, read as a rating of 1 or 0.

Text or messages, with ``images`` as in the preference format. Written: one row for each rating of 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.media import Image, Part
from assay.records.chat import to_chat
from assay.records.formats.base import Encode, Format, Origin, Row, Target, context_of, with_context
from assay.records.placeholders import (
    MediaQueue,
    images_of,
    needs_typed_content,
    refuse_late_parts,
    turns_of,
    with_leading_images,
)
from assay.records.problems import BadRowError
from assay.records.record import Rating, Record, Response

_USED = frozenset({"id", "prompt", "completion", "label", "images", "image"})


def recognises(row: Any) -> bool:
    """``prompt``, ``completion`` and ``label``."""
    return isinstance(row, dict) and {"prompt", "completion", "label"} <= cast(Mapping[str, Any], row).keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """One response with a rating, 1 for a true label."""
    queue = MediaQueue({"image": images_of(row)}, origin.root)
    prompt = turns_of(row["prompt"], "user", origin.root, queue)
    response = Response(turns_of(row["completion"], "assistant", origin.root, queue))
    prompt = with_leading_images(prompt, queue)
    queue.finish()
    if row["label"] not in (0, 1):
        raise BadRowError("bad_label", f"label {row['label']!r}", "give true or false")
    rating = Rating(0, float(row["label"]))
    return Record(origin.id(row, number), prompt, (response,), (rating,), context_of(row, _USED))


def writer(first: Sequence[Record], target: Target) -> Encode:
    """Conversational rows, typed content throughout if a first record has more than text."""
    typed = any(needs_typed_content(record) for record in first)

    def encode(record: Record) -> list[Row]:
        ratings = [feedback for feedback in record.feedback if isinstance(feedback, Rating)]
        if not ratings or any(rating.value not in (0, 1) for rating in ratings):
            raise BadRowError("no_label", "no rating of 0 or 1", "rate the responses 0 or 1, or write another format")
        return [_row(record, rating, len(ratings) == 1, target, typed) for rating in ratings]

    return encode


def _row(record: Record, rating: Rating, alone: bool, target: Target, typed: bool) -> Row:
    images: list[Any] = []

    def put(part: Part) -> None:
        if not isinstance(part, Image) or not typed:
            cause = "TRL rows hold images only, from one of the first 1,000 records on"
            raise BadRowError(
                "unsupported_media", cause, "write to the native format, or put a record with media first"
            )
        images.append(target.put(part))

    refuse_late_parts(record, typed)
    row: Row = {
        "id": record.id if alone else f"{record.id}:{rating.response}",
        "prompt": to_chat(record.prompt, put, typed=typed),
        "completion": to_chat(record.responses[rating.response].messages, put, typed=typed),
        "label": rating.value == 1,
    }
    if typed:
        row["images"] = images
    return with_context(row, record, _USED)


FORMAT = Format("trl-unpaired", '"prompt", "completion", "label" [, "images"]', recognises, to_record, writer)
