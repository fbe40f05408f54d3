"""Records: prompts, candidate responses and feedback, in memory and in every outside format."""

from assay.records.record import (
    Critique,
    Feedback,
    Message,
    Preference,
    Ranking,
    Rating,
    Record,
    Response,
    Span,
    SpanLabels,
    StepEnd,
    StepLabels,
)

__all__ = [
    "Critique",
    "Feedback",
    "Message",
    "Preference",
    "Ranking",
    "Rating",
    "Record",
    "Response",
    "Span",
    "SpanLabels",
    "StepEnd",
    "StepLabels",
]
