"""Topical-Chat ratings in UniEval's layout (Mehri and Eskenazi 2020, arXiv 2005.00456; Zhong et al. 2022, 2210.07197).

``source`` (the dialogue, a turn a line), ``context`` (the facts), ``system_output``, ``system_id`` and ``scores``: the
mean of three raters under each dimension. Neighbouring rows of one dialogue make one record. Understandability and
groundedness go from 0 to 1, naturalness, coherence and engagingness from 1 to 3, overall from 1 to 5.
The systems and ``predict_scores`` are context, a value for each response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.media import Text
from assay.records.formats.base import Format, Origin
from assay.records.formats.groups import adjacent, members
from assay.records.record import Message, Rating, Record, Response

_COLUMNS = frozenset({"source", "context", "system_output", "system_id", "scores"})


def recognises(row: Any) -> bool:
    """``source``, ``context``, ``system_output``, ``system_id`` and ``scores``."""
    return isinstance(row, dict) and cast(Mapping[str, Any], row).keys() >= _COLUMNS


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A record of all systems' answers to one dialogue; the facts stand in a system message."""
    rows = members(row)
    ratings = [
        Rating(index, float(value), criterion=criterion)
        for index, one in enumerate(rows)
        for criterion, value in one["scores"].items()
        if value is not None
    ]
    context: dict[str, Any] = {"systems": [one["system_id"] for one in rows]}
    if all("predict_scores" in one for one in rows):
        context["predict_scores"] = [one["predict_scores"] for one in rows]
    responses = tuple([Response.of(one["system_output"].strip()) for one in rows])
    return Record(
        origin.id(rows[0], number), _prompt(rows[0]["source"], rows[0]["context"]), responses, tuple(ratings), context
    )


def _prompt(source: str, facts: str) -> tuple[Message, ...]:
    """The turns so that a user's is the last, and the answer the assistant's."""
    turns = [turn.strip() for turn in source.split("\n") if turn.strip()]
    roles = [("user", "assistant")[(len(turns) - 1 - place) % 2] for place in range(len(turns))]
    given = (Message("system", (Text(facts.strip()),)),) if facts.strip() else ()
    return (*given, *(Message(role, (Text(turn),)) for role, turn in zip(roles, turns, strict=True)))


FORMAT = Format(
    "topical-chat",
    '"source", "context", "system_output", "system_id", "scores"',
    recognises,
    to_record,
    gather=adjacent(lambda row: (row["source"], row["context"])),
)
