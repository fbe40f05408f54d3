"""slime's remote reward: ``POST /slime``, for ``--rm-type remote_rm --rm-url http://host:port/slime``.

The request is what ``remote_rm`` in ``slime/rollout/rm_hub/__init__.py`` of THUDM/slime (0b420f1ef416) sends. The
answer is one number; with ``?reward_key=score`` it is an object that holds it under that key beside the attributes, for
``--reward-key``. Which reward: ``?reward=NAME``.

A response that could not be judged is an error (422, or 503 where another try may help), which slime retries and then
raises: null would be taken for a reward. ``label`` becomes the column ``label`` of the record.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import Field

from assay.records import Record
from assay.records import Response as Answer
from assay.records.record import messages_of
from assay.scores import Status
from assay.serving.admission import admitted_chat
from assay.serving.dialects.asking import AskedReward, chat_record
from assay.serving.policy import MediaPolicy
from assay.serving.problems import ServiceError
from assay.serving.protocol import Strict
from assay.serving.replies import Json
from assay.serving.rows import attended, scored
from assay.serving.service import Service
from assay.serving.templated import Untemplate, record_of_pair

_PASSING = (Status.TIMEOUT, Status.UNAVAILABLE, Status.OUT_OF_MEMORY)


class SampleRequest(Strict):
    """One sample."""

    prompt: Annotated[str | list[dict[str, Any]], Field(description="Text, templated or not, or messages.")]
    response: str
    label: Any = None


_EXAMPLES: dict[str, Any] = {
    "sample": {"summary": "One sample", "value": {"prompt": "What is 2 + 2?", "response": "4", "label": "4"}},
    "messages": {
        "summary": "A prompt that was not templated",
        "value": {"prompt": [{"role": "user", "content": "What is 2 + 2?"}], "response": "4", "label": None},
    },
}


def slime_routes(service: Service, policy: MediaPolicy, form: Untemplate | None) -> APIRouter:
    """``/slime``."""
    router = APIRouter(tags=["slime"])

    async def slime(
        request: Request,
        body: Annotated[SampleRequest, Body(openapi_examples=_EXAMPLES)],
        reward: AskedReward = None,
        reward_key: Annotated[str | None, Query(max_length=128)] = None,
    ) -> Response:
        """The reward of a sample, as one number."""

        async def work() -> Response:
            outcome = await scored(service, reward, [await _record(body, policy, form)])
            ((judgement,),) = outcome.judgements()
            if judgement.value is None:
                http = 503 if judgement.status in _PASSING else 422
                raise ServiceError(judgement.message or "no score", code=str(judgement.status), http=http)
            if reward_key is None:
                return Json(judgement.value)
            attributes = {name: value for name, value in judgement.attributes.items() if value == value}
            return Json({**attributes, reward_key: judgement.value})

        return await attended(request, work())

    router.add_api_route("/slime", slime, methods=["POST"])
    return router


async def _record(body: SampleRequest, policy: MediaPolicy, form: Untemplate | None) -> Record:
    context = {} if body.label is None else {"label": body.label}
    if isinstance(body.prompt, str):
        return record_of_pair(body.prompt, body.response, form, "0", context)
    prompt = chat_record(await admitted_chat(body.prompt, policy), [], "0").prompt
    return Record("0", prompt, (Answer(messages_of(body.response, "assistant")),), context=context)
