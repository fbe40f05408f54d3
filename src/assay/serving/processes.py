"""A server as processes: one that serves until it is told to stop, or several on one socket that are kept running."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, TypeAlias, final

_LOG = logging.getLogger("assay.serving")
_STOPS = (signal.SIGTERM, signal.SIGINT)
_TICK = 0.2
_PAUSE = 1.0
_BACKLOG = 2_048

Report: TypeAlias = "Callable[[object, BaseException | None], None]"
"""Called once: with what is served when all is loaded, or with what loading raised."""

Make: TypeAlias = "Callable[[Report], Any]"
"""Makes the ASGI application; picklable, where several processes make one each."""


@final
class ServeError(Exception):
    """The server could not start."""


@final
@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for a client's headers, and for accepted work when the server stops."""

    headers: float = 30.0
    drain: float = 30.0


def listener(host: str, port: int) -> socket.socket:
    """A socket that is bound and listens; port 0 takes a free one.

    Raises:
        ServeError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        raise ServeError(f"{host}:{port} cannot be listened at: {error.strerror or error}") from error
    bound.set_inheritable(True)
    return bound


def serve_here(make: Make, bound: socket.socket, patience: Patience, ready: Callable[[object], None]) -> None:
    """Serve in this process until SIGTERM or SIGINT; what was accepted is finished first.

    ``ready`` is called with what is served once all is loaded.

    Raises:
        whatever loading raised.
    """
    import uvicorn

    from assay.serving.body import timely

    failed: list[BaseException] = []

    def report(served: object, error: BaseException | None) -> None:
        if error is None:
            ready(served)
        else:
            failed.append(error)
            server.should_exit = True

    config = uvicorn.Config(
        make(report),
        lifespan="on",
        ws="none",
        http=timely(patience.headers),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(patience.drain)),
    )
    server = uvicorn.Server(config)
    for number in _STOPS:  # uvicorn raises the signal again when it has stopped; then it is this that hears it
        signal.signal(number, _heard)
    server.run(sockets=[bound])
    if failed:
        raise failed[0]


def _heard(number: int, frame: FrameType | None) -> None:
    del number, frame


def serve_many(
    make: Make, bound: socket.socket, workers: int, patience: Patience, ready: Callable[[object], None]
) -> None:
    """Serve in ``workers`` processes that share the socket, each with all rewards of its own, until SIGTERM or SIGINT.

    A process that dies after it was ready is started again, as often as it takes; the others serve meanwhile. ``ready``
    is called when all are.

    Raises:
        ServeError: a process ended before it was ready for the first time.
    """
    stop = threading.Event()
    for number in _STOPS:
        signal.signal(number, lambda *_: stop.set())
    crew = [_Worker(make, bound, patience) for _ in range(workers)]
    told = False
    try:
        while not stop.is_set():
            wait([worker.process.sentinel for worker in crew] + [worker.pipe for worker in crew], _TICK)
            for place, worker in enumerate(crew):
                worker.read()
                alive = worker.process.is_alive()
                why = worker.failed or ("" if alive else f"it ended with code {worker.process.exitcode}")
                if why and not worker.served:
                    raise ServeError(f"a process could not start: {why}")
                if not alive:
                    _LOG.error("a process stopped: %s; it is started again", why)
                    time.sleep(_PAUSE)
                    crew[place] = _Worker(make, bound, patience, again=True)
            if not told and all(worker.served for worker in crew):
                told = True
                ready(crew[0].served)
    finally:
        for worker in crew:
            worker.process.terminate()
        ends = time.monotonic() + 2 * patience.drain + 10
        for worker in crew:
            worker.process.join(max(0.1, ends - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


@final
class _Worker:
    """A process that serves, and what it said of itself."""

    def __init__(self, make: Make, bound: socket.socket, patience: Patience, again: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe(duplex=False)
        self.served: object = again or None
        self.failed = ""
        self.process = context.Process(target=_work, args=(make, bound, patience, other), daemon=False)
        self.process.start()
        other.close()

    def read(self) -> None:
        """What came from it."""
        try:
            while self.pipe.poll():
                kind, said = self.pipe.recv()
                if kind == "failed":
                    self.failed = said
                else:
                    self.served = said or True
        except (EOFError, OSError):
            return


def _work(make: Make, bound: socket.socket, patience: Patience, pipe: Connection) -> None:
    """What a process does: serve, and end when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def orphaned() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=orphaned, daemon=True).start()
    try:
        serve_here(make, bound, patience, lambda served: pipe.send(("served", served)))
    except Exception as error:  # noqa: BLE001 - whatever loading raised is for the parent to say
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
        raise SystemExit(2) from None
