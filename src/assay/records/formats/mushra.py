"""MUSHRA listening tests (ITU-R BS.1534) as a table: a row a stimulus, with every listener's rating from 0 to 100.

``signal``, ``condition``, ``file``, ``ratings`` and ``participant_ids`` (lists, or their text in CSV), as in the codec
ratings of Stahl, Windtner and Sontacchi (IEEE Access 2024). Neighbouring rows of one signal make one record: the
prompt is the reference recording, the responses are the stimuli, the hidden reference among them, and each listener
gives a `Rating`. ``conditions`` is context, and so are ``without_file``, those rated but not published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.media import Part, Text
from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin
from assay.records.formats.groups import adjacent, members
from assay.records.problems import BadRowError
from assay.records.record import Message, Rating, Record, Response

_COLUMNS = frozenset({"signal", "condition", "file", "ratings", "participant_ids"})
_QUESTION = "How good does this sound, against the reference?"


def recognises(row: Any) -> bool:
    """``signal``, ``condition``, ``file``, ``ratings`` and ``participant_ids``."""
    return isinstance(row, dict) and cast(Mapping[str, Any], row).keys() >= _COLUMNS


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A record of all stimuli of one signal."""
    rows = members(row)
    heard = [one for one in rows if one["file"]]
    ratings = [
        Rating(index, float(value), rater=str(rater))
        for index, one in enumerate(heard)
        for rater, value in _rated(one)
        if value is not None
    ]
    context: dict[str, Any] = {"signal": rows[0]["signal"], "conditions": [one["condition"] for one in heard]}
    if silent := [one["condition"] for one in rows if not one["file"]]:
        context["without_file"] = silent
    reference = next((one["file"] for one in heard if str(one["condition"]).lower() == "reference"), None)
    shown: tuple[Part, ...] = () if reference is None else (medium("audio", reference, origin.root),)
    prompt = (Message("user", (*shown, Text(_QUESTION))),)
    responses = tuple([Response.of(medium("audio", one["file"], origin.root)) for one in heard])
    return Record(origin.id(rows[0], number), prompt, responses, tuple(ratings), context)


def _rated(row: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    raters, values = _list(row["participant_ids"]), _list(row["ratings"])
    if len(raters) != len(values):
        cause = f"{len(values)} ratings of {len(raters)} listeners for {row['condition']!r}"
        raise BadRowError("rating_count", cause, "give each listener one rating")
    return list(zip(raters, values, strict=True))


def _list(cell: Any) -> Sequence[Any]:
    return json.loads(cell) if isinstance(cell, str) else cell


FORMAT = Format(
    "mushra",
    '"signal", "condition", "file", "ratings", "participant_ids"',
    recognises,
    to_record,
    gather=adjacent(lambda row: row["signal"]),
)
