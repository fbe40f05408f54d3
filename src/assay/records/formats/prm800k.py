"""PRM800K rows (Lightman et al. 2023, arXiv 2305.20050): solutions labelled step by step, with alternatives.

``question`` (with ``problem``) and ``label`` (with ``steps``). The first response is the path that was followed; each
completion that was not makes a response of its own, behind the steps before it. Ratings become labels: 1 is
right (1), -1 wrong (0), 0 is neutral (0.5: not wrong, but no progress; the authors count it as right when they score
solutions), and null is unlabelled, as are steps that the labeler wrote. ``labeler`` is the rater.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Record, Response, StepLabels, messages_of

_USED = frozenset({"id", "question", "label", "labeler"})
_LABELS: Mapping[Any, float | None] = {1: 1.0, 0: 0.5, -1: 0.0, None: None}

_Path: TypeAlias = list[tuple[str, float | None]]


def recognises(row: Any) -> bool:
    """``question`` with ``problem``, and ``label`` with ``steps``."""
    if not isinstance(row, dict):
        return False
    question, label = (cast(Mapping[str, Any], row).get(name) for name in ("question", "label"))
    return isinstance(question, dict) and "problem" in question and isinstance(label, dict) and "steps" in label


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A record of one labelled solution."""
    question = cast(Mapping[str, Any], row["question"])
    paths = _paths(row["label"]["steps"])
    if not paths:
        raise BadRowError("no_steps", "no labelled step", "leave the row out")
    labels = [
        StepLabels(index, tuple([label for _, label in path]), rater=row.get("labeler"))
        for index, path in enumerate(paths)
    ]
    context = context_of(row, _USED) | {name: value for name, value in question.items() if name != "problem"}
    context["finish_reason"] = row["label"].get("finish_reason")
    responses = tuple([Response.from_steps([text for text, _ in path]) for path in paths])
    return Record(origin.id(row, number), messages_of(question["problem"], "user"), responses, tuple(labels), context)


def _paths(steps: Sequence[Mapping[str, Any]]) -> list[_Path]:
    """The path followed, unless another begins with it, then one for each completion that was not followed."""
    followed: _Path = []
    others: list[_Path] = []
    for step in steps:
        completions = cast(Sequence[Mapping[str, Any]], step.get("completions") or ())
        chosen, written = step.get("chosen_completion"), step.get("human_completion")
        others += [[*followed, _step(one)] for place, one in enumerate(completions) if place != chosen]
        if chosen is not None:
            followed = [*followed, _step(completions[chosen])]
        elif written is not None:
            followed = [*followed, (written if isinstance(written, str) else written["text"], None)]
        elif completions:
            return others
    return [followed, *others] if followed else others


def _step(completion: Mapping[str, Any]) -> tuple[str, float | None]:
    rating = completion.get("rating")
    if rating not in _LABELS:
        raise BadRowError("bad_label", f"a rating of {rating!r}", "give -1, 0, 1 or null")
    return completion["text"], _LABELS[rating]


FORMAT = Format("prm800k", '"question" {"problem"}, "label" {"steps"} [, "labeler"]', recognises, to_record)
