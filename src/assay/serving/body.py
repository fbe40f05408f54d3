"""Requests held to their limits while they arrive: how large, how many pieces, and how slowly."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, cast, final

from starlette.requests import ClientDisconnect

from assay.serving.policy import MediaPolicy, Refused, refused, shown

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

MOST_VALUES = 2_000_000
"""JSON values in one body or line of a stream: each costs some 70 bytes of memory, of as little as 2 bytes of text."""

MOST_BODIES = 16
"""Bodies of the largest size that may be held at once; as many times more of smaller ones."""

MOST_HEADERS = 65_536
_LINGER = 1.0
_LATE = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LONG = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@final
@dataclass(frozen=True, slots=True)
class BodyLimit:
    """ASGI middleware: 415 for a compressed body; 413 as soon as a body is, or says that it will be, larger than
    ``policy.max_body``, or holds more JSON values than `MOST_VALUES`, which are not looked for in the bodies of the
    paths ``blobs``; 408 when it is not there within ``policy.seconds``; 429 when the bodies of all
    requests under way would be more than `MOST_BODIES` of the largest allowed.

    The bodies of the paths ``streams`` may be of any length, as their lines are bounded where they are read, but not
    rest for longer than ``policy.seconds`` while they are waited for. Of them what has come of a line counts as held.
    """

    app: App
    policy: MediaPolicy
    streams: tuple[str, ...] = ("/v1/scores/stream",)
    blobs: tuple[str, ...] = ()
    _held: list[int] = field(default_factory=lambda: [0], init=False, repr=False)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stream = scope["path"] in self.streams
        gate = _Gate(self.policy, receive, send, stream, self._held, values=scope["path"] not in self.blobs)
        if coding := _coding(scope):
            await gate.answer(_compressed(coding))
            return
        if not stream and _announced(scope) > self.policy.max_body:
            await gate.answer(_too_large(self.policy))
            return
        if stream:
            scope = {**scope, "asgi": {**scope.get("asgi", {}), "spec_version": "2.4"}}
        try:
            await self.app(scope, gate.receive, gate.send)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception:
            if gate.error is None or gate.started:
                raise
        finally:
            gate.close()
        if gate.error is not None and not gate.started:
            await gate.answer(gate.error)


@final
class _Gate:
    """Between a server and an app: counts what is received, and lets no answer of the app out once it is too much."""

    def __init__(
        self, policy: MediaPolicy, receive: Receive, send: Send, stream: bool, held: list[int], values: bool
    ) -> None:
        self._policy = policy
        self._receive = receive
        self._send = send
        self._stream = stream
        self._held = held
        self._ends = asyncio.get_running_loop().time() + policy.seconds
        self._bytes = 0
        self._values = 0
        self._counts_values = values
        self._whole = False
        self._departure: asyncio.Task[Message] | None = None
        self.error: Refused | None = None
        self.started = False

    async def receive(self) -> Message:
        """The next message of the server.

        Raises:
            Refused: the body is too large or too slow.
        """
        if self._departure is not None:
            return await asyncio.shield(self._departure)
        if self._whole:
            return await self._receive()
        if self.error is not None:
            raise self.error
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._policy.seconds if self._stream else self._ends
        try:
            async with asyncio.timeout_at(ends):
                message = await self._receive()
        except TimeoutError:
            raise self._failed(_too_slow(self._policy)) from None
        if message["type"] == "http.request":
            self._whole = not message.get("more_body", False)
            self._count(message.get("body", b""))
            if self._whole and self._stream:
                self._departure = asyncio.ensure_future(self._receive())
        return message

    async def send(self, message: Message) -> None:
        """Pass a message of the app on, unless the request was refused before it answered."""
        if self.error is not None and not self.started:
            return
        if self._departure is not None and self._departure.done():
            raise OSError("the client is gone")
        self.started = True
        await self._send(message)

    def close(self) -> None:
        """The request is done: its body is no longer held, its client no longer watched."""
        self._held[0] -= self._bytes
        self._bytes = 0
        if self._departure is not None:
            self._departure.cancel()

    async def answer(self, error: Refused) -> None:
        """Answer in place of the app, and close the connection.

        What the client is still sending is thrown away for a moment: closed at once, the connection would be reset, and
        the answer lost on the way.
        """
        body = json.dumps({"error": {"code": error.code, "message": str(error)}}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        if error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
        await self._send({"type": "http.response.start", "status": error.http, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while not self._whole:
                    message = await self._receive()
                    self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        await self._send({"type": "http.response.body", "body": b""})

    def _count(self, piece: bytes) -> None:
        held = self._bytes + len(piece)
        if self._stream:  # what is over the limit of a line is thrown away where it is read
            held = min(held if b"\n" not in piece else len(piece) - piece.rfind(b"\n") - 1, self._policy.max_body)
        self._held[0] += held - self._bytes
        self._bytes = held
        if self._bytes > self._policy.max_body:
            raise self._failed(_too_large(self._policy))
        if self._held[0] > MOST_BODIES * self._policy.max_body:
            raise self._failed(Refused("too much is being sent at once", code="overloaded", http=429, retry_after=1.0))
        if self._stream or not self._counts_values:
            return
        self._values += values_in(piece)
        if self._values > MOST_VALUES:
            raise self._failed(refused("too_large", f"more than {MOST_VALUES:,} JSON values; send it in parts"))

    def _failed(self, error: Refused) -> Refused:
        self.error = error
        return error


def values_in(text: bytes) -> int:
    """About how many JSON values a text holds, without reading it: at least half of them, but for a single one."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _coding(scope: Message) -> str:
    """What a body is compressed with; empty where it is not."""
    for name, value in cast("list[tuple[bytes, bytes]]", scope["headers"]):
        if name.lower() == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            return value.decode("latin-1").strip()
    return ""


def _compressed(coding: str) -> Refused:
    return Refused(f"a body in the coding {shown(coding)}; send it as it is", code="unsupported_media_type", http=415)


def _announced(scope: Message) -> int:
    for name, value in cast("list[tuple[bytes, bytes]]", scope["headers"]):
        if name.lower() == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _too_large(policy: MediaPolicy) -> Refused:
    return refused("too_large", f"a body of more than {policy.max_body:,} bytes; send it in parts, or as a stream")


def _too_slow(policy: MediaPolicy) -> Refused:
    return Refused(f"the body was not there within {policy.seconds:g} s", code="too_slow", http=408)


Make: TypeAlias = Callable[..., asyncio.Protocol]


def timely(seconds: float, most: int = MOST_HEADERS, protocol: Make | None = None) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, for ``uvicorn.Config(http=...)``, with an end to its patience: a connection whose
    request line and headers are not there within ``seconds`` is answered with 408, or closed where nothing came; one
    that sends more than ``most`` bytes of them is answered with 431; one that takes no byte of a whole answer for
    ``seconds`` is cut off.
    """
    if protocol is None:
        from uvicorn.protocols.http.h11_impl import H11Protocol

        protocol = H11Protocol
    return cast("type[asyncio.Protocol]", partial(_Timely, protocol, seconds, most))


@final
class _Timely(asyncio.Protocol):
    """A protocol around uvicorn's that watches the time between requests, and that of answers nobody reads."""

    def __init__(self, protocol: Make, seconds: float, most: int, **given: Any) -> None:
        self._inner: Any = protocol(**given)
        self._seconds = seconds
        self._most = most
        self._came = 0
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        if self._waiting():
            self._came += len(data)
            if self._timer is None:
                self._start()
        self._inner.data_received(data)
        if not self._waiting():
            self._stop()
        elif self._came > self._most:
            self._close(_LONG)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._unwatch()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        self._unwatch()
        self._inner.resume_writing()

    def _waiting(self) -> bool:
        """Whether no request is under way: its headers are still to come."""
        return self._inner.cycle is None or self._inner.cycle.response_complete

    def _start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expired)

    def _stop(self) -> None:
        self._came = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        if self._waiting():
            self._close(_LATE if self._came else "")

    def _watch(self) -> None:
        if self._transport is not None:
            left = self._transport.get_write_buffer_size()
            self._unread = asyncio.get_running_loop().call_later(self._seconds, self._stalled, left)

    def _unwatch(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _stalled(self, before: int) -> None:
        """Of a stream little waits to be read, and its app waits with it; of a whole answer all does."""
        self._unread = None
        if self._transport is None:
            return
        if self._waiting() and self._transport.get_write_buffer_size() >= before:
            self._transport.abort()
        else:
            self._watch()

    def _close(self, answer: str) -> None:
        self._stop()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer.encode())
            self._transport.close()
