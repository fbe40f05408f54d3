"""OpenAI's chat completions as best of n: a model upstream writes candidates, a reward picks.

``budget`` candidates are drawn and judged, the ``n`` best are the choices, best first, each with its ``score``; the
field ``assay`` says how all were judged. The upstream is the server's configuration, never the request's. ``model`` is
the upstream's, or a reward's, which then picks; ``reward`` names one beside the upstream's model. ``/v1/models`` lists
both.

There is no stream: the best is known when all are there.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, final

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field, field_validator, model_validator

from assay.models.asking import Answer, Cost, Prompt
from assay.models.endpoints import Endpoint
from assay.records import Record
from assay.records import Response as Candidate
from assay.records.record import messages_of
from assay.rewards.columns import Judgement
from assay.serving.admission import admitted_chat
from assay.serving.dialects.asking import chat_record, named_after, now
from assay.serving.policy import MediaPolicy
from assay.serving.problems import ServiceError, Unavailable, UnknownReward
from assay.serving.protocol import RewardName, Strict
from assay.serving.replies import Json
from assay.serving.rows import Outcome, attended, scored
from assay.serving.service import Service
from assay.serving.workers import Thread

_AT_ONCE = 64
_SEEDS = random.SystemRandom()


@final
@dataclass(frozen=True, slots=True)
class Upstream:
    """The model that writes the candidates, how many where a request does not say, and how many at most.

    Raises:
        ValueError: a number below 1, or a default above the most.
    """

    endpoint: Endpoint
    budget: int = 8
    most: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.budget <= self.most:
            raise ValueError(f"need 1 <= budget <= most, got {self.budget} and {self.most}")


class ChatRequest(Strict):
    """A conversation, how it is sampled upstream, and how many candidates are drawn."""

    model: str
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    n: Annotated[int, Field(ge=1, le=1_024, description="How many choices are returned, best first.")] = 1
    budget: Annotated[int | None, Field(ge=1, le=1_024, description="How many candidates are drawn and judged.")] = None
    reward: RewardName = None
    temperature: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    presence_penalty: Annotated[float | None, Field(allow_inf_nan=False)] = None
    frequency_penalty: Annotated[float | None, Field(allow_inf_nan=False)] = None
    stop: str | list[str] | None = None
    seed: Annotated[int | None, Field(ge=0, lt=2**62, description="Without one every request draws anew.")] = None
    user: str | None = None
    stream: bool | None = None

    @field_validator("stream")
    @classmethod
    def no_stream(cls, value: bool | None) -> bool | None:
        """A stream would have to begin before the best is known."""
        if value:
            raise ValueError("streams are not supported: the best is known when all candidates are there")
        return value

    @model_validator(mode="after")
    def enough(self) -> ChatRequest:
        """No more choices than candidates."""
        if self.budget is not None and self.n > self.budget:
            raise ValueError(f"n ({self.n}) is above budget ({self.budget})")
        return self

    @property
    def sampling(self) -> dict[str, Any]:
        """What is sent upstream as it is."""
        named = ("max_completion_tokens", "presence_penalty", "frequency_penalty", "stop")
        return {name: getattr(self, name) for name in named if getattr(self, name) is not None}


_EXAMPLES: dict[str, Any] = {
    "best of 4": {
        "summary": "The best of four answers",
        "value": {"model": "REWARD", "messages": [{"role": "user", "content": "What is 2 + 2?"}], "budget": 4},
    }
}


def chat_routes(service: Service, policy: MediaPolicy, upstream: Upstream | None) -> APIRouter:
    """``/v1/chat/completions`` and ``/v1/models``; without an upstream the first answers 503."""
    router = APIRouter(tags=["OpenAI"])
    turns = asyncio.Semaphore(_AT_ONCE)

    async def completions(request: Request, body: Annotated[ChatRequest, Body(openapi_examples=_EXAMPLES)]) -> Response:
        """The best of several answers of the upstream model."""
        if upstream is None:
            raise Unavailable("this server has no model to ask; start it with --upstream", code="no_upstream")
        return await attended(request, _best(service, policy, upstream, body, turns))

    async def models() -> Response:
        """The upstream's model, where there is one, and the rewards."""
        names = [] if upstream is None else [(upstream.endpoint.model, "upstream")]
        names += [(name, "assay") for name in dict.fromkeys(each.name for each in service.served())]
        data = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in names]
        return Json({"object": "list", "data": data})

    router.add_api_route("/v1/chat/completions", completions, methods=["POST"], include_in_schema=upstream is not None)
    router.add_api_route("/v1/models", models, methods=["GET"])
    return router


async def _best(
    service: Service, policy: MediaPolicy, upstream: Upstream, body: ChatRequest, turns: asyncio.Semaphore
) -> Response:
    name = body.reward or _reward(service, upstream, body.model)
    service.named(name)
    budget = body.budget or max(body.n, upstream.budget)
    if budget > upstream.most:
        raise ServiceError(f"a budget of {budget}; at most {upstream.most} here", code="budget_too_large", http=400)
    prompt = chat_record(await admitted_chat(body.messages, policy), [], "0").prompt
    async with turns:
        answers = await _drawn(upstream.endpoint, body, prompt, budget)
    written = [answer for answer in answers if answer.text]
    if not written:
        said = next((answer.message for answer in answers if answer.message), "nothing but empty answers")
        raise ServiceError(f"the upstream model wrote nothing: {said}", code="upstream_failed", http=502)
    candidates = tuple(Candidate(messages_of(answer.text, "assistant")) for answer in written)
    outcome = await scored(service, name, [Record("0", prompt, candidates)])
    (judged,) = outcome.judgements()
    return _completion(body, written, judged, outcome, sum((answer.cost for answer in answers), Cost()))


def _reward(service: Service, upstream: Upstream, model: str) -> str | None:
    if model == upstream.endpoint.model:
        return None
    try:
        return service.named(model).name if "@" not in model else model
    except UnknownReward as error:
        raise UnknownReward(
            f"{model[:80]!r} is neither the upstream's model {upstream.endpoint.model!r} nor a reward", http=404
        ) from error


async def _drawn(endpoint: Endpoint, body: ChatRequest, prompt: Prompt, budget: int) -> list[Answer]:
    """`_answers` in a thread of its own: those of the loop, which are few, read media for everybody else."""
    thread = Thread("assay-upstream")
    try:
        return await thread.run(_answers, endpoint, body, prompt, budget)
    finally:
        thread.stop(0.0)


def _answers(endpoint: Endpoint, body: ChatRequest, prompt: Prompt, budget: int) -> list[Answer]:
    chosen: dict[str, Any] = {
        name: value
        for name, value in (
            ("temperature", body.temperature),
            ("top_p", body.top_p),
            ("max_tokens", body.max_tokens),
        )
        if value is not None
    }
    asked = replace(endpoint, parameters={**endpoint.parameters, **body.sampling}, **chosen)
    (answers,) = asked.answer([prompt], budget, _SEEDS.randrange(2**32) if body.seed is None else body.seed)
    return answers


def _completion(
    body: ChatRequest, written: Sequence[Answer], judged: Sequence[Judgement], outcome: Outcome, cost: Cost
) -> Response:
    ranked = sorted(range(len(written)), key=lambda i: (judged[i].value is None, -(judged[i].value or 0.0), i))
    chosen = [i for i in ranked if judged[i].value is not None][: body.n]
    if not chosen:
        first = judged[ranked[0]]
        raise Unavailable(f"no candidate could be judged: {first.status}: {first.message}", code="no_score")
    choices = [
        {
            "index": place,
            "message": {"role": "assistant", "content": written[i].text, "refusal": None},
            "finish_reason": "length" if written[i].cut else "stop",
            "logprobs": None,
            "score": judged[i].value,
        }
        for place, i in enumerate(chosen)
    ]
    scores = [
        {"content": answer.text, "value": each.value, "status": str(each.status), "message": each.message}
        for answer, each in zip(written, judged, strict=True)
    ]
    served = outcome.served
    return Json(
        {
            "id": named_after("chatcmpl"),
            "object": "chat.completion",
            "created": now(),
            "model": body.model,
            "choices": choices,
            "usage": {
                "prompt_tokens": cost.read,
                "completion_tokens": cost.written,
                "total_tokens": cost.read + cost.written,
            },
            "assay": {"reward": served.name, "fingerprint": served.fingerprint, "candidates": scores},
        }
    )
