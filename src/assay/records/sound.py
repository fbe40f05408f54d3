"""Whether a record that was read has the types it promises: what formats leave to one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from assay.media import Text
from assay.records.problems import BadRowError
from assay.records.record import (
    Critique,
    Feedback,
    Message,
    Preference,
    Ranking,
    Rating,
    Record,
    SpanLabels,
    StepLabels,
)


def refuse_unsound(record: Record) -> None:
    """Nothing, if texts and roles are strings and feedback holds numbers about responses that are there.

    Raises:
        BadRowError: otherwise.
    """
    _refuse_messages(record.prompt)
    for response in record.responses:
        _refuse_messages(response.messages)
    for feedback in record.feedback:
        _refuse_feedback(feedback, len(record.responses))


def _refuse_messages(messages: Sequence[Message]) -> None:
    for message in messages:
        if type(message.role) is not str:
            cause = f"a role of type {type(message.role).__name__}"
            raise BadRowError("bad_message", cause, "roles are strings: user, assistant, system, tool")
        for part in message.parts:
            if type(part) is Text and type(part.text) is not str:
                raise BadRowError("bad_message", f"text of type {type(part.text).__name__}", "give a string")


def _refuse_feedback(feedback: Feedback, count: int) -> None:
    if isinstance(feedback, Preference):
        _refuse_indices((feedback.better, feedback.worse), count)
        _refuse_values((feedback.probability, feedback.margin, feedback.strength))
    elif isinstance(feedback, Ranking):
        _refuse_values(feedback.ranks)
        if len(feedback.ranks) != count:
            cause = f"{len(feedback.ranks)} ranks for {count} responses"
            raise BadRowError("bad_feedback", cause, "give each response one rank, or null")
    else:
        _refuse_indices((feedback.response,), count)
        if isinstance(feedback, Rating) and cast(Any, feedback.value) is None:
            raise BadRowError("bad_feedback", "a rating without a value", "leave out what was not rated")
        _refuse_values(_numbers(feedback))


def _numbers(feedback: Rating | StepLabels | SpanLabels | Critique) -> Sequence[Any]:
    if isinstance(feedback, Rating):
        return (feedback.value,)
    if isinstance(feedback, StepLabels):
        return feedback.labels
    return [span.value for span in feedback.spans] if isinstance(feedback, SpanLabels) else ()


def _refuse_indices(indices: Sequence[Any], count: int) -> None:
    for index in indices:
        if type(index) is not int or not 0 <= index < count:
            cause = f"feedback about response {index!r} of {count}"
            raise BadRowError("bad_feedback", cause, "number the responses from 0")


def _refuse_values(values: Sequence[Any]) -> None:
    for value in values:
        if value is not None and not isinstance(value, int | float):
            cause = f"{type(value).__name__} where a number belongs in feedback"
            raise BadRowError("bad_feedback", cause, "give a number, or null")
