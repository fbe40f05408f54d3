"""MM-RLHF pairs (Zhang et al. 2025, arXiv 2502.10391), ``dpo_pairs.jsonl`` and the rows of MM-RLHF-RewardBench.

``prompt``, ``chosen`` and ``rejected`` as text, with the path of an ``image`` or a ``video``; one file holds rows of
both. Recognised by a video or by reasons: name the format for a file that begins with an image. ``chosen_reason`` and
``rejected_reason`` are critiques. Rows of one item share its ``id``, so a record is named ``id:row`` and the item is
context. The better response is number 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.media import Text
from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Critique, Message, Preference, Record, Response

_USED = frozenset({"id", "prompt", "chosen", "rejected", "image", "video", "chosen_reason", "rejected_reason"})


def recognises(row: Any) -> bool:
    """``prompt``, ``chosen`` and ``rejected``, all text, and a ``video``, or ``rejected_reason`` beside a medium."""
    if not isinstance(row, dict):
        return False
    columns = cast(Mapping[str, Any], row)
    if not all(isinstance(columns.get(name), str) for name in ("prompt", "chosen", "rejected")):
        return False
    return "video" in columns or {"image", "rejected_reason"} <= columns.keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The medium stands before the prompt's text."""
    kinds = [kind for kind in ("image", "video") if row.get(kind)]
    if len(kinds) != 1:
        raise BadRowError("media_count", f"{len(kinds)} of image and video", "give each row an image or a video")
    shown = medium("image" if kinds[0] == "image" else "video", row[kinds[0]], origin.root)
    critiques = [
        Critique(response, row[column])
        for response, column in enumerate(("chosen_reason", "rejected_reason"))
        if row.get(column)
    ]
    own = row.get("id")
    context = context_of(row, _USED) | ({} if own is None else {"item": own})
    return Record(
        origin.id(row, number) if own is None else f"{own}:{number}",
        (Message("user", (shown, Text(row["prompt"]))),),
        (Response.of(row["chosen"]), Response.of(row["rejected"])),
        (Preference(0, 1), *critiques),
        context,
    )


FORMAT = Format(
    "mm-rlhf",
    '"prompt", "chosen", "rejected" (text) and "video", or "image" with "rejected_reason"',
    recognises,
    to_record,
)
