"""ImageRewardDB rows (Xu et al. 2023, arXiv 2304.05977): a picture a row, ranked among those of its prompt.

``prompt_id``, ``prompt``, ``image`` or ``image_path``, and ``rank``: 1 is best, equal ranks are tied. Neighbouring rows
of one ``prompt_id`` make one record, whose `Ranking` begins at 0; ``overall_rating`` (1 to 7),
``image_text_alignment_rating`` and ``fidelity_rating`` are ratings under the criteria before ``_rating``. The
repository's files have a prompt a row: ``prompt``, ``generations`` (the pictures) and ``ranking`` (their ranks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.formats.groups import adjacent, members
from assay.records.problems import BadRowError
from assay.records.record import Ranking, Rating, Record, Response, messages_of

CRITERIA = ("overall", "image_text_alignment", "fidelity")

_USED = frozenset({"prompt", "image", "image_path", "rank", *(f"{name}_rating" for name in CRITERIA)})


def recognises(row: Any) -> bool:
    """``prompt_id``, ``prompt``, ``rank`` (one number) and a picture; or ``prompt``, ``generations``, ``ranking``."""
    if not isinstance(row, dict):
        return False
    columns = cast(Mapping[str, Any], row)
    if {"prompt", "generations", "ranking"} <= columns.keys():
        return True
    found = {"prompt_id", "prompt", "rank"} <= columns.keys() and not isinstance(columns["rank"], list)
    return found and not columns.keys().isdisjoint({"image", "image_path"})


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A record of all pictures of a prompt."""
    rows = members(row)
    if "generations" in rows[0]:
        return _whole(rows[0], number, origin)
    ranks = tuple([_rank(one["rank"]) for one in rows])
    ratings = [
        Rating(index, float(one[f"{criterion}_rating"]), criterion=criterion)
        for index, one in enumerate(rows)
        for criterion in CRITERIA
        if one.get(f"{criterion}_rating") is not None
    ]
    responses = tuple(
        [
            Response.of(medium("image", one["image"] if one.get("image") else one["image_path"], origin.root))
            for one in rows
        ]
    )
    prompt = messages_of(rows[0]["prompt"], "user")
    return Record(origin.id(rows[0], number), prompt, responses, (Ranking(ranks), *ratings), context_of(rows[0], _USED))


def _whole(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    ranks = tuple([_rank(rank) for rank in row["ranking"]])
    responses = tuple([Response.of(medium("image", picture, origin.root)) for picture in row["generations"]])
    context = context_of(row, frozenset({"id", "prompt", "generations", "ranking"}))
    prompt = messages_of(row["prompt"], "user")
    return Record(origin.id(row, number), prompt, responses, (Ranking(ranks),), context)


def _rank(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or value < 1 or value != int(value):
        raise BadRowError("bad_label", f"rank {value!r}", "give a whole number from 1, the best")
    return int(value) - 1


FORMAT = Format(
    "imagerewarddb",
    '"prompt_id", "prompt", "rank" and "image" or "image_path"; or "prompt", "generations", "ranking"',
    recognises,
    to_record,
    gather=adjacent(lambda row: row["prompt_id"]),
)
