"""Reranking as Jina, Cohere and vLLM ask for it: ``/rerank``, ``/v1/rerank``, ``/v2/rerank``.

One query, several documents, best first. Answers hold what any of the three gives: ``index``, ``relevance_score``,
``document`` (unless ``return_documents`` is false), ``usage`` and ``meta``. Scores pass through the logistic sigmoid
unless ``use_activation`` is false (vLLM's field). Documents that could not be judged come last, with null and a status.

Shapes as in vllm-project/vllm, ``vllm/frontend/entrypoints/pooling/scoring/protocol.py`` (055e47c28003), and the public
references of Jina's and Cohere's APIs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field, model_validator

from assay.records import Record
from assay.records import Response as Answer
from assay.rewards.columns import Judgement
from assay.serving.dialects.asking import as_list, model_of, named_after, number, with_reason
from assay.serving.dialects.vllm import Activated, Content, Text, turn
from assay.serving.policy import Allowance, MediaPolicy
from assay.serving.protocol import MOST_ITEMS, RED_PIXEL, Strict
from assay.serving.replies import Json
from assay.serving.rows import attended, scored
from assay.serving.service import Service


class Document(Strict):
    """A document of Jina's or Cohere's: a text, or a picture as a data URI or base64."""

    text: Text | None = None
    image: str | None = None

    @model_validator(mode="after")
    def one(self) -> Document:
        """Either of the two."""
        if (self.text is None) == (self.image is None):
            raise ValueError("give text or image, one of the two")
        return self


_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{32,}={0,2}\s*")
"""A picture as Jina's clients send it, without the head of a data URI."""

Item: TypeAlias = Text | Document | Content


class RerankRequest(Activated):
    """A query and documents."""

    query: Item
    documents: Item | Annotated[list[Item], Field(min_length=1, max_length=MOST_ITEMS)]
    top_n: Annotated[int | None, Field(ge=0, description="How many are returned; none or 0: all.")] = None
    return_documents: bool = True
    priority: int | None = None


_EXAMPLES: dict[str, Any] = {
    "texts": {
        "summary": "The better of two answers",
        "value": {"query": "What is 2 + 2?", "documents": ["It is five.", "4"], "top_n": 1},
    },
    "pictures": {
        "summary": "Pictures as documents",
        "value": {"query": "a red square", "documents": [{"image": RED_PIXEL}], "return_documents": False},
    },
}


def rerank_routes(service: Service, policy: MediaPolicy) -> APIRouter:
    """The three addresses of one route."""
    router = APIRouter(tags=["Rerank"])

    async def rerank(request: Request, body: Annotated[RerankRequest, Body(openapi_examples=_EXAMPLES)]) -> Response:
        """Documents, best first."""

        async def work() -> Response:
            allowance = Allowance(policy)
            query = await turn(_content(body.query), "user", policy, allowance)
            given: list[str | Document | Content] = as_list(body.documents)
            answers = [Answer(await turn(_content(each), "assistant", policy, allowance)) for each in given]
            record = Record("0", query, tuple(answers))
            outcome = await scored(service, body.model, [record])
            (judged,) = outcome.judgements()
            tokens = service.tokens(outcome.served.name, [record])
            return Json(
                {
                    "id": named_after("rerank"),
                    "object": "list",
                    "model": model_of(outcome.served),
                    "results": _results(body, given, judged),
                    "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
                    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
                }
            )

        return await attended(request, work())

    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        router.add_api_route(path, rerank, methods=["POST"])
    return router


def _results(
    body: RerankRequest, documents: Sequence[str | Document | Content], judged: list[Judgement]
) -> list[dict[str, Any]]:
    ranked = sorted(enumerate(judged), key=lambda each: (each[1].value is None, -(each[1].value or 0.0), each[0]))
    rows: list[dict[str, Any]] = []
    for index, judgement in ranked[: body.top_n or None]:
        row: dict[str, Any] = {
            "index": index,
            "relevance_score": number(judgement.value, body.activated),
        }
        if body.return_documents:
            row["document"] = _shown(documents[index])
        rows.append(with_reason(row, judgement))
    return rows


def _content(item: str | Document | Content) -> str | Content:
    if not isinstance(item, Document):
        return item
    if item.text is not None:
        return item.text
    carrier = "data" if item.image is not None and _BASE64.fullmatch(item.image) else "image"
    return Content(content=[{"type": "image", carrier: item.image}])


def _shown(item: str | Document | Content) -> dict[str, Any]:
    if isinstance(item, str):
        return {"text": item}
    return {"multi_modal": item.content} if isinstance(item, Content) else item.model_dump(exclude_none=True)
