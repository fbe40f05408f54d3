"""WMT MQM tables (Freitag et al. 2021, arXiv 2104.14478): errors marked in the translations of a segment.

``system``, ``doc``, ``seg_id``, ``rater``, ``source``, ``target`` (the error between ``<v>`` and ``</v>``),
``category``, ``severity``; a row an error. Neighbouring rows of one segment make one record with a response a system:
the errors are spans (value: minus the weight), and the sum of their weights, negative, is the rater's rating, so that
higher is better and 0 is without error. Weights: major 5, minor 1, minor punctuation 0.1, non-translation 25, others 0.
``systems`` is context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.records.formats.base import Format, Origin
from assay.records.formats.groups import adjacent, members
from assay.records.record import Feedback, Rating, Record, Response, Span, SpanLabels, messages_of

_COLUMNS = frozenset({"system", "doc", "seg_id", "rater", "source", "target", "category", "severity"})
_OPEN, _CLOSE = "<v>", "</v>"


def recognises(row: Any) -> bool:
    """The eight columns."""
    return isinstance(row, dict) and cast(Mapping[str, Any], row).keys() >= _COLUMNS


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A record of all translations of a segment."""
    rows = members(row)
    systems = list(dict.fromkeys([one["system"] for one in rows]))
    feedback: list[Feedback] = []
    for index, system in enumerate(systems):
        own = [one for one in rows if one["system"] == system]
        for rater in dict.fromkeys([one["rater"] for one in own]):
            feedback += _judged(index, rater, [one for one in own if one["rater"] == rater])
    targets = {one["system"]: _plain(one["target"]) for one in rows}
    return Record(
        origin.id(rows[0], number),
        messages_of(_plain(rows[0]["source"]), "user"),
        tuple([Response.of(targets[system]) for system in systems]),
        tuple(feedback),
        {"systems": systems, "doc": rows[0]["doc"], "seg_id": rows[0]["seg_id"]},
    )


def _judged(index: int, rater: str, rows: Sequence[Mapping[str, str]]) -> list[Feedback]:
    total = -sum(weight(one["category"], one["severity"]) for one in rows)
    spans = tuple([span for one in rows if (span := _span(one)) is not None])
    rating = Rating(index, total + 0.0, rater)
    return [rating, SpanLabels(index, spans, rater)] if spans else [rating]


def weight(category: str, severity: str) -> float:
    """The penalty of an error."""
    kind, level = category.lower(), severity.lower()
    if level not in ("major", "minor"):
        return 0.0
    if kind.startswith("non-translation"):
        return 25.0
    if level == "major":
        return 5.0
    return 0.1 if kind == "fluency/punctuation" else 1.0


def _span(row: Mapping[str, str]) -> Span | None:
    """Where the error stands in the text without marks; None where it is marked in the source, or not at all."""
    before, mark, rest = row["target"].partition(_OPEN)
    inside, closed, _ = rest.partition(_CLOSE)
    if not mark or not closed:
        return None
    label = f"{row['category']} ({row['severity']})"
    return Span(len(before), len(before) + len(inside), label, -weight(row["category"], row["severity"]))


def _plain(text: str) -> str:
    return text.replace(_OPEN, "").replace(_CLOSE, "")


FORMAT = Format(
    "mqm",
    '"system", "doc", "seg_id", "rater", "source", "target", "category", "severity"',
    recognises,
    to_record,
    gather=adjacent(lambda row: (row["doc"], row["seg_id"])),
)
