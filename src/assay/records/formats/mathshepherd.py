"""Math-Shepherd rows (Wang et al. 2023, arXiv 2312.08935): a solution whose steps end in a tag, and the tags' values.

``input`` holds the question and the steps, each ending in ``\u043a\u0438``; ``label`` is the same text with ``+``
(right) or ``-`` (wrong) in place of each tag. The prompt is what stands before ``Step 1:``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Record, Response, StepLabels, messages_of

TAG = "\u043a\u0438"

_USED = frozenset({"id", "input", "label"})
_LABELS = {"+": 1.0, "-": 0.0}


def recognises(row: Any) -> bool:
    """``input`` with step tags, and ``label``."""
    if not isinstance(row, dict):
        return False
    given, label = (cast(Mapping[str, Any], row).get(name) for name in ("input", "label"))
    return isinstance(given, str) and isinstance(label, str) and TAG in given


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """One response with a label for each step."""
    *tagged, rest = row["input"].split(TAG)
    labels = _labels([*tagged, rest], row["label"])
    question, mark, first = tagged[0].partition("Step 1:")
    if not mark:
        raise BadRowError("bad_steps", "no 'Step 1:'", "begin the first step with it")
    if rest.strip():
        raise BadRowError("bad_steps", "text behind the last step tag", "end each step in a tag")
    steps = [text.strip() for text in (mark + first, *tagged[1:])]
    prompt = messages_of(question.strip(), "user")
    feedback = (StepLabels(0, labels),)
    return Record(origin.id(row, number), prompt, (Response.from_steps(steps),), feedback, context_of(row, _USED))


def _labels(pieces: list[str], label: str) -> tuple[float, ...]:
    """The sign behind each piece of the input but the last; signs inside the text are not taken for labels."""
    found: list[float] = []
    place = 0
    for number, piece in enumerate(pieces[:-1], start=1):
        place += len(piece)
        sign = label[place : place + 1]
        if not label.startswith(piece, place - len(piece)) or sign not in _LABELS:
            cause = f"the label differs from the input at step {number}"
            raise BadRowError("bad_label", cause, "repeat the input with + or - for each tag")
        found.append(_LABELS[sign])
        place += 1
    return tuple(found)


FORMAT = Format(
    "math-shepherd", '"input" (steps ending in \u043a\u0438), "label" (the same with + and -)', recognises, to_record
)
