"""Fault 15: giant bodies, and bodies of very many parts, are refused while they arrive; others are served meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from over_http import about, ask, rows, served

from assay.rewards import rules
from assay.serving.admission import MediaPolicy

TINY = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


@pytest.fixture(scope="module")
def url():
    policy = MediaPolicy(max_body=4_000_000, max_bytes=1_000_000, max_parts=50, seconds=20)
    with served(policy, words=rules.length(per_words=1)) as found:
        yield found


def memory():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_giant_uploads_cost_no_memory_and_hold_up_nobody(url):
    before, slowest, codes, sent = memory(), [0.0], [], []
    done = threading.Event()

    def upload(announced):
        """Sends one piece of memory over and over, so that what grows is the server's."""
        how = b"Content-Length: 400000000" if announced else b"Transfer-Encoding: chunked"
        piece = b"x" * 100_000 if announced else b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 20) as client:
            client.sendall(b"POST /v1/scores HTTP/1.1\r\nHost: x\r\n" + how + b"\r\n\r\n")
            with contextlib.suppress(OSError):  # the server closes the connection on what is still being sent
                for _ in range(4_000):
                    client.sendall(piece)
                    sent.append(len(piece))
            with contextlib.suppress(ConnectionError):
                codes.append(client.recv(100)[:12])

    def watch():
        with httpx.Client() as client:
            while not done.is_set():
                started = time.monotonic()
                assert client.get(f"{url}/health").status_code == 200
                slowest[0] = max(slowest[0], time.monotonic() - started)
                time.sleep(0.01)

    watching = threading.Thread(target=watch)
    watching.start()
    uploads = [threading.Thread(target=upload, args=(number % 2 == 0,)) for number in range(4)]
    for each in uploads:
        each.start()
    for each in uploads:
        each.join()
    done.set()
    watching.join()
    assert set(codes) <= {b"HTTP/1.1 413"}
    assert sum(sent) < 1_600_000_000, "it went on to the end"
    assert memory() - before < 60
    assert slowest[0] < 1.5


def test_very_many_parts_are_refused_as_a_row(url):
    picture = {"type": "image", "data": TINY}
    record = {"prompt": [{"role": "user", "content": [picture] * 51}], "responses": ["a"]}
    few = {"prompt": [{"role": "user", "content": [picture] * 3}], "responses": ["a"]}
    first, second = rows(ask(url, few, record))
    assert first["status"] == "ok"
    assert second["status"] == "invalid"
    assert "too_many_parts" in second["message"]


def test_very_many_values_are_refused_before_they_are_objects(url):
    body = b'{"records": [' + b"{}," * 1_200_000 + b"{}]}"
    assert len(body) < 4_000_000
    reply = httpx.post(f"{url}/v1/scores", content=body, timeout=60)
    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "too_large"


MANY = b'["",' + b'"",' * 70_000 + b'""]'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/score", b'{"text_1": "a", "text_2": %s}' % MANY),
        ("/score", b'{"queries": %s, "documents": "a"}' % MANY),
        ("/score", b'{"requests": [' + b"{}," * 70_000 + b"{}]}"),
        ("/classify", b'{"input": %s}' % MANY),
        ("/pooling", b'{"input": %s}' % MANY),
        ("/rerank", b'{"query": "a", "documents": %s}' % MANY),
        ("/get_reward", b'{"query": %s}' % MANY),
        ("/v1/score/evaluation", b'{"model": "words", "messages": %s}' % MANY),
    ],
)
def test_very_many_responses_are_refused_before_they_are_records(url, path, body):
    reply = httpx.post(url + path, content=body, headers={"Content-Type": "application/json"}, timeout=60)
    assert reply.status_code == 422
    assert reply.json()["error"]["code"] == "invalid_request"
    assert "at most 65536 items" in reply.text


def test_a_medium_over_its_limit_is_a_row(url):
    large = {"type": "image", "data": "A" * 1_600_000}
    found = rows(ask(url, about(large, "a"), about({"type": "image", "data": TINY}, "a")))
    assert [row["status"] for row in found] == ["unreadable_media", "ok"]
    assert "too_large" in found[0]["message"]


def test_deep_nesting_is_refused(url):
    deep = "[" * 500 + "]" * 500
    body = f'{{"records": [{{"prompt": "a", "responses": ["b"], "context": {{"x": {deep}}}}}]}}'
    reply = httpx.post(f"{url}/v1/scores", content=body)
    assert reply.status_code < 500
    if reply.status_code == 200:
        assert rows(reply)[0]["status"] == "invalid"


def test_a_multipart_form_is_refused(url):
    files = [("file", (f"{i}.png", b"x", "image/png")) for i in range(2_000)]
    assert 400 <= httpx.post(f"{url}/v1/scores", files=files, timeout=30).status_code < 500
