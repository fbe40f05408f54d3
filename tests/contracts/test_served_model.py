"""A served reward model is taken only where its values are those of the model here.

The engine is a stand-in for vLLM, which does not run on this CPU: FastAPI around the real tiny model, in vLLM's shapes,
that takes token ids and computes the forward itself.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn
from fastapi import FastAPI, HTTPException

import assay
from assay import testing
from assay.adapters.served_model import ParityError, served_model
from assay.media import Image
from assay.models.endpoints.patience import Patience
from assay.records import Rating, Record
from assay.rewards.base import fingerprint
from assay.rewards.learned import LearnedReward
from assay.runs.score import score_file
from assay.scores import Status

RECORDS = [
    Record.of("why is the sky blue?", ["because", "light scatters on the air", ""], id="a"),
    Record.of("count to three", ["one two three", "1 2 3 4 5 6"], id="b"),
]
PICTURED = 17.0
ONCE = {"patience": Patience(attempts=1)}
Serve = Callable[..., str]


def engine(reward: LearnedReward, answer: Callable[[float], list[float]], path: str) -> FastAPI:
    """One path of vLLM's (or SGLang's), over the weights of ``reward``; ``answer`` is what it makes of a raw value."""
    app = FastAPI()
    name = {"/classify": "probs", "/pooling": "data", "/v1/embeddings": "embedding"}[path]

    @app.post(path)
    def classify(body: dict[str, Any]) -> dict[str, Any]:
        if body["model"] != "tiny":
            raise HTTPException(404, "no such model")
        if "messages" in body:
            return {"data": [{"index": 0, name: [PICTURED]}]}
        values: list[float] = []
        for ids in body["input"]:
            with torch.no_grad():
                states = reward.backbone.module(torch.tensor([ids])).last_hidden_state[0, -1:]
                values.append(head(states))
        data = [{"index": i, "object": "classify", name: answer(value)} for i, value in enumerate(values)]
        return {"id": "x", "object": "list", "model": "tiny", "data": list(reversed(data))}

    def head(states: torch.Tensor) -> float:
        from assay.models.outputs import states_of

        return float(reward.head(states_of([states], None, prompt_first=False)).values[0])

    return app


@pytest.fixture(scope="module")
def reward() -> LearnedReward:
    return testing.learned_reward()


@pytest.fixture
def serve(reward: LearnedReward) -> Iterator[Serve]:
    servers: list[uvicorn.Server] = []

    def start(answer: Callable[[float], list[float]], path: str, judge: LearnedReward = reward) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(engine(judge, answer, path), port=port, log_level="error"))
        threading.Thread(target=server.run, daemon=True).start()
        while not server.started:
            time.sleep(0.01)
        servers.append(server)
        return f"http://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.should_exit = True


@pytest.mark.parametrize("path", ["/classify", "/pooling", "/v1/embeddings"])
def test_the_same_model_gives_its_scores(path: str, serve: Serve, reward: LearnedReward) -> None:
    served = served_model(serve(lambda value: [value], path), "tiny", reward, **ONCE)
    found, here = assay.score(served, RECORDS), assay.score(reward, RECORDS)
    torch.testing.assert_close(found.values, here.values, rtol=0, atol=1e-5)
    assert found.ids == here.ids
    other = served_model(served.ways[0].url, "tiny", testing.learned_reward(seed=1))
    assert fingerprint(served) != fingerprint(other)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda value: [float(torch.sigmoid(torch.tensor(value)))], "sigmoid"),
        (lambda value: [value + 0.5], "another model"),
        (lambda value: [0.6, 0.8], "an embedding"),
        (lambda value: [value, 1.0, 3.0], "3 numbers"),
    ],
)
def test_another_thing_is_refused(
    answer: Callable[[float], list[float]], why: str, serve: Serve, reward: LearnedReward
) -> None:
    served = served_model(serve(answer, "/classify"), "tiny", reward, **ONCE)
    with pytest.raises(ParityError, match=why):
        served(RECORDS)


def test_a_run_ends_where_another_model_is_served(serve: Serve, reward: LearnedReward, tmp_path: Path) -> None:
    """Each row is not tried alone, where one of many would agree by chance and let the rest in."""
    right = pytest.approx(assay.score(reward, RECORDS).values[4].item(), abs=1e-4)
    wrong_but_one = serve(lambda value: [value if value == right else value + 0.5], "/classify")
    served = served_model(wrong_but_one, "tiny", reward, **ONCE)
    with pytest.raises(ParityError, match="another model"):
        score_file(served, RECORDS, tmp_path / "scores.jsonl")
    assert not (tmp_path / "scores.jsonl").exists()
    with pytest.raises(ParityError, match="another model"):
        served([Record(RECORDS[1].id, RECORDS[1].prompt, RECORDS[1].responses[1:])])


def test_as_many_rows_are_compared_however_few_come_at_once(serve: Serve, reward: LearnedReward) -> None:
    right = pytest.approx(assay.score(reward, RECORDS).values[0].item(), abs=1e-4)
    right_once = serve(lambda value: [value if value == right else value + 0.5], "/classify")
    served = served_model(right_once, "tiny", reward, **ONCE)
    first, second = (Record("x", RECORDS[0].prompt, (response,)) for response in RECORDS[0].responses[:2])
    assert served([first]).values.item() == right
    with pytest.raises(ParityError, match="another model"):
        served([second])


def test_pictures_are_compared_when_they_come(serve: Serve, picture: Callable[..., Image]) -> None:
    seeing = testing.learned_reward(testing.tiny_llava())
    served = served_model(serve(lambda value: [value], "/classify", seeing), "tiny", seeing, **ONCE)
    assert served(RECORDS).values.tolist() == pytest.approx(assay.score(seeing, RECORDS).values.tolist(), abs=1e-5)
    shown = Record.of([picture(40, 40), "what is this?"], ["a shape"], id="c", feedback=[Rating(0, 1.0)])
    with pytest.raises(ParityError, match=r"17\.0000 there"):
        served([shown])


def test_rows_that_the_model_here_refuses_are_not_sent(serve: Serve, reward: LearnedReward) -> None:
    short = reward.replace(max_length=30)
    served = served_model(serve(lambda value: [value], "/classify"), "tiny", short, **ONCE)
    long = Record.of("why?", ["so " * 200, "so"], id="long")
    found = served([long])
    assert found.status == (Status.TOO_LONG, Status.OK)


def test_an_engine_that_is_gone_after_the_check_is_a_status(serve: Serve, reward: LearnedReward) -> None:
    served = served_model(serve(lambda value: [value], "/classify"), "tiny", reward, **ONCE)
    assert set(served(RECORDS).status) == {Status.OK}
    dead = served_model("http://127.0.0.1:9", "tiny", reward, **ONCE)
    dead._chosen.append(dead.ways[0])
    assert set(dead(RECORDS).status) == {Status.UNAVAILABLE}


def test_nobody_there_is_said(reward: LearnedReward) -> None:
    with pytest.raises(ParityError, match="no reward model answers"):
        served_model("http://127.0.0.1:9", "tiny", reward, **ONCE)(RECORDS)


def test_pictures_go_as_messages(picture: Callable[..., Image]) -> None:
    seeing = testing.learned_reward(testing.tiny_llava())
    served = served_model("http://127.0.0.1:9", "tiny", seeing, **ONCE)
    shown = Record.of([picture(40, 40), "what is this?"], ["a shape"], id="c")
    with pytest.raises(ParityError, match="classify"):
        served([shown])
