"""Fine-Grained RLHF qa_feedback (Wu et al. 2023, arXiv 2306.01693): four answers to a question over passages.

``question``, ``passages``, ``prediction 1`` to ``prediction 4``, and ``preference``: for the pairs (1,2), (1,3), (1,4),
(2,3), (2,4), (3,4) the better one, 1 or 2, or 0 for a tie. ``feedback`` marks the errors of the first answer as spans.
``gold``, ``missing-info`` and ``corrected-prediction`` are context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, cast

from assay.media import Text
from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Message, Preference, Record, Response, Span, SpanLabels

_ANSWERS = tuple(f"prediction {number}" for number in range(1, 5))
_USED = frozenset({"id", "question", "passages", "preference", "feedback", *_ANSWERS})


def recognises(row: Any) -> bool:
    """``question``, ``passages``, four predictions and ``preference``."""
    return isinstance(row, dict) and {"question", "passages", "preference", *_ANSWERS} <= (
        cast(Mapping[str, Any], row).keys()
    )


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The passages stand in a system message."""
    pairs = list(combinations(range(4), 2))
    if len(row["preference"]) != len(pairs):
        raise BadRowError("bad_label", f"{len(row['preference'])} preferences", "give one for each of the six pairs")
    feedback = [_preference(pair, said) for pair, said in zip(pairs, row["preference"], strict=True)]
    said = cast(Mapping[str, Any], row.get("feedback") or {})
    spans = tuple([Span(one["start"], one["end"], one["error type"]) for one in said.get("errors") or ()])
    passages = cast(Sequence[Sequence[str]], row["passages"])
    text = "\n\n".join("\n".join((title, " ".join(sentences))) for title, *sentences in passages)
    context = context_of(row, _USED) | {name: value for name, value in said.items() if name != "errors"}
    return Record(
        origin.id(row, number),
        (Message("system", (Text(text),)), Message("user", (Text(row["question"]),))),
        tuple([Response.of(row[name]) for name in _ANSWERS]),
        (*feedback, *((SpanLabels(0, spans),) if spans else ())),
        context,
    )


def _preference(pair: tuple[int, int], said: Any) -> Preference:
    if said not in (0, 1, 2):
        raise BadRowError("bad_label", f"preference {said!r}", "give 0 (tie), 1 or 2")
    if said == 0:
        return Preference(*pair, probability=0.5, tie=True)
    return Preference(*pair) if said == 1 else Preference(pair[1], pair[0])


FORMAT = Format("qa-feedback", '"question", "passages", "prediction 1" to "4", "preference"', recognises, to_record)
