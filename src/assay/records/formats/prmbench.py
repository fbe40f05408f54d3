"""PRMBench rows (Song et al. 2025, arXiv 2501.03124): solutions with planted errors, numbered by step.

The response is ``modified_process`` to ``modified_question``; ``error_steps`` count from 1, every other step is right.
Where the question was left as it is, ``original_process`` is a second response, all right. ``classification`` (one of
nine kinds of error) is context, as is ``error_steps_beyond`` with step numbers that the solution does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.formats.base import Format, Origin, context_of
from assay.records.record import Record, Response, StepLabels, messages_of

_USED = frozenset(
    {"id", "original_question", "modified_question", "original_process", "modified_process", "error_steps"}
)


def recognises(row: Any) -> bool:
    """``modified_question``, ``modified_process`` and ``error_steps``."""
    return isinstance(row, dict) and {"modified_question", "modified_process", "error_steps"} <= (
        cast(Mapping[str, Any], row).keys()
    )


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The modified solution is response 0."""
    steps, original = list(row["modified_process"]), list(row.get("original_process") or ())
    errors = frozenset(row["error_steps"])
    responses = [Response.from_steps(steps)]
    feedback = [StepLabels(0, tuple([0.0 if place in errors else 1.0 for place in range(1, len(steps) + 1)]))]
    context = context_of(row, _USED)
    same = row.get("original_question") in (None, row["modified_question"])
    if original and same:
        responses.append(Response.from_steps(original))
        feedback.append(StepLabels(1, (1.0,) * len(original)))
    elif not same:
        context |= {"original_question": row["original_question"], "original_process": original}
    if beyond := sorted(error for error in errors if not 1 <= error <= len(steps)):
        context["error_steps_beyond"] = beyond
    prompt = messages_of(row["modified_question"], "user")
    return Record(origin.id(row, number), prompt, tuple(responses), tuple(feedback), context)


FORMAT = Format("prmbench", '"modified_question", "modified_process", "error_steps"', recognises, to_record)
