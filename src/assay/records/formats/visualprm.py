"""VisualPRM400K rows (Wang et al. 2025, arXiv 2503.10291): solutions to image questions with a value for each step.

Raw: ``image``, ``question`` and ``steps_with_score``, each with ``step`` and ``score``, the share of rollouts from it
that reached the right answer; the label is that share (`as_right` makes it 1 where it is above 0, as the authors do).
Conversations: ``image`` and ``conversations``, in which a human gives a step at a time and the answer is + or -.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from assay.records.formats.base import Format, Origin, context_of
from assay.records.formats.rlaifv import asked
from assay.records.problems import BadRowError
from assay.records.record import Record, Response, StepLabels

_RAW = frozenset({"id", "image", "question", "response", "steps_with_score"})
_TALK = frozenset({"id", "image", "conversations"})
_SIGNS = {"+": 1.0, "-": 0.0}
_BETWEEN = "\n\n"


def recognises(row: Any) -> bool:
    """``question`` and ``steps_with_score``; or ``conversations`` whose answers are all + or -."""
    if not isinstance(row, dict):
        return False
    columns = cast(Mapping[str, Any], row)
    if {"image", "question", "steps_with_score"} <= columns.keys():
        return True
    if "chosen" in columns or not {"image", "conversations"} <= columns.keys():
        return False
    answers = [turn.get("value") for turn in columns["conversations"] if turn.get("from") == "gpt"]
    return bool(answers) and all(answer in _SIGNS for answer in answers)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """One response with a label for each step."""
    if "steps_with_score" in row:
        scored = cast(Sequence[Mapping[str, Any]], row["steps_with_score"])
        question, steps = row["question"], [one["step"] for one in scored]
        labels = tuple([None if one["score"] is None else float(one["score"]) for one in scored])
        context = context_of(row, _RAW)
    else:
        question, steps, labels, system = _talk(row["conversations"])
        context = context_of(row, _TALK) | ({"system": system} if system else {})
    if any(label is not None and not 0 <= label <= 1 for label in labels):
        raise BadRowError("bad_label", f"step scores {list(labels)!r}", "give shares from 0 to 1")
    prompt = (asked(question, row["image"], origin.root),)
    responses = (Response.from_steps(steps, _BETWEEN),)
    return Record(origin.id(row, number), prompt, responses, (StepLabels(0, labels),), context)


def _talk(turns: Sequence[Mapping[str, Any]]) -> tuple[str, list[str], tuple[float, ...], str]:
    system = "".join([turn["value"] for turn in turns if turn["from"] == "system"])
    given = [turn["value"] for turn in turns if turn["from"] == "human"]
    signs = tuple([_SIGNS[turn["value"]] for turn in turns if turn["from"] == "gpt"])
    if len(given) != len(signs):
        raise BadRowError("step_count", f"{len(given)} steps, {len(signs)} answers", "answer each step with + or -")
    head, mark, first = given[0].partition("### Solution Process:\n")
    if not mark:
        raise BadRowError("bad_steps", "no '### Solution Process:'", "begin the first step with the question and it")
    return head.replace("### Question:\n", "").strip(), [first, *given[1:]], signs, system


def as_right(record: Record, above: float = 0.0) -> Record:
    """The record with step labels 1 where they are greater than ``above``, else 0; unlabelled steps stay so."""
    return replace(
        record,
        feedback=tuple(
            [
                replace(item, labels=tuple([None if one is None else float(one > above) for one in item.labels]))
                if isinstance(item, StepLabels)
                else item
                for item in record.feedback
            ]
        ),
    )


FORMAT = Format(
    "visualprm",
    '"image", "question", "steps_with_score", or "image", "conversations" (answers + and -)',
    recognises,
    to_record,
)
