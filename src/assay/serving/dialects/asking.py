"""What the dialects share: fields that clients send and that change nothing, names of rewards, and shapes of scores."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from fastapi import Query

from assay.records import Record
from assay.records.problems import BadRowError
from assay.rewards.columns import Judgement
from assay.serving.problems import Unprocessable
from assay.serving.protocol import RewardName
from assay.serving.service import Served

AskedReward = Annotated[RewardName, Query(alias="reward")]
"""A reward by ``?reward=NAME`` in the address, for clients whose requests name none."""


def named_after(prefix: str) -> str:
    """An id for an answer."""
    return f"{prefix}-{uuid.uuid4().hex}"


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def model_of(served: Served) -> str:
    """The name and version that an answer is signed with."""
    return f"{served.name}@{served.fingerprint[:16]}"


def number(value: float | None, activation: bool = False) -> float | None:
    """A value as it is, or its logistic sigmoid; None for an abstention."""
    if value is None or not activation:
        return value
    return 1.0 / (1.0 + math.exp(-value)) if value >= 0 else math.exp(value) / (1.0 + math.exp(value))


def with_reason(row: dict[str, Any], judgement: Judgement) -> dict[str, Any]:
    """A row of an answer; where there is no score, with the status and the cause."""
    if judgement.value is not None:
        return row
    return {**row, "status": str(judgement.status), "message": judgement.message}


def conversation(messages: Sequence[Mapping[str, Any]], id: str) -> Record:
    """A record of admitted messages, of which the last, the assistant's, is judged.

    Raises:
        Unprocessable: the last message is not the assistant's, or one is none.
    """
    if not messages or messages[-1].get("role") != "assistant":
        raise Unprocessable("the last message is what is judged, and has to be the assistant's", code="no_response")
    return chat_record(messages[:-1], [messages[-1]], id)


def chat_record(prompt: Sequence[Mapping[str, Any]], responses: Sequence[Any], id: str) -> Record:
    """`Record.chat` of admitted messages.

    Raises:
        Unprocessable: one that is no message.
    """
    try:
        return Record.chat(list(prompt), responses, id=id)
    except (BadRowError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise Unprocessable(f"not a message: {error}", code="bad_message") from error


def as_list(value: Any) -> list[Any]:
    """A list as it is; anything else as a list of one."""
    return cast("list[Any]", value) if isinstance(value, list) else [value]
