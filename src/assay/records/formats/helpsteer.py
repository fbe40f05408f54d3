"""HelpSteer rows (Wang et al. 2023, arXiv 2311.09528) and those of HelpSteer2 (2024, 2406.08673): five ratings, 0 to 4.

``prompt``, ``response``, ``helpfulness``, ``correctness``, ``coherence``, ``complexity``, ``verbosity``. Neighbouring
rows of one prompt make one record, each rating is a `Rating` under its criterion. Complexity and verbosity are amounts:
more is not better; choose the criteria that mean quality. Prompts of several turns are split at ``<extra_id_1>``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from assay.media import Text
from assay.records.formats.base import Format, Origin, context_of
from assay.records.formats.groups import adjacent, members
from assay.records.record import Message, Rating, Record, Response

CRITERIA = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")

_USED = frozenset({"id", "prompt", "response", *CRITERIA})
_TURN = re.compile("\n?<extra_id_1>(User|Assistant)\n")
_ROLES = {"User": "user", "Assistant": "assistant"}


def recognises(row: Any) -> bool:
    """``prompt``, ``response`` and the five ratings."""
    return isinstance(row, dict) and {"prompt", "response", *CRITERIA} <= cast(Mapping[str, Any], row).keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A record of all answers to one prompt."""
    rows = members(row)
    ratings = [
        Rating(index, float(one[criterion]), criterion=criterion)
        for index, one in enumerate(rows)
        for criterion in CRITERIA
        if one.get(criterion) is not None
    ]
    responses = tuple([Response.of(one["response"]) for one in rows])
    return Record(
        origin.id(rows[0], number), turns_of(rows[0]["prompt"]), responses, tuple(ratings), context_of(rows[0], _USED)
    )


def turns_of(prompt: str) -> tuple[Message, ...]:
    """The turns of a prompt, the first of them a user's."""
    first, *pieces = _TURN.split(prompt)
    speakers = zip(pieces[::2], pieces[1::2], strict=True)
    return (
        Message("user", (Text(first),)),
        *(Message(_ROLES[name], (Text(text),)) for name, text in speakers),
    )


FORMAT = Format(
    "helpsteer",
    '"prompt", "response", "helpfulness", "correctness", "coherence", "complexity", "verbosity"',
    recognises,
    to_record,
    gather=adjacent(lambda row: row["prompt"]),
)
