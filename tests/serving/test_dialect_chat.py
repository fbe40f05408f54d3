"""Best of n through the real `openai` package, over an upstream that plays the part of a model."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from asked import Told, told
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from assay.models.endpoints import Endpoint, Patience
from assay.serving.app import create_app
from assay.serving.dialects.chat import Upstream
from assay.serving.loopback import on_loopback
from assay.serving.policy import MediaPolicy
from assay.serving.protocol import RED_PIXEL
from assay.serving.service import Service

ASK = [{"role": "user", "content": "What is 2 + 2?"}]


class Model:
    """Answers in turn what it was given, and keeps what it was asked."""

    def __init__(self):
        self.says = ["four"]
        self.code = 200
        self.asked = []
        self.lock = threading.Lock()
        self.app = FastAPI()
        self.app.add_api_route("/v1/chat/completions", self.answer, methods=["POST"])

    def set(self, *says, code=200):
        with self.lock:
            self.says, self.code, self.asked = list(says), code, []

    async def answer(self, request: Request):
        body = await request.json()
        with self.lock:
            text = self.says[len(self.asked) % len(self.says)]
            self.asked.append(body)
        if self.code != 200:
            return JSONResponse({"error": {"message": "out of order"}}, self.code)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


@pytest.fixture(scope="module")
def model():
    return Model()


@pytest.fixture(scope="module")
def address(model):
    with on_loopback(model.app) as upstream:
        patience = Patience(attempts=1, first=0.01)
        endpoint = Endpoint(f"{upstream}/v1", "writer", patience=patience, at_once=1)
        service = Service([told("told"), told("terse", better="lower")])
        app = create_app(
            service, policy=MediaPolicy(), tokens=["secret-token"], upstream=Upstream(endpoint, budget=3, most=6)
        )
        with on_loopback(app) as served:
            yield served


@pytest.fixture
def ai(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="secret-token", max_retries=0, timeout=30) as client:
        yield client


def test_the_best_of_a_budget_is_the_answer(ai, model):
    model.set("4", "it is four", "four", "5")
    done = ai.chat.completions.create(model="writer", messages=ASK, extra_body={"budget": 4})
    assert done.choices[0].message.content == "it is four"
    assert done.choices[0].finish_reason == "stop"
    assert len(done.choices) == 1
    assert len(model.asked) == 4
    assert done.usage.prompt_tokens == 28
    assert done.usage.completion_tokens == 12
    extra = done.model_extra["assay"]
    assert extra["reward"] == "told"
    assert [each["content"] for each in extra["candidates"]] == ["4", "it is four", "four", "5"]
    best = max(each["value"] for each in extra["candidates"])
    assert done.choices[0].model_extra["score"] == best


def test_n_choices_come_best_first(ai, model):
    model.set("4", "it is four", "four", "5")
    done = ai.chat.completions.create(model="told", messages=ASK, n=2, extra_body={"budget": 4})
    assert [choice.message.content for choice in done.choices] == ["it is four", "four"]
    assert [choice.index for choice in done.choices] == [0, 1]


def test_the_model_or_the_reward_field_names_who_picks(ai, model):
    for asked in ({"model": "terse"}, {"model": "writer", "extra_body": {"reward": "terse"}}):
        model.set("it is four", "4", "four")
        assert ai.chat.completions.create(messages=ASK, **asked).choices[0].message.content == "4"
    with pytest.raises(openai.NotFoundError):
        ai.chat.completions.create(model="nobody", messages=ASK)


def test_sampling_goes_upstream_with_a_seed_for_each_candidate(ai, model):
    model.set("4")
    ai.chat.completions.create(model="writer", messages=ASK, temperature=0.3, max_tokens=11, stop=["."], seed=5)
    assert {body["temperature"] for body in model.asked} == {0.3}
    assert {body["max_tokens"] for body in model.asked} == {11}
    assert model.asked[0]["stop"] == ["."]
    assert {body["model"] for body in model.asked} == {"writer"}
    assert len({body["seed"] for body in model.asked}) == 3
    first = {body["seed"] for body in model.asked}
    for seed, same in ((5, True), (None, False)):
        model.set("4")
        ai.chat.completions.create(model="writer", messages=ASK, seed=seed)
        assert ({body["seed"] for body in model.asked} == first) is same


def test_a_picture_goes_upstream_by_its_bytes_and_is_seen_by_the_reward(ai, model):
    model.set("red")
    content = [{"type": "image_url", "image_url": {"url": RED_PIXEL}}, {"type": "text", "text": "?"}]
    done = ai.chat.completions.create(model="writer", messages=[{"role": "user", "content": content}], n=1)
    assert model.asked[0]["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert done.choices[0].model_extra["score"] == 100 + 1 + 10 + 3


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"stream": True}, "streams are not supported"),
        ({"extra_body": {"budget": 7}}, "at most 6"),
        ({"n": 3, "extra_body": {"budget": 2}}, "n (3)"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"extra_body": {"base_url": "http://169.254.169.254/"}}, "base_url"),
    ],
)
def test_what_cannot_be_honoured_is_a_400(ai, model, more, said):
    model.set("4")
    with pytest.raises(openai.BadRequestError, match=said.replace("(", r"\(").replace(")", r"\)")):
        ai.chat.completions.create(**{"model": "writer", "messages": ASK, **more})
    assert not model.asked


def test_an_address_in_a_message_is_not_fetched_nor_sent_on(ai, model):
    model.set("4")
    content = [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}}]
    with pytest.raises(openai.PermissionDeniedError, match="nothing is fetched here"):
        ai.chat.completions.create(model="writer", messages=[{"role": "user", "content": content}])
    assert not model.asked


def test_candidates_that_cannot_be_judged_are_not_chosen(ai, model):
    model.set("abstain, and at length", "4", "abstain")
    done = ai.chat.completions.create(model="writer", messages=ASK, n=3)
    assert [choice.message.content for choice in done.choices] == ["4"]
    model.set("abstain")
    with pytest.raises(openai.InternalServerError, match="no candidate could be judged"):
        ai.chat.completions.create(model="writer", messages=ASK)


def test_an_upstream_that_fails_is_a_502(ai, model):
    model.set("4", code=500)
    with pytest.raises(openai.InternalServerError) as failed:
        ai.chat.completions.create(model="writer", messages=ASK)
    assert failed.value.status_code == 502


def test_models_are_listed(ai):
    assert [(each.id, each.owned_by) for each in ai.models.list()] == [
        ("writer", "upstream"),
        ("told", "assay"),
        ("terse", "assay"),
    ]


def test_a_wrong_key_is_refused(address):
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="other-token", max_retries=0)
    with client, pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_without_an_upstream_there_is_none_to_ask():
    from asked import client

    with client() as http:
        answer = http.post("/v1/chat/completions", json={"model": "told", "messages": ASK})
        assert answer.status_code == 503
        assert json.loads(answer.text)["error"]["code"] == "no_upstream"
    assert Told().spec.better == "higher"


def test_an_upstream_that_takes_its_time_holds_up_nobody_else(address, model):
    """More requests than the loop has threads wait for the model; a picture is read meanwhile."""
    go_on = threading.Event()

    class Slow(Model):
        async def answer(self, request: Request):
            while not go_on.is_set():
                await asyncio.sleep(0.02)
            return await super().answer(request)

    slow = Slow()
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": RED_PIXEL}}]}]
    with on_loopback(slow.app) as upstream:
        endpoint = Endpoint(f"{upstream}/v1", "writer", patience=Patience(attempts=1, first=0.01), at_once=1)
        app = create_app(Service([told("told")]), policy=MediaPolicy(), upstream=Upstream(endpoint, budget=1))
        with on_loopback(app) as served, ThreadPoolExecutor(36) as pool:
            while httpx.get(f"{served}/ready").status_code != 200:
                time.sleep(0.01)
            body = {"model": "writer", "messages": ASK}
            asked = [pool.submit(httpx.post, f"{served}/v1/chat/completions", json=body, timeout=60) for _ in range(36)]
            time.sleep(1.5)
            try:
                rows = {"records": [{"prompt": picture, "responses": ["a"]}]}
                answer = httpx.post(f"{served}/v1/scores", json=rows, timeout=10)
                assert answer.json()["counts"] == {"ok": 1}
            finally:
                go_on.set()
            assert {each.result().status_code for each in asked} == {200}
