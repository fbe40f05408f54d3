"""TRL stepwise rows: ``prompt``, ``completions`` (the steps) and ``labels`` (true or false, or 0..1; null unlabelled).

The response is the steps joined by a line end, as TRL's step separator has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.media import Text
from assay.records.formats.base import Encode, Format, Origin, Row, Target, context_of, with_context
from assay.records.placeholders import MediaQueue, turns_of
from assay.records.problems import BadRowError
from assay.records.record import Record, Response, StepLabels

_USED = frozenset({"id", "prompt", "completions", "labels"})


def recognises(row: Any) -> bool:
    """``prompt``, ``completions`` and ``labels``."""
    return isinstance(row, dict) and {"prompt", "completions", "labels"} <= cast(Mapping[str, Any], row).keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """One response with steps and a label for each."""
    steps, labels = list(row["completions"]), list(row["labels"])
    if len(steps) != len(labels):
        raise BadRowError("step_count", f"{len(steps)} steps, {len(labels)} labels", "give each step one label")
    prompt = turns_of(row["prompt"], "user", origin.root, MediaQueue({}, origin.root))
    feedback = StepLabels(0, tuple([None if label is None else float(label) for label in labels]))
    context = context_of(row, _USED)
    return Record(origin.id(row, number), prompt, (Response.from_steps(steps),), (feedback,), context)


def writer(first: Sequence[Record], target: Target) -> Encode:
    """Plain text rows; labels are booleans if all labels of the first records are 0 or 1, else numbers."""
    del target
    seen = [label for record in first for found in _labelled(record) for label in found.labels]
    boolean = all(label in (0, 1, None) for label in seen)

    def encode(record: Record) -> list[Row]:
        labelled = _labelled(record)
        if not labelled:
            raise BadRowError("no_step_labels", "no step labels", "write another format")
        return [_row(record, found, len(labelled) == 1, boolean) for found in labelled]

    return encode


def _labelled(record: Record) -> list[StepLabels]:
    return [feedback for feedback in record.feedback if isinstance(feedback, StepLabels)]


def _row(record: Record, found: StepLabels, alone: bool, boolean: bool) -> Row:
    steps = _steps(record.responses[found.response])
    if len(steps) != len(found.labels):
        raise BadRowError("step_count", f"{len(steps)} steps, {len(found.labels)} labels", "give each step one label")
    if boolean and any(label not in (0, 1, None) for label in found.labels):
        cause = "a label between 0 and 1 after 1,000 records of true and false; the column type would change"
        raise BadRowError("late_soft_label", cause, "put a record with soft labels first")
    (message, *others) = record.prompt or [None]
    if message is None or others or message.role != "user" or not all(isinstance(p, Text) for p in message.parts):
        raise BadRowError("unsupported_prompt", "the prompt is not one user text", "write to the native format")
    labels = [None if label is None else bool(label) if boolean else float(label) for label in found.labels]
    row: Row = {
        "id": record.id if alone else f"{record.id}:{found.response}",
        "prompt": message.text,
        "completions": steps,
        "labels": labels,
    }
    return with_context(row, record, _USED)


def _steps(response: Response) -> list[str]:
    """The texts of the steps, without the line end between them."""
    plain = len(response.messages) == 1 and len(response.messages[0].parts) == 1
    part = response.messages[0].parts[0] if plain else None
    if not isinstance(part, Text):
        raise BadRowError("unsupported_steps", "the response is not one text", "write to the native format")
    start, steps = 0, list[str]()
    for end in response.step_ends:
        stop = len(part.text) if end.offset is None else end.offset
        steps.append(part.text[start:stop].removeprefix("\n") if steps else part.text[start:stop])
        start = stop
    if part.text[start:].strip():
        raise BadRowError("unsupported_steps", "text after the last step", "mark the end of its step")
    return steps


FORMAT = Format("trl-stepwise", '"prompt", "completions", "labels"', recognises, to_record, writer)
