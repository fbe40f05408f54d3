"""UltraFeedback rows (Cui et al. 2023, arXiv 2310.01377): four completions of an instruction, rated by a model.

``instruction`` and ``completions``, each with ``response``, ``annotations`` (a ``Rating`` from 1 to 5 and a
``Rationale`` under each aspect), ``overall_score`` (criterion ``overall``), ``fine-grained_score`` (``fine-grained``)
and ``critique``. "N/A" is no rating. The published overall scores are known to hold 10 where 1 was meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Critique, Feedback, Rating, Record, Response, messages_of

_USED = frozenset({"id", "instruction", "completions"})
_SILENT = ("", "n/a", "na", "none")


def recognises(row: Any) -> bool:
    """``instruction`` and ``completions``."""
    return isinstance(row, dict) and {"instruction", "completions"} <= cast(Mapping[str, Any], row).keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """Completions in the order given."""
    completions = cast(Sequence[Mapping[str, Any]], row["completions"])
    feedback = [item for index, one in enumerate(completions) for item in _feedback(index, one)]
    return Record(
        origin.id(row, number),
        messages_of(row["instruction"], "user"),
        tuple([Response.of(one["response"]) for one in completions]),
        tuple(feedback),
        context_of(row, _USED),
    )


def _feedback(index: int, completion: Mapping[str, Any]) -> Iterator[Feedback]:
    totals = {"overall": completion.get("overall_score"), "fine-grained": completion.get("fine-grained_score")}
    for criterion, value in totals.items():
        if (number := _number(value, criterion)) is not None:
            yield Rating(index, number, criterion=criterion)
    if completion.get("critique"):
        yield Critique(index, completion["critique"])
    annotations = cast(Mapping[str, Mapping[str, Any] | None], completion.get("annotations") or {})
    for aspect, said in annotations.items():
        if said is None:
            continue
        if (number := _number(said.get("Rating"), aspect)) is not None:
            yield Rating(index, number, criterion=aspect)
        if said.get("Rationale"):
            yield Critique(index, said["Rationale"], criterion=aspect)


def _number(value: Any, criterion: str) -> float | None:
    if value is None or str(value).strip().lower() in _SILENT:
        return None
    try:
        return float(value)
    except ValueError as error:
        raise BadRowError("bad_label", f"a rating {value!r} under {criterion}", "give a number or N/A") from error


FORMAT = Format("ultrafeedback", '"instruction", "completions"', recognises, to_record)
