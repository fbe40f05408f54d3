"""A body that is too large, too slow, or made of too many pieces is refused while it arrives; so are slow headers."""

import asyncio
import contextlib
import json
import socket
import time
from http.client import HTTPResponse
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

from assay.serving.admission import MediaPolicy
from assay.serving.body import MOST_VALUES, BodyLimit
from assay.serving.loopback import on_loopback


async def sized(scope, receive, send):
    """Answers with the length of the body; a stream answers a line for each piece."""
    if scope["type"] == "lifespan":
        return
    request = Request(scope, receive)
    if request.url.path == "/v1/scores/stream":

        async def told():
            async for piece in request.stream():
                yield b"%d\n" % len(piece)

        await StreamingResponse(told())(scope, receive, send)
        return
    try:
        length = len(await request.body())
    except Exception as error:  # noqa: BLE001 - as FastAPI does with whatever reading a body raises
        await PlainTextResponse(f"there was an error: {error}", 400)(scope, receive, send)
        return
    await PlainTextResponse(str(length))(scope, receive, send)


@pytest.fixture
def server():
    policy = MediaPolicy(max_body=100_000, seconds=0.6)
    with on_loopback(BodyLimit(sized, policy), seconds=0.6) as url:
        yield int(url.rpartition(":")[2])


def opened(port):
    found = socket.create_connection(("127.0.0.1", port), 10)
    found.settimeout(10)
    return found


def answer(found):
    got = b""
    while piece := found.recv(65_536):
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


def head(path="/", **headers):
    named = {"Host": "x", "Connection": "close", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return f"POST {path} HTTP/1.1\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in named.items()).encode() + b"\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_a_body_within_its_limits_arrives(server):
    with opened(server) as found:
        found.sendall(head(Content_Length=100_000) + b"x" * 100_000)
        assert answer(found) == (200, b"100000")


def test_a_body_that_says_that_it_is_too_large_is_refused_before_a_byte_of_it(server):
    with opened(server) as found:
        found.sendall(head(Content_Length=100_001))
        code, body = answer(found)
    assert code == 413
    assert json.loads(body)["error"]["code"] == "too_large"


def test_a_body_that_does_not_say_is_refused_while_it_comes(server):
    with opened(server) as found:
        found.sendall(head(Transfer_Encoding="chunked"))
        sent = 0
        found.settimeout(0.05)
        got = b""
        while not got and sent < 10_000_000:
            found.sendall(chunk(b"x" * 10_000))
            sent += 10_000
            try:
                got = found.recv(4096)
            except TimeoutError:
                continue
    assert got.startswith(b"HTTP/1.1 413")
    assert sent < 1_000_000


def test_a_body_of_very_many_values_is_refused(server, monkeypatch):
    monkeypatch.setattr("assay.serving.body.MOST_VALUES", 1_000)
    with opened(server) as found:
        body = b"[" + b"{}," * 2_000 + b"1]"
        found.sendall(head(Content_Length=len(body)) + body)
        assert answer(found)[0] == 413
    assert MOST_VALUES >= 1_000_000


def test_bodies_of_all_clients_together_are_bounded(server, monkeypatch):
    monkeypatch.setattr("assay.serving.body.MOST_BODIES", 2)
    clients = [opened(server) for _ in range(4)]
    for client in clients:
        client.sendall(head(Content_Length=80_000) + b"x" * 79_999)
        time.sleep(0.05)
    refused = [client for client in clients[2:] if client.recv(12) == b"HTTP/1.1 429"]
    assert len(refused) == 2
    for client in clients[:2]:
        client.sendall(b"x")
        assert answer(client) == (200, b"80000")
    for client in clients:
        client.close()
    time.sleep(1.1)
    with opened(server) as found:
        found.sendall(head(Content_Length=100_000) + b"x" * 100_000)
        assert answer(found) == (200, b"100000")


def test_unfinished_lines_of_all_streams_together_are_bounded(server, monkeypatch):
    monkeypatch.setattr("assay.serving.body.MOST_BODIES", 2)
    clients = [opened(server) for _ in range(4)]
    for client in clients:
        client.sendall(head("/v1/scores/stream", Transfer_Encoding="chunked") + chunk(b"x" * 80_000))
        time.sleep(0.05)
    with opened(server) as found:
        found.sendall(head(Content_Length=50_000) + b"x" * 50_000)
        assert answer(found)[0] == 429, "bodies and lines count together"
    for client in clients:
        client.close()
    time.sleep(0.3)
    with opened(server) as found:
        found.sendall(head(Content_Length=100_000) + b"x" * 100_000)
        assert answer(found) == (200, b"100000")


def test_the_lines_of_a_stream_that_ended_are_not_counted(server, monkeypatch):
    monkeypatch.setattr("assay.serving.body.MOST_BODIES", 2)
    streams = [opened(server) for _ in range(4)]
    for stream in streams:
        line = b"x" * 70_000 + b"\n"
        stream.sendall(head("/v1/scores/stream", Transfer_Encoding="chunked") + chunk(line) + chunk(line))
        stream.sendall(b"0\r\n\r\n")
        reply = HTTPResponse(stream)
        reply.begin()
        assert sum(map(int, reply.read().split())) == 2 * len(line)
        stream.close()


def test_a_line_that_is_longer_than_a_body_counts_as_one(server, monkeypatch):
    """What is over the limit of a line is not held."""
    monkeypatch.setattr("assay.serving.body.MOST_BODIES", 2)
    with opened(server) as long, opened(server) as found:
        long.sendall(head("/v1/scores/stream", Transfer_Encoding="chunked") + chunk(b"x" * 900_000))
        time.sleep(0.2)
        found.sendall(head(Content_Length=100_000) + b"x" * 100_000)
        assert answer(found) == (200, b"100000")


def test_a_slow_body_is_given_up(server):
    with opened(server) as found:
        started = time.monotonic()
        found.sendall(head(Content_Length=1_000) + b"x")
        code, body = answer(found)
        assert code == 408
        assert json.loads(body)["error"]["code"] == "too_slow"
        assert 0.5 < time.monotonic() - started < 8


def test_a_stream_may_be_longer_than_a_body_but_not_rest(server):
    with opened(server) as found:
        found.sendall(head("/v1/scores/stream", Transfer_Encoding="chunked"))
        for _ in range(30):
            found.sendall(chunk(b"x" * 10_000))
            time.sleep(0.03)
        found.sendall(b"0\r\n\r\n")
        reply = HTTPResponse(found)
        reply.begin()
        assert reply.status == 200
        assert sum(map(int, reply.read().split())) == 300_000
    with opened(server) as found:
        found.sendall(head("/v1/scores/stream", Transfer_Encoding="chunked") + chunk(b"x"))
        started = time.monotonic()
        answer(found)
        assert time.monotonic() - started < 8


@pytest.mark.parametrize("sent", [b"", b"POST / HT", b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_slow_headers_are_given_up(server, sent):
    with opened(server) as found:
        found.sendall(sent)
        started = time.monotonic()
        code, _ = answer(found)
        assert code == (408 if sent else 0)
        assert 0.4 < time.monotonic() - started < 8


def test_headers_that_drip_are_given_up_too(server):
    with opened(server) as found:
        started = time.monotonic()
        found.sendall(b"GET / HTTP/1.1\r\n")
        found.settimeout(0.1)
        got = b""
        while not got and time.monotonic() - started < 8:
            try:
                found.sendall(b"X-A: b\r\n")
                got = found.recv(4096)
            except TimeoutError:
                continue
        assert got.startswith(b"HTTP/1.1 408")


def test_endless_headers_are_refused(server):
    with opened(server) as found:
        found.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 70_000)
        assert answer(found)[0] in (400, 431)


def test_a_body_that_goes_on_after_its_answer_is_not_read_for_ever():
    async def at_once(scope, receive, send):
        if scope["type"] != "lifespan":
            await PlainTextResponse("no", 401)(scope, receive, send)

    sent = 0
    with on_loopback(at_once) as url, opened(int(url.rpartition(":")[2])) as found:
        found.sendall(head(Transfer_Encoding="chunked", Connection="keep-alive"))
        assert found.recv(4096).startswith(b"HTTP/1.1 401")
        with contextlib.suppress(OSError):
            while sent < 100_000_000:
                found.sendall(chunk(b"x" * 100_000))
                sent += 100_000
    assert sent < 20_000_000


LARGE = 60_000_000


@pytest.fixture
def generous():
    """A server that answers much."""

    async def much(scope, receive, send):
        if scope["type"] != "lifespan":
            await PlainTextResponse(b"x" * LARGE)(scope, receive, send)

    with on_loopback(much, seconds=0.5) as url, opened(int(url.rpartition(":")[2])) as found:
        found.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        yield found


def test_an_answer_that_nobody_reads_is_not_kept(generous):
    time.sleep(2.5)
    got = 0
    with contextlib.suppress(ConnectionError):
        while piece := generous.recv(1_000_000):
            got += len(piece)
    assert 0 < got < LARGE


def test_an_answer_that_is_read_slowly_arrives_whole(generous):
    got, ends = 0, time.monotonic() + 2.5
    while piece := generous.recv(4_000_000):
        got += len(piece)
        if time.monotonic() < ends:
            time.sleep(0.2)
        if got > LARGE:
            break
    assert got > LARGE


def test_a_second_request_on_a_connection_is_timed_anew(server):
    with opened(server) as found:
        request = head(Connection="keep-alive", Content_Length=1) + b"x"
        for _ in range(3):
            found.sendall(request)
            assert found.recv(4096).startswith(b"HTTP/1.1 200")
            time.sleep(0.3)
        found.sendall(b"POST")
        assert answer(found)[0] == 408


def test_a_stream_whose_client_goes_away_stops():
    asked = []

    async def endless(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await Request(scope, receive).body()

        async def told():
            while True:
                asked.append(len(asked))
                yield b"x" * 1_000
                await asyncio.sleep(0.01)

        await StreamingResponse(told())(scope, receive, send)

    with on_loopback(BodyLimit(endless, MediaPolicy())) as url:
        with opened(int(url.rpartition(":")[2])) as found:
            found.sendall(head("/v1/scores/stream", Content_Length=1) + b"x")
            found.recv(1_000)
        time.sleep(0.3)
        told = len(asked)
        time.sleep(0.3)
        assert len(asked) <= told + 1


def memory():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_stays_bounded_under_giant_uploads(server):
    before = memory()
    for _ in range(5):
        with opened(server) as found:
            found.sendall(head(Transfer_Encoding="chunked"))
            try:
                for _ in range(200):
                    found.sendall(chunk(b"x" * 500_000))
            except OSError:
                continue
    assert memory() - before < 50


def test_what_is_no_request_passes():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(BodyLimit(app, MediaPolicy())({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
