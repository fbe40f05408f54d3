"""vLLM's pooling API (and SGLang's classify): ``/score``, ``/classify``, ``/pooling``, and their ``/v1`` forms.

Shapes as in vllm-project/vllm, ``vllm/frontend/entrypoints/pooling/{scoring,classify,pooling}/protocol.py``
(055e47c28003). ``POST /score`` is also UniRL's: a body with ``requests`` is in that dialect.

A query is the user's turn and a document the assistant's answer to it. Values pass through the logistic sigmoid unless
``use_activation`` is false, as in vLLM. A response that could not be judged has null in place of its number, and its
status and message beside it. What vLLM would do and this server would not (truncate, another chat template, token ids,
embeddings) is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Body, Request, Response
from pydantic import Discriminator, Field, Tag, model_validator

from assay.records import Message, Record
from assay.records import Response as Answer
from assay.records.record import messages_of
from assay.rewards.columns import Judgement
from assay.serving.admission import admitted_chat, admitted_content
from assay.serving.dialects.asking import (
    as_list,
    chat_record,
    conversation,
    model_of,
    named_after,
    now,
    number,
    with_reason,
)
from assay.serving.dialects.unirl import UnirlRequest, example, unirl_answer
from assay.serving.policy import Allowance, MediaPolicy
from assay.serving.problems import Unprocessable
from assay.serving.protocol import MOST_ITEMS, RED_PIXEL, Strict
from assay.serving.replies import Json
from assay.serving.rows import Outcome, attended, scored
from assay.serving.service import Service
from assay.serving.templated import Untemplate, record_of_text

Text: TypeAlias = Annotated[str, Field(max_length=64 * 2**20)]


Uncut: TypeAlias = Annotated[Literal[0] | None, Field(description="0 or null: nothing is truncated here.")]


class Content(Strict):
    """Text and media in order, as the content of a message."""

    content: str | list[dict[str, Any]]
    role: str | None = None


Side: TypeAlias = Text | Content | Annotated[list[Text | Content], Field(min_length=1, max_length=MOST_ITEMS)]


class Activated(Strict):
    """Which reward is asked, and whether its values pass through the sigmoid."""

    model: Annotated[str | None, Field(description="A served reward, also name@fingerprint.")] = None
    use_activation: Annotated[
        bool | None, Field(description="False: the reward's own value. Else its logistic sigmoid.")
    ] = None
    activation: Annotated[bool | None, Field(description="The older name of use_activation.")] = None
    user: str | None = None
    request_id: str | None = None
    truncate_prompt_tokens: Annotated[None, Field(description="Nothing is truncated here.")] = None
    max_tokens_per_query: Uncut = None
    max_tokens_per_doc: Uncut = None

    @model_validator(mode="after")
    def agree(self) -> Activated:
        """``activation`` and ``use_activation`` say the same."""
        if self.activation is not None and self.use_activation not in (None, self.activation):
            raise ValueError("activation and use_activation contradict each other; give one")
        return self

    @property
    def activated(self) -> bool:
        """Whether values pass through the sigmoid."""
        return self.use_activation is not False and self.activation is not False


class PoolingFields(Activated):
    """What every request of this dialect may hold."""

    priority: Literal[0] = 0
    encoding_format: Literal["float"] = "float"
    add_special_tokens: Annotated[
        bool | None, Field(description="Without effect: the reward's own template writes every token.")
    ] = None


class ScoreTexts(PoolingFields):
    """Pairs as ``text_1`` and ``text_2``."""

    text_1: Side
    text_2: Side

    @property
    def sides(self) -> tuple[Any, Any]:
        """Queries and documents."""
        return self.text_1, self.text_2


class ScoreDocuments(PoolingFields):
    """Pairs as ``queries`` and ``documents``."""

    queries: Side
    documents: Side

    @property
    def sides(self) -> tuple[Any, Any]:
        """Queries and documents."""
        return self.queries, self.documents


class ScoreItems(PoolingFields):
    """Pairs as ``queries`` and ``items``."""

    queries: Side
    items: Side

    @property
    def sides(self) -> tuple[Any, Any]:
        """Queries and documents."""
        return self.queries, self.items


class ScoreData(PoolingFields):
    """Pairs as ``data_1`` and ``data_2``."""

    data_1: Side
    data_2: Side

    @property
    def sides(self) -> tuple[Any, Any]:
        """Queries and documents."""
        return self.data_1, self.data_2


def _form(body: Any) -> str:
    """Which of its forms a body of ``/score`` has, by its keys."""
    if isinstance(body, UnirlRequest):
        return "requests"
    keys = body if isinstance(body, dict) else getattr(body, "model_fields_set", ())
    return next((key for key in ("requests", "data_1", "items", "queries") if key in keys), "text_1")


ScoreRequest: TypeAlias = Annotated[
    Annotated[ScoreTexts, Tag("text_1")]
    | Annotated[ScoreDocuments, Tag("queries")]
    | Annotated[ScoreItems, Tag("items")]
    | Annotated[ScoreData, Tag("data_1")]
    | Annotated[UnirlRequest, Tag("requests")],
    Discriminator(_form),
]


class ClassifyRequest(PoolingFields):
    """Texts, of which each is a whole conversation, or the messages of one."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_ITEMS)] | None = None
    messages: Annotated[
        list[dict[str, Any]] | None, Field(description="Ends with the assistant's, which is judged.")
    ] = None
    add_generation_prompt: Literal[False] = False
    continue_final_message: Literal[False] = False

    @model_validator(mode="after")
    def one_form(self) -> ClassifyRequest:
        """Either ``input`` or ``messages``."""
        if (self.input is None) == (self.messages is None):
            raise ValueError("give input or messages, one of the two")
        return self


class PoolingRequest(ClassifyRequest):
    """The same, with the task that says what of the reward is wanted."""

    task: Annotated[
        Literal["classify", "token_classify"] | None,
        Field(description="classify: the score. token_classify: the score of each step, for rewards that have steps."),
    ] = None


_SCORE_EXAMPLES: dict[str, Any] = {
    "one": {"summary": "One pair", "value": {"text_1": "What is 2 + 2?", "text_2": "4"}},
    "one to many": {
        "summary": "One query and several documents; raw values",
        "value": {"queries": "What is 2 + 2?", "documents": ["4", "It is five."], "use_activation": False},
    },
    "pairs": {"summary": "Pairs", "value": {"text_1": ["2 + 2?", "3 + 3?"], "text_2": ["4", "6"]}},
    "picture": {
        "summary": "A picture in the query",
        "value": {
            "data_1": {
                "content": [
                    {"type": "image_url", "image_url": {"url": RED_PIXEL}},
                    {"type": "text", "text": "Which colour is this?"},
                ]
            },
            "data_2": ["red", "blue"],
        },
    },
    "UniRL": {"summary": "UniRL's form of /score", "value": example},
}
_CLASSIFY_EXAMPLES: dict[str, Any] = {
    "texts": {"summary": "Templated conversations", "value": {"input": ["User: Hi\nAssistant: Hello", "Bye"]}},
    "messages": {
        "summary": "A conversation, and the reward's own value",
        "value": {
            "messages": [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}],
            "use_activation": False,
        },
    },
}


def vllm_routes(service: Service, policy: MediaPolicy, form: Untemplate | None) -> APIRouter:
    """``/score``, ``/classify`` and ``/pooling``, each also under ``/v1``."""
    router = APIRouter(tags=["vLLM"])

    async def score(
        request: Request, body: Annotated[ScoreRequest, Body(openapi_examples=_SCORE_EXAMPLES)]
    ) -> Response:
        """The score of each pair of a query and a document; one query goes with every document."""
        if isinstance(body, UnirlRequest):
            return await attended(request, unirl_answer(service, policy, body))

        async def work() -> Response:
            records = await _pairs(*body.sides, policy)
            outcome = await scored(service, body.model, records)
            judged = [each for row in outcome.judgements() for each in row]
            data = [
                with_reason({"index": i, "object": "score", "score": number(each.value, body.activated)}, each)
                for i, each in enumerate(judged)
            ]
            return _listed("score", service, outcome, records, data)

        return await attended(request, work())

    async def classify(
        request: Request, body: Annotated[ClassifyRequest, Body(openapi_examples=_CLASSIFY_EXAMPLES)]
    ) -> Response:
        """The score of each conversation, as the probability of one class; raw with ``use_activation`` false."""

        async def work() -> Response:
            records, outcome, judged = await _judged(service, policy, form, body)
            data = [
                with_reason(
                    {
                        "index": i,
                        "label": "LABEL_0",
                        "probs": [number(each.value, body.activated)],
                        "num_classes": 1,
                    },
                    each,
                )
                for i, each in enumerate(judged)
            ]
            return _listed("classify", service, outcome, records, data)

        return await attended(request, work())

    async def pooling(
        request: Request, body: Annotated[PoolingRequest, Body(openapi_examples=_CLASSIFY_EXAMPLES)]
    ) -> Response:
        """What vLLM would pool: of each conversation the score, or with ``token_classify`` those of its steps."""

        async def work() -> Response:
            records, outcome, judged = await _judged(service, policy, form, body)
            pool = _steps if body.task == "token_classify" else _whole
            data = [
                with_reason({"index": i, "object": "pooling", "data": pool(each, body.activated)}, each)
                for i, each in enumerate(judged)
            ]
            return _listed("pool", service, outcome, records, data)

        return await attended(request, work())

    for prefix in ("", "/v1"):
        router.add_api_route(f"{prefix}/score", score, methods=["POST"])
        router.add_api_route(f"{prefix}/classify", classify, methods=["POST"])
        router.add_api_route(f"{prefix}/pooling", pooling, methods=["POST"])
    return router


async def _judged(
    service: Service, policy: MediaPolicy, form: Untemplate | None, body: ClassifyRequest
) -> tuple[list[Record], Outcome, list[Judgement]]:
    if body.messages is not None:
        records = [conversation(await admitted_chat(body.messages, policy), "0")]
    else:
        records = [record_of_text(text, form, str(i)) for i, text in enumerate(as_list(body.input))]
    outcome = await scored(service, body.model, records)
    return records, outcome, [each for row in outcome.judgements() for each in row]


async def _pairs(first: Any, second: Any, policy: MediaPolicy) -> list[Record]:
    """A record a pair; one query with several documents is one record."""
    queries, documents = as_list(first), as_list(second)
    if len(queries) not in (1, len(documents)):
        raise Unprocessable(
            f"{len(queries)} queries and {len(documents)} documents; give as many, or one query", code="lengths_differ"
        )
    allowance = Allowance(policy)
    asked = [await turn(query, "user", policy, allowance) for query in queries]
    given = [Answer(await turn(document, "assistant", policy, allowance)) for document in documents]
    if len(asked) == 1:
        return [Record("0", asked[0], tuple(given))]
    pairs = zip(asked, given, strict=True)
    return [Record(str(i), query, (answer,)) for i, (query, answer) in enumerate(pairs)]


async def turn(
    side: str | Content, role: Literal["user", "assistant"], policy: MediaPolicy, allowance: Allowance
) -> tuple[Message, ...]:
    """One side of a pair as a turn, its media admitted.

    Raises:
        ServiceError: it is no content, or a medium is not admitted.
    """
    if isinstance(side, str):
        return messages_of(side, role)
    content = await admitted_content(side.content, policy, allowance)
    return chat_record([{"role": role, "content": content}], [], "").prompt


def _whole(judgement: Judgement, activated: bool) -> list[float | None]:
    return [number(judgement.value, activated)]


def _steps(judgement: Judgement, activated: bool) -> list[list[float | None]]:
    if judgement.value is not None and not judgement.steps:
        raise Unprocessable("this reward gives no scores of steps; ask for the task classify", code="no_steps")
    return [[number(value if value == value else None, activated)] for value in judgement.steps]


def _listed(
    kind: str, service: Service, outcome: Outcome, records: Sequence[Record], data: list[dict[str, Any]]
) -> Response:
    tokens = service.tokens(outcome.served.name, records)
    return Json(
        {
            "id": named_after(kind),
            "object": "list",
            "created": now(),
            "model": model_of(outcome.served),
            "data": data,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0},
        }
    )
