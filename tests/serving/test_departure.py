"""A client that goes away takes its work out of the queue, whatever dialect it spoke."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from assay.rewards.base import scores_of
from assay.serving.app import create_app
from assay.serving.loopback import on_loopback
from assay.serving.policy import MediaPolicy
from assay.serving.queue import QueueLimits
from assay.serving.service import Entry, Service

REQUESTS = {
    "/v1/scores": lambda text: {"records": [{"prompt": text, "responses": ["a"]}]},
    "/score": lambda text: {"text_1": text, "text_2": "a"},
    "/rerank": lambda text: {"query": text, "documents": ["a"]},
    "/get_reward": lambda text: {"query": [text]},
    "/slime": lambda text: {"prompt": text, "response": "a"},
    "/v1/score/evaluation": lambda text: {"model": "model", "messages": [text]},
}


SEEN = []
FREE = threading.Event()


@dataclass(frozen=True)
class Slow:
    """Takes its time, and keeps what it was asked."""

    def __call__(self, records):
        SEEN.extend(record.prompt[-1].text + record.responses[0].text for record in records)
        FREE.wait(20)
        return scores_of(records, [1.0] * sum(len(record.responses) for record in records))


def wait_for(condition):
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize("path", REQUESTS)
def test_who_left_is_not_computed_for(path):
    SEEN.clear()
    FREE.clear()
    service = Service([Entry("slow", Slow)], limits=QueueLimits(batch_tokens=1))
    app = create_app(service, policy=MediaPolicy())

    def ask(number, seconds):
        return httpx.post(address + path, json=REQUESTS[path](f"n{number} "), timeout=seconds)

    def leave(number):
        with pytest.raises(httpx.ReadTimeout):
            ask(number, 0.5)

    with on_loopback(app) as address, ThreadPoolExecutor(8) as pool:
        wait_for(lambda: httpx.get(address + "/ready").status_code == 200)
        first = pool.submit(ask, 0, 30)
        wait_for(lambda: SEEN)
        list(pool.map(leave, range(1, 6)))
        time.sleep(0.2)
        FREE.set()
        assert first.result().status_code == 200
        assert ask(9, 30).status_code == 200
    assert [text.split()[0] for text in SEEN] == ["n0", "n9"]
