"""A page's application on a port: the address is printed, and a signal ends it with what is in hand answered."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from contextlib import closing, suppress

from fastapi import FastAPI

from assay.view.site import LOOPBACK


class PortError(OSError):
    """The port cannot be had; the message names it and the remedy."""


def hosts_of(host: str) -> tuple[str, ...]:
    """The names that requests may give this machine when it listens on ``host``: those of the loopback, or any."""
    return LOOPBACK if host in ("127.0.0.1", "localhost") else ("*",)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ``port`` 0 is a free one.

    Raises:
        PortError: it is taken or not allowed.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortError(f"{host}:{port} cannot be had ({error.strerror}); choose another --port, or 0") from error
    return listener


def serve(app: FastAPI, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; ``announce`` is told the address first.

    Raises:
        PortError: as `listen`.
    """
    import uvicorn

    with closing(listen(host, port)) as listener:
        announce(f"http://{host}:{listener.getsockname()[1]}/")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, server_header=False)
        server = uvicorn.Server(config)
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            with suppress(KeyboardInterrupt):
                server.run(sockets=[listener])
        finally:
            signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> None:
    """SIGTERM ends the page as Ctrl-C does, so that what is written at the end is written."""
    raise KeyboardInterrupt
