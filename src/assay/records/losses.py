"""What a format does not carry of a record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.media import Text
from assay.records.formats import Format, Origin, Row
from assay.records.record import Message, Preference, Record, Response


def lost(record: Record, rows: Sequence[Row], format: Format, root: Path) -> frozenset[str]:
    """Which parts of ``record`` its ``rows`` do not bring back: prompt, responses, steps, feedback, context.

    Found by reading the rows again. Responses and preferences spread over several rows count as carried; what rows say
    of preferences is compared by the texts and media that are better and worse.
    """
    back = [format.to_record(row, number, Origin("", root)) for number, row in enumerate(rows, start=1)]
    missing: set[str] = set()
    if any(_shape(found.prompt) != _shape(record.prompt) for found in back):
        missing.add("prompt")
    carried = {_shape(response.messages) for found in back for response in found.responses}
    if any(_shape(response.messages) not in carried for response in record.responses):
        missing.add("responses")
    steps = {_ends(response) for found in back for response in found.responses}
    if any(response.step_ends and _ends(response) not in steps for response in record.responses):
        missing.add("steps")
    kept = {said for found in back for feedback in found.feedback for said in _said(found, feedback)}
    if any(said not in kept for feedback in record.feedback for said in _said(record, feedback)):
        missing.add("feedback")
    if any(_comparable(found.context) != _comparable(record.context) for found in back):
        missing.add("context")
    return frozenset(missing)


def _shape(messages: Sequence[Message]) -> tuple[Any, ...]:
    """Messages with neighbouring texts joined and media by kind, so that files need not be opened."""
    turns: list[Any] = []
    for message in messages:
        parts: list[str] = []
        for part in message.parts:
            if isinstance(part, Text) and parts and parts[-1].startswith("text:"):
                parts[-1] += part.text
            elif not isinstance(part, Text) or part.text:
                parts.append(f"text:{part.text}" if isinstance(part, Text) else type(part).__name__)
        turns.append((message.role, message.name, message.tool_call_id, repr(message.tool_calls), tuple(parts)))
    return tuple(turns)


def _ends(response: Response) -> tuple[Any, ...]:
    return (_shape(response.messages), response.step_ends)


def _said(record: Record, feedback: Any) -> list[tuple[Any, ...]]:
    """What a piece of feedback says, with responses in place of their indices."""
    from assay.records.pairs import preferences_of
    from assay.records.record import Ranking

    if isinstance(feedback, Ranking) and len(record.responses) == len(feedback.ranks):
        whole = Record("", (), record.responses, (feedback,))
        return [said for pair in preferences_of(whole) for said in _said(whole, pair)]
    names = ("better", "worse") if isinstance(feedback, Preference) else ("response",)
    indices = [getattr(feedback, name) for name in names if hasattr(feedback, name)]
    judged = tuple(_shape(record.responses[index].messages) for index in indices if index < len(record.responses))
    values = {name: getattr(feedback, name) for name in feedback.__slots__ if name not in names}
    return [(type(feedback).__name__, judged, repr(values))]


def _comparable(context: Any) -> str:
    return repr({name: list(value) if isinstance(value, tuple) else value for name, value in sorted(context.items())})
