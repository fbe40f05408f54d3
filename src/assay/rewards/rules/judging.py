"""How a rule goes through the responses of its records: one judgement a response, never an exception for a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from assay.media import Text
from assay.records import Record, Response
from assay.rewards.base import scores_of
from assay.scores import Scores, Status


@dataclass(frozen=True, slots=True)
class Abstention:
    """Why a rule could not judge a response."""

    status: Status
    message: str


Judgement: TypeAlias = float | Abstention


def judge_texts(records: Sequence[Record], judge: Callable[[Record, str], Judgement]) -> Scores:
    """Scores of every response by its text. A response of media without any text is ``UNSUPPORTED_MODALITY``."""
    judgements = [
        unreadable if (unreadable := _without_text(response)) is not None else judge(record, response.text)
        for record in records
        for response in record.responses
    ]
    return scores_of(
        records,
        torch.tensor([torch.nan if isinstance(given, Abstention) else given for given in judgements]),
        status=[given.status if isinstance(given, Abstention) else Status.OK for given in judgements],
        messages=[given.message if isinstance(given, Abstention) else "" for given in judgements],
    )


def reference(record: Record, column: str) -> object | Abstention:
    """The content of a context column, or ``MISSING_CONTEXT`` where it is absent or None."""
    value: object = record.context.get(column)
    if value is None:
        return Abstention(Status.MISSING_CONTEXT, f"record {record.id} has no column {column!r}")
    return value


def _without_text(response: Response) -> Abstention | None:
    parts = [part for message in response.messages for part in message.parts]
    if not parts or any(isinstance(part, Text) for part in parts):
        return None
    kinds = sorted({type(part).__name__.lower() for part in parts})
    return Abstention(Status.UNSUPPORTED_MODALITY, f"a rule reads text; the response holds only {', '.join(kinds)}")
