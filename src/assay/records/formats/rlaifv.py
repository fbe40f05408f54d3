"""RLAIF-V rows (Yu et al. 2024, arXiv 2405.17220) and those of MMPR (Wang et al. 2024, 2411.10442): image questions.

``image`` (one or a list; empty for text alone), ``question``, ``chosen`` and ``rejected``. ``<image>`` tags in the
question take the images in order; without tags they stand before it. The better response is number 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from assay.records.formats.base import Format, Origin, context_of
from assay.records.placeholders import MediaQueue, untagged
from assay.records.record import Message, Preference, Record, Response

_USED = frozenset({"id", "image", "question", "chosen", "rejected"})


def recognises(row: Any) -> bool:
    """``image``, ``question``, ``chosen`` and ``rejected``."""
    if not isinstance(row, dict):
        return False
    columns = cast(Mapping[str, Any], row)
    answers = (columns.get("chosen"), columns.get("rejected"))
    return {"image", "question"} <= columns.keys() and all(isinstance(answer, str) for answer in answers)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The better response is number 0."""
    responses = (Response.of(row["chosen"]), Response.of(row["rejected"]))
    prompt = (asked(row["question"], row["image"], origin.root),)
    return Record(origin.id(row, number), prompt, responses, (Preference(0, 1),), context_of(row, _USED))


def asked(question: str, image: Any, root: Path) -> Message:
    """A user's question with its images where the tags are, or before it.

    Raises:
        BadRowError: tags and images that differ in number.
    """
    images = list(cast("list[Any]", image)) if isinstance(image, list | tuple) else [image] if image else []
    queue = MediaQueue({"image": images}, root)
    parts = untagged(question, queue.take)
    if queue.untouched("image"):
        parts = (*queue.rest("image"), *parts)
    queue.finish()
    return Message("user", parts)


FORMAT = Format("rlaif-v", '"image", "question", "chosen", "rejected"', recognises, to_record)
