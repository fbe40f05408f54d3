"""OpenRLHF's remote reward: ``POST /get_reward``, for ``--reward.remote_url http://host:port/get_reward``.

The request is what ``openrlhf/utils/agent.py`` of OpenRLHF/OpenRLHF (3c3be6234e0c) sends, the answer what
``openrlhf/cli/serve_rm.py`` gives. Which reward: ``?reward=NAME`` in the address.

``query`` is the whole conversation as the policy's template wrote it. Where the server was told that template, it is
read back into turns; else the prompt is what ``prompts`` says and the response what follows it in the query. A query
that does not begin with its prompt is not guessed at. ``labels`` become the column ``label`` of the record.

``rewards`` has null for a response that could not be judged, and is null when none could: of a request of one sample,
which is what the trainer sends, it then takes the sample for one without a reward, as after an error. ``scores`` lie in
0 to 1, for dynamic filtering: by the reward's range where it declares both ends, else by the logistic sigmoid.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field, model_validator

from assay.records.placeholders import around_prompt
from assay.rewards.columns import Judgement
from assay.scores import Status
from assay.serving.dialects.asking import AskedReward, as_list, model_of, number
from assay.serving.protocol import MOST_ITEMS, Strict
from assay.serving.replies import Json
from assay.serving.rows import Read, Unread, attended, scored
from assay.serving.service import Service
from assay.serving.templated import Untemplate, record_of_pair, record_of_text
from assay.spec import Spec


class RewardRequest(Strict):
    """Conversations, and the prompts that they begin with."""

    query: Annotated[
        str | Annotated[list[str], Field(max_length=MOST_ITEMS)],
        Field(description="Prompt and response, as the policy's template wrote them."),
    ]
    prompts: Annotated[list[str] | None, Field(description="The beginning of each query.")] = None
    labels: Annotated[list[Any] | None, Field(description="The column label of each record.")] = None

    @model_validator(mode="after")
    def equal_lengths(self) -> RewardRequest:
        """As many prompts and labels as queries, where there are any."""
        for name, column in (("prompts", self.prompts), ("labels", self.labels)):
            if column is not None and len(column) != len(as_list(self.query)):
                raise ValueError(f"{len(column)} {name} for {len(as_list(self.query))} queries")
        return self


_EXAMPLES: dict[str, Any] = {
    "sample": {
        "summary": "What the trainer sends: one sample",
        "value": {"query": ["User: 2 + 2?\nAssistant: 4"], "prompts": ["User: 2 + 2?\nAssistant:"], "labels": ["4"]},
    },
    "query": {"summary": "Older trainers", "value": {"query": ["User: 2 + 2?\nAssistant: 4", "Hello"]}},
}


def openrlhf_routes(service: Service, form: Untemplate | None) -> APIRouter:
    """``/get_reward``."""
    router = APIRouter(tags=["OpenRLHF"])

    async def get_reward(
        request: Request,
        body: Annotated[RewardRequest, Body(openapi_examples=_EXAMPLES)],
        reward: AskedReward = None,
    ) -> Response:
        """Rewards, scores in 0 to 1, and further columns to be logged, of equal length."""

        async def work() -> Response:
            rows = [_row(body, place, form) for place in range(len(as_list(body.query)))]
            outcome = await scored(service, reward, rows)
            judged = [judgement for (judgement,) in outcome.judgements()]
            rewards = [each.value for each in judged]
            none = bool(rewards) and all(value is None for value in rewards)
            spec = outcome.served.spec
            return Json(
                {
                    "rewards": None if none else rewards,
                    "scores": None if none else [_unit(value, spec) for value in rewards],
                    "extra_logs": {} if none else _logs(judged),
                    "status": [str(each.status) for each in judged],
                    "message": [each.message for each in judged],
                    "model": model_of(outcome.served),
                }
            )

        return await attended(request, work())

    router.add_api_route("/get_reward", get_reward, methods=["POST"])
    return router


def _row(body: RewardRequest, place: int, form: Untemplate | None) -> Read:
    query = as_list(body.query)[place]
    context = {} if body.labels is None or body.labels[place] is None else {"label": body.labels[place]}
    if body.prompts is None:
        return record_of_text(query, form, str(place), context)
    prompt = body.prompts[place]
    around = around_prompt(query, prompt)
    if around is not None and not around[0]:
        return record_of_pair(prompt, around[1], form, str(place), context)
    if form is not None and form.conversation(query):
        return record_of_text(query, form, str(place), context)
    return Unread(str(place), Status.INVALID, "the query does not begin with its prompt; send it without prompts")


def _unit(value: float | None, spec: Spec) -> float | None:
    if value is None or spec.low is None or spec.high is None or spec.low == spec.high:
        return number(value, activation=True)
    raw = -value if spec.better == "lower" else value
    share = min(1.0, max(0.0, (raw - spec.low) / (spec.high - spec.low)))
    return 1.0 - share if spec.better == "lower" else share


def _logs(judged: list[Judgement]) -> dict[str, list[float]]:
    """Columns in which every row has a number: attributes, and whether the reward abstained."""
    logs = {"abstained": [float(each.value is None) for each in judged]}
    for name in judged[0].attributes if judged else ():
        column = [each.attributes.get(name, float("nan")) for each in judged]
        if all(value == value for value in column):
            logs[name] = column
    return logs
