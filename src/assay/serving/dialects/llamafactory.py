"""LLaMA-Factory's reward API: ``POST /v1/score/evaluation``, for ``reward_model_type: api``.

Shapes as in hiyouga/LLaMA-Factory, ``src/llamafactory/api/protocol.py`` (20c50d02d511); its PPO trainer sends the model
name ``model`` whatever is served (``src/llamafactory/train/ppo/ppo_utils.py``, 0b1f4a34f866), so that name is the
default reward unless one is called so. Which other one: its name, or ``?reward=NAME``.

Each message is a whole conversation as the policy's template wrote it. A conversation that could not be judged has null
among the scores, and its status beside them.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field

from assay.serving.dialects.asking import AskedReward, model_of, named_after
from assay.serving.protocol import MOST_ITEMS, Strict
from assay.serving.replies import Json
from assay.serving.rows import attended, scored
from assay.serving.service import Service
from assay.serving.templated import Untemplate, record_of_text

_ANY = "model"


class EvaluationRequest(Strict):
    """Conversations."""

    model: str
    messages: Annotated[list[str], Field(min_length=1, max_length=MOST_ITEMS)]
    max_length: Annotated[None, Field(description="Nothing is truncated here.")] = None


_EXAMPLES: dict[str, Any] = {
    "conversations": {
        "summary": "Two conversations",
        "value": {"model": "model", "messages": ["User: 2 + 2?\nAssistant: 4", "User: 2 + 2?\nAssistant: 5, I think"]},
    }
}


def llamafactory_routes(service: Service, form: Untemplate | None) -> APIRouter:
    """``/v1/score/evaluation``."""
    router = APIRouter(tags=["LLaMA-Factory"])

    async def evaluation(
        request: Request,
        body: Annotated[EvaluationRequest, Body(openapi_examples=_EXAMPLES)],
        reward: AskedReward = None,
    ) -> Response:
        """One score a conversation."""

        async def work() -> Response:
            anonymous = body.model == _ANY and all(each.name != _ANY for each in service.served())
            rows = [record_of_text(text, form, str(i)) for i, text in enumerate(body.messages)]
            outcome = await scored(service, reward or (None if anonymous else body.model), rows)
            judged = [judgement for (judgement,) in outcome.judgements()]
            return Json(
                {
                    "id": named_after("scoreeval"),
                    "object": "score.evaluation",
                    "model": model_of(outcome.served),
                    "scores": [each.value for each in judged],
                    "status": [str(each.status) for each in judged],
                    "message": [each.message for each in judged],
                }
            )

        return await attended(request, work())

    router.add_api_route("/v1/score/evaluation", evaluation, methods=["POST"])
    return router
