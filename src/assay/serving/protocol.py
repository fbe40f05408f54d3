"""The native protocol: records in, a row a response out. What it says of each field is what /openapi.json says."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

LONGEST = 3_600.0
"""No request may take longer, in seconds."""

MOST_ITEMS = 65_536
"""Responses, or what stands for them in a dialect, in one request: each costs time before it can be refused."""

RED_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
"""A picture for examples."""


class Strict(BaseModel):
    """A part of a request in which an unknown field is an error: a misspelt one would be silently without effect."""

    model_config = ConfigDict(extra="forbid")


RewardName = Annotated[
    str | None,
    Field(
        max_length=512,
        description="A served reward by its name (its current version), or name@fingerprint, of which eight digits are "
        "enough. Without it, the only or first one.",
        examples=["helpful", "helpful@0f3a9c21"],
    ),
]
"""Which reward is asked."""

Seconds = Annotated[
    float | None,
    Field(
        gt=0,
        le=LONGEST,
        allow_inf_nan=False,
        description="Deadline of the request; rows whose turn has not come by then have the status timeout.",
    ),
]

NativeRow: TypeAlias = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "object",
            "title": "NativeRow",
            "description": "A prompt and its responses, each a string or messages as in OpenAI chats. Media stand in "
            "the content, as data URIs or base64 (paths and addresses where the server was told so). Columns that the "
            "reward needs are in context. Feedback is never shown to a reward.",
            "required": ["prompt", "responses"],
            "properties": {
                "id": {"type": "string"},
                "prompt": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
                "responses": {
                    "type": "array",
                    "items": {
                        "anyOf": [
                            {"type": "string"},
                            {"type": "array", "items": {"type": "object"}},
                            {"type": "object"},
                        ]
                    },
                },
                "context": {"type": "object"},
                "feedback": {"type": "array", "items": {"type": "object"}},
            },
        }
    ),
]
"""One row of Assay's own format; what is no such row gets a row with the cause, and the others are scored."""


class ScoresRequest(Strict):
    """Records to be scored."""

    reward: RewardName = None
    records: Annotated[list[NativeRow], Field(max_length=1_000_000, description="Rows of Assay's own format.")]
    seconds: Seconds = None


class Row(BaseModel):
    """One response: a value, or none and a status that says why."""

    id: Annotated[str, Field(description="record/response")]
    record: str
    response: int
    value: Annotated[float | None, Field(description="The score; null exactly where the status is not ok.")]
    status: str
    message: str
    std: float | None = None
    attributes: Annotated[dict[str, list[Any]] | None, Field(description="name: [value, status]")] = None
    steps: list[float | None] | None = None
    step_status: list[str] | None = None
    critique: str | None = None


class ScoresAnswer(BaseModel):
    """One row a response, in order, and how many of each status."""

    reward: str
    fingerprint: str
    rows: list[Row]
    counts: dict[str, int]


class ErrorBody(BaseModel):
    """Why a request was not answered."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorBody


class Promotion(Strict):
    """The version that becomes the current one."""

    fingerprint: Annotated[str, Field(min_length=8, max_length=128, examples=["0f3a9c21"])]
