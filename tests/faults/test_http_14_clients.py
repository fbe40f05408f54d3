"""Fault 14: slow clients are given up, and the work of clients that went away is not done."""

from __future__ import annotations

import json
import socket
import threading
import time

import httpx
from over_http import ask, served
from test_http_13_overload import Gated

from assay.serving.admission import MediaPolicy
from assay.serving.queue import QueueLimits


def connected(url):
    found = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10)
    found.settimeout(20)
    return found


def request(prompt, *responses):
    body = json.dumps({"records": [{"prompt": prompt, "responses": responses}]}).encode()
    return b"POST /v1/scores HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


def test_work_of_clients_that_went_away_is_not_done():
    reward = Gated()
    with served(limits=QueueLimits(batch_tokens=60), gated=reward) as url:
        stays = connected(url)
        stays.sendall(request("p" * 90, "first"))
        gone = [connected(url) for _ in range(12)]
        for number, client in enumerate(gone):
            client.sendall(request(f"{number} " + "q" * 90, f"gone {number}"))
        waits = connected(url)
        waits.sendall(request("w" * 90, "stays"))
        time.sleep(0.5)
        for client in gone:
            client.close()
        time.sleep(0.5)
        reward.gate.set()
        assert stays.recv(100).startswith(b"HTTP/1.1 200")
        assert waits.recv(100).startswith(b"HTTP/1.1 200")
        ask(url, {"prompt": "the end", "responses": ["last"]})
        assert {"first", "stays", "last"} <= set(reward.seen)
        done = [text for text in reward.seen if text.startswith("gone")]
        assert len(done) <= 1, "at most what the first batch held"


def test_a_deadline_of_the_client_is_kept_without_computing():
    reward = Gated()
    with served(limits=QueueLimits(batch_tokens=60), gated=reward) as url:
        first = threading.Thread(target=ask, args=(url, {"prompt": "p" * 90, "responses": ["first"]}))
        first.start()
        time.sleep(0.3)
        started = time.monotonic()
        reply = ask(url, {"prompt": "q" * 90, "responses": ["late"]}, seconds=0.3)
        assert time.monotonic() - started < 3
        assert reply.json()["rows"][0]["status"] == "timeout"
        reward.gate.set()
        first.join()
        assert "late" not in reward.seen


def test_slow_clients_are_given_up_and_others_are_served_meanwhile():
    reward = Gated()
    reward.gate.set()
    with served(MediaPolicy(seconds=1.0), seconds=1.0, gated=reward) as url:
        before = len(threading.enumerate())
        slow = []
        for number in range(60):
            client = connected(url)
            head = b"POST /v1/scores HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            client.sendall(head if number % 2 else head + b"\r\n{")
            slow.append(client)
        with httpx.Client() as client:
            for _ in range(20):
                content = {"records": [{"prompt": "p", "responses": ["fast"]}]}
                assert client.post(f"{url}/v1/scores", json=content).status_code == 200
        answers = [client.recv(200) for client in slow]
        assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers)
        for client in slow:
            client.close()
        assert len(threading.enumerate()) <= before + 2
