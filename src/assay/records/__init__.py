"""Records: prompts, candidate responses and feedback, in memory and in every outside format."""

from assay.records.pairs import preferences_of
from assay.records.problems import BadRowError, FormatError, Problem, RowError
from assay.records.reading import Records, read
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
    content_id,
)
from assay.records.tables import from_rows, to_rows
from assay.records.writing import Written, write

__all__ = [
    "BadRowError",
    "Critique",
    "Feedback",
    "FormatError",
    "Message",
    "Preference",
    "Problem",
    "Ranking",
    "Rating",
    "Record",
    "Records",
    "Response",
    "RowError",
    "Span",
    "SpanLabels",
    "StepEnd",
    "StepLabels",
    "Written",
    "content_id",
    "from_rows",
    "preferences_of",
    "read",
    "to_rows",
    "write",
]
