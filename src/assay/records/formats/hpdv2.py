"""HPDv2 rows (Wu et al. 2023, arXiv 2306.09341): pictures of one prompt, compared or ranked.

Train: ``prompt``, ``file_path`` and ``human_preference``, 1 for the preferred picture of two and 0 for the other.
Test: ``prompt``, ``image_path`` and ``rank``, the mean rank of each picture, lower is better; ``raw_annotations`` are
the rankings of single raters (``user_hash``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Feedback, Preference, Ranking, Record, Response, messages_of

_USED = frozenset(
    {"id", "prompt", "file_path", "human_preference", "image_path", "rank", "raw_annotations", "user_hash"}
)


def recognises(row: Any) -> bool:
    """``prompt`` with ``file_path`` and ``human_preference``, or with ``image_path`` and ``rank`` as lists."""
    if not isinstance(row, dict):
        return False
    columns = cast(Mapping[str, Any], row)
    if {"prompt", "file_path", "human_preference"} <= columns.keys():
        return True
    return {"prompt", "image_path", "rank"} <= columns.keys() and isinstance(columns["rank"], list)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """Pictures in the order given."""
    paired = "human_preference" in row
    paths = list(row["file_path" if paired else "image_path"])
    said = list(row["human_preference" if paired else "rank"])
    if len(paths) != len(said):
        raise BadRowError("rank_count", f"{len(said)} labels for {len(paths)} pictures", "give each picture one")
    feedback: list[Feedback]
    if paired:
        feedback = [_pair(said, row.get("user_hash"))]
    else:
        feedback = [ranked(said)]
        raw = cast(Sequence[Mapping[str, Any]], row.get("raw_annotations") or ())
        feedback += [ranked(one["rank"], str(one["user_hash"])) for one in raw]
    responses = tuple([Response.of(medium("image", path, origin.root)) for path in paths])
    context = context_of(row, _USED)
    return Record(origin.id(row, number), messages_of(row["prompt"], "user"), responses, tuple(feedback), context)


def _pair(said: Sequence[float], rater: str | None) -> Feedback:
    if set(said) - {0, 1}:
        raise BadRowError("bad_label", f"human_preference {list(said)!r}", "give 1 for the preferred one, else 0")
    if len(said) != 2:
        return Ranking(tuple([1 - int(value) for value in said]), rater)
    if said[0] == said[1]:
        return Preference(0, 1, probability=0.5, tie=True, rater=rater)
    return Preference(0, 1, rater=rater) if said[0] > said[1] else Preference(1, 0, rater=rater)


def ranked(values: Sequence[float], rater: str | None = None) -> Ranking:
    """The ranking of values of which lower is better: 0 best, equal values tied."""
    order = {value: rank for rank, value in enumerate(sorted(set(values)))}
    return Ranking(tuple([order[value] for value in values]), rater)


FORMAT = Format(
    "hpdv2",
    '"prompt", "file_path", "human_preference", or "prompt", "image_path", "rank" (lists)',
    recognises,
    to_record,
)
