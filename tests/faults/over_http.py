"""A real server (uvicorn, the whole application) on loopback for the tests of faults, and what a client asks of it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx

from assay.serving.admission import MediaPolicy
from assay.serving.app import create_app
from assay.serving.loopback import on_loopback
from assay.serving.queue import QueueLimits
from assay.serving.service import Entry, Service


@contextmanager
def served(
    policy: MediaPolicy | None = None, limits: QueueLimits | None = None, seconds: float = 30.0, **rewards: Any
) -> Generator[str]:
    """The address of a server of these rewards, once it is ready."""
    entries = [Entry(name, lambda kept=reward: kept) for name, reward in rewards.items()]
    app = create_app(Service(entries, limits=limits or QueueLimits()), policy=policy)
    with on_loopback(app, seconds=seconds) as url:
        ends = time.monotonic() + 60
        while httpx.get(f"{url}/ready").status_code != 200:
            assert time.monotonic() < ends
            time.sleep(0.02)
        yield url


def ask(url: str, *records: Any, reward: str | None = None, **more: Any) -> httpx.Response:
    """A request of the native protocol."""
    content = {"records": list(records), **more} | ({"reward": reward} if reward else {})
    return post(httpx, f"{url}/v1/scores", content)


def post(client: Any, address: str, content: Any) -> httpx.Response:
    """A request in JSON that escapes what is not ASCII, lone surrogates among it."""
    headers = {"Content-Type": "application/json"}
    return client.post(address, content=json.dumps(content).encode(), headers=headers, timeout=60)


def rows(reply: httpx.Response) -> list[dict[str, Any]]:
    """The rows of an answer that is one."""
    assert reply.status_code == 200, reply.text[:500]
    return reply.json()["rows"]


def shown(data: bytes) -> dict[str, Any]:
    """A part of a message: a picture by its bytes."""
    return {"type": "image", "data": base64.b64encode(data).decode()}


def about(picture: Any, *responses: str, **more: Any) -> dict[str, Any]:
    """A record that asks about a picture."""
    return {"prompt": [{"role": "user", "content": [picture, "what is it?"]}], "responses": list(responses), **more}
