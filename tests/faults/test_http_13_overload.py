"""Fault 13: more than it can do. The queue is bounded by tokens, what does not fit is told at once when to come back,
and what was accepted is finished."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field

import httpx
from over_http import ask, served

from assay.models.endpoints.patience import Patience
from assay.records import Record
from assay.rewards.base import scores_of
from assay.serving.client import RemoteReward, connect
from assay.serving.queue import QueueLimits
from assay.spec import Spec


@dataclass
class Gated:
    """Counts characters, when it is let."""

    gate: threading.Event = field(default_factory=threading.Event)
    seconds: float = 0.0
    spec: Spec = field(default_factory=Spec)
    seen: list[str] = field(default_factory=list[str])

    def fingerprint(self) -> str:
        return "gated"

    def __call__(self, records):
        assert self.gate.wait(30)
        time.sleep(self.seconds)
        texts = [response.text for record in records for response in record.responses]
        self.seen += texts
        return scores_of(records, [float(len(text)) for text in texts])


LIMITS = QueueLimits(tokens=2_000, batch_tokens=200)


def test_what_does_not_fit_is_refused_at_once_and_what_was_accepted_is_answered():
    reward = Gated()

    async def flood(url):
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:

            async def one(i):
                started = time.monotonic()
                content = {"records": [{"prompt": "p" * 300, "responses": ["r" * (i + 1)]}]}
                reply = await client.post(f"{url}/v1/scores", json=content)
                return i, reply, time.monotonic() - started

            tasks = [asyncio.create_task(one(i)) for i in range(80)]
            ends = time.monotonic() + 20
            while sum(task.done() for task in tasks) < 20 and time.monotonic() < ends:
                await asyncio.sleep(0.01)
            depth = (await client.get(f"{url}/metrics")).text
            live = await client.get(f"{url}/health")
            reward.gate.set()
            return [await task for task in tasks], depth, live

    with served(limits=LIMITS, gated=reward) as url:
        found, depth, live = asyncio.run(flood(url))
        answered = [(i, reply) for i, reply, _ in found if reply.status_code == 200]
        refused = [(reply, took) for _, reply, took in found if reply.status_code == 429]
        assert len(answered) + len(refused) == 80
        assert len(answered) >= 5
        assert len(refused) >= 20
        assert all(int(reply.headers["Retry-After"]) >= 1 for reply, _ in refused)
        assert all(reply.json()["error"]["code"] == "overloaded" for reply, _ in refused)
        assert sorted(took for _, took in refused)[len(refused) // 2] < 2.0, "while the reward stands still"
        assert [reply.json()["rows"][0]["value"] for i, reply in answered] == [i + 1 for i, _ in answered]
        told = [line for line in depth.splitlines() if "queue_tokens" in line and not line.startswith("#")]
        waiting = [float(line.split()[-1]) for line in told]
        assert max(waiting) <= LIMITS.tokens
        assert live.status_code == 200
        assert ask(url, {"prompt": "a", "responses": ["after"]}).json()["rows"][0]["value"] == 5


def test_a_request_that_could_never_fit_is_told_so():
    reward = Gated()
    reward.gate.set()
    with served(limits=LIMITS, gated=reward) as url:
        reply = ask(url, {"prompt": "long " * 10_000, "responses": ["a"]})
        assert reply.status_code == 413
        assert "Retry-After" not in reply.headers


def test_a_line_that_could_never_fit_is_a_row_of_its_stream():
    reward = Gated()
    reward.gate.set()
    lines = [{"prompt": "p", "responses": ["one"]}, {"prompt": "long " * 10_000, "responses": ["two"]}]
    lines.append({"prompt": "p", "responses": ["three"]})
    with served(limits=LIMITS, gated=reward) as url:
        body = "\n".join(map(json.dumps, lines)).encode()
        told = httpx.post(f"{url}/v1/scores/stream", content=body, timeout=60).text.splitlines()
    assert [json.loads(line).get("value") for line in told[:3]] == [3.0, None, 5.0]
    assert json.loads(told[1])["status"] == "invalid"


def test_patient_clients_get_everything_through_an_overloaded_server():
    reward = Gated(seconds=0.02)
    reward.gate.set()
    records = [Record.of(f"{i} " + "p" * 200, ["r" * (1 + i % 7)], id=f"r{i}") for i in range(60)]
    with served(limits=QueueLimits(tokens=600, batch_tokens=150), gated=reward) as url:
        connect(url)
        refused = []

        @dataclass(frozen=True)
        class Counting:
            def send(self, request):
                from assay.serving.client import _shared

                reply = _shared().send(request)
                refused.append(reply.code == 429)
                return reply

        patience = Patience(attempts=200, first=0.02, longest=2.0, lost=200)
        remote = RemoteReward(url, batch=1, at_once=24, patience=patience, transport=Counting())
        scores = remote(records)
        assert scores.values.tolist() == [1 + i % 7 for i in range(60)]
        assert any(refused)
