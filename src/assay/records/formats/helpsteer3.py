"""HelpSteer3-Preference rows (Wang et al. 2025, arXiv 2505.11475): ``overall_preference`` from -3 to 3.

``context`` (messages), ``response1``, ``response2``; below 0 the first response is better, above 0 the second, 0 is a
tie. Each ``individual_preference`` is a preference and two critiques of its own rater, who is known within the row
only (``row:0``, ``row:1``); what a rater says of both responses together is the context ``reasoning``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.records.chat import from_chat
from assay.records.formats.base import Format, Origin, context_of
from assay.records.formats.helpsteer2_preference import signed
from assay.records.problems import BadRowError
from assay.records.record import Critique, Feedback, Record, Response

_USED = frozenset({"id", "context", "response1", "response2", "overall_preference", "individual_preference"})


def recognises(row: Any) -> bool:
    """``context``, ``response1``, ``response2`` and ``overall_preference``."""
    return (
        isinstance(row, dict)
        and {"context", "response1", "response2", "overall_preference"} <= cast(Mapping[str, Any], row).keys()
    )


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """Responses in the order given; the overall preference comes first."""
    name = origin.id(row, number)
    judged = cast(Sequence[Mapping[str, Any]], row.get("individual_preference") or ())
    feedback: list[Feedback] = [signed(_score(row["overall_preference"]))]
    for index, one in enumerate(judged):
        rater = f"{name}:{index}"
        feedback.append(signed(_score(one["score"]), rater))
        feedback += [
            Critique(response, one[column], rater)
            for response, column in enumerate(("feedback1", "feedback2"))
            if one.get(column)
        ]
    context = context_of(row, _USED)
    if any(one.get("reasoning") for one in judged):
        context["reasoning"] = [one.get("reasoning") for one in judged]
    responses = (Response.of(row["response1"]), Response.of(row["response2"]))
    return Record(name, from_chat(row["context"], origin.root), responses, tuple(feedback), context)


def _score(value: Any) -> float:
    if not isinstance(value, int | float) or not -3 <= value <= 3:
        raise BadRowError("bad_label", f"a preference of {value!r}", "give a number from -3 to 3")
    return float(value)


FORMAT = Format(
    "helpsteer3",
    '"context", "response1", "response2", "overall_preference" [, "individual_preference"]',
    recognises,
    to_record,
)
