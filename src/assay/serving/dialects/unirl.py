"""UniRL's reward service: ``GET /rewards`` and ``POST /score`` with ``requests`` (``GET /health`` is native).

Shapes as in Tencent-Hunyuan/UniRL, ``unirl/reward/remote.py`` (0e713d6307ab) and its ``reward_service``. ``/score`` is
vLLM's too: a body with ``requests`` is UniRL's.

The last turn of a history is what is judged: its text is the prompt, its picture or video the response; earlier turns
are the conversation before it. A reward that fails on a request is absent from its result and named in its errors, with
the status. ``scorer_version`` pins a version by its fingerprint.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field, model_validator

from assay.media import Part, Text
from assay.records import Message, Record
from assay.records import Response as Answer
from assay.rewards.columns import Judgement
from assay.scores import Status
from assay.serving.admission import admitted
from assay.serving.policy import Allowance, MediaPolicy, Refused
from assay.serving.problems import UnknownReward, Unprocessable
from assay.serving.protocol import MOST_ITEMS, RED_PIXEL, Strict
from assay.serving.replies import Json
from assay.serving.rows import Read, Unread, scored
from assay.serving.service import Service

_IDENTITY = (
    "request_id",
    "sample_id",
    "group_id",
    "source_rank",
    "policy_version",
    "scorer_version",
    "idempotency_key",
)


class Turn(Strict):
    """A text with the picture or video that was made of it."""

    text: str
    image_b64: str | None = None
    video_b64: str | None = None
    video_path: str | None = None

    @model_validator(mode="after")
    def has_media(self) -> Turn:
        """A turn has a picture or a video, and of a video one form."""
        if self.video_b64 is not None and self.video_path is not None:
            raise ValueError("give video_b64 or video_path, one of the two")
        if self.image_b64 is None and self.video_b64 is None and self.video_path is None:
            raise ValueError("a turn without media; give image_b64, video_b64 or video_path")
        return self


class UnirlItem(Strict):
    """One history, and the rewards that judge its last turn."""

    history: Annotated[list[Turn], Field(min_length=1, max_length=MOST_ITEMS)]
    required_rewards: Annotated[list[str], Field(min_length=1, description="Names of served rewards.")]
    metadata: dict[str, Any] | None = Field(default=None, description="Columns that a reward needs are taken from it.")
    request_id: str | None = None
    sample_id: str | None = None
    group_id: str | None = None
    source_rank: int | None = None
    policy_version: int | None = None
    scorer_version: str | None = Field(default=None, description="A fingerprint, or its first eight digits or more.")
    idempotency_key: str | None = None


example: dict[str, Any] = {
    "protocol_version": "1",
    "requests": [
        {
            "history": [{"text": "a red square", "image_b64": RED_PIXEL.partition(",")[2]}],
            "required_rewards": ["REWARD"],
            "metadata": {},
        }
    ],
}
"""A request of this dialect."""


class UnirlRequest(Strict):
    """A batch of histories."""

    model_config = ConfigDict(extra="forbid")

    protocol_version: Literal["1"] = "1"
    requests: Annotated[list[UnirlItem], Field(max_length=MOST_ITEMS)]


def unirl_routes(service: Service) -> APIRouter:
    """``GET /rewards``."""
    router = APIRouter(tags=["UniRL"])

    async def rewards() -> Response:
        """The names that ``required_rewards`` may hold."""
        return Json({"rewards": list(dict.fromkeys(each.name for each in service.served()))})

    router.add_api_route("/rewards", rewards, methods=["GET"])
    return router


async def unirl_answer(service: Service, policy: MediaPolicy, body: UnirlRequest) -> Response:
    """The answer to a batch: of each request and reward a score, or an error.

    Raises:
        ServiceError: a reward that is not served, or that cannot be asked now.
    """
    asked: dict[str, list[int]] = {}
    for place, item in enumerate(body.requests):
        for name in dict.fromkeys(item.required_rewards):
            asked.setdefault(_version(item, name), []).append(place)
    for name in asked:
        _known(service, name)
    allowance = Allowance(policy)
    rows = [await _row(item, place, policy, allowance) for place, item in enumerate(body.requests)]
    tasks = [asyncio.ensure_future(scored(service, name, [rows[i] for i in places])) for name, places in asked.items()]
    try:
        found = await asyncio.gather(*tasks)
    finally:
        for task in tasks:  # where one reward refuses, the whole is asked again
            task.cancel()
    results: list[dict[str, dict[str, float]]] = [{} for _ in rows]
    errors: list[dict[str, str]] = [{} for _ in rows]
    for (name, places), outcome in zip(asked.items(), found, strict=True):
        own = name.partition("@")[0] if body.requests[places[0]].scorer_version else name
        for place, (judgement,) in zip(places, outcome.judgements(), strict=True):
            if judgement.value is None:
                errors[place][own] = f"{judgement.status}: {judgement.message}"
            else:
                results[place][own] = {own: judgement.value, **_attributes(judgement, own)}
    identities = [item.model_dump(include=set(_IDENTITY)) for item in body.requests]
    return Json({"protocol_version": "1", "results": results, "errors": errors, "identities": identities})


def _version(item: UnirlItem, name: str) -> str:
    return f"{name}@{item.scorer_version}" if item.scorer_version else name


def _known(service: Service, name: str) -> None:
    try:
        service.named(name)
    except UnknownReward as error:
        raise Unprocessable(str(error), code="unknown_reward", http=400) from error


async def _row(item: UnirlItem, place: int, policy: MediaPolicy, allowance: Allowance) -> Read:
    id = str(place)
    turns: list[Message] = []
    try:
        for turn in item.history:
            turns.append(Message("user", (Text(turn.text),)))
            turns.append(Message("assistant", tuple(await _media(turn, policy, allowance))))
    except Refused as error:
        return Unread(id, error.status if error.status is not Status.INVALID else Status.UNREADABLE_MEDIA, str(error))
    return Record(id, tuple(turns[:-1]), (Answer((turns[-1],)),), context=item.metadata or {})


async def _media(turn: Turn, policy: MediaPolicy, allowance: Allowance) -> list[Part]:
    media: list[Part] = []
    if turn.image_b64 is not None:
        media.append(await admitted("image", {"data": turn.image_b64}, policy, allowance))
    if turn.video_b64 is not None:
        media.append(await admitted("video", {"data": turn.video_b64}, policy, allowance))
    if turn.video_path is not None:
        media.append(await admitted("video", {"path": turn.video_path}, policy, allowance))
    return media


def _attributes(judgement: Judgement, own: str) -> dict[str, float]:
    """Those that are numbers; one called as the reward is would stand in the score's place."""
    return {name: value for name, value in judgement.attributes.items() if value == value and name != own}
