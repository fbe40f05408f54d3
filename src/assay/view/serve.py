"""A page's application on a port of this machine, until a signal ends it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from fastapi import FastAPI

from assay.serving.processes import Patience, Report, listener, serve_here
from assay.view.site import LOOPBACK

_DRAIN = 5.0


def hosts_of(host: str) -> tuple[str, ...]:
    """The names that requests may give this machine when it listens on ``host``: those of the loopback, or any.

    Versions of starlette read an IPv6 address as the whole, without its brackets, or up to its first colon.
    """
    if host == "::1":
        return (*LOOPBACK, "[::1]", "::1", "[")
    return LOOPBACK if host in LOOPBACK else ("*",)


def serve(app: FastAPI, host: str, port: int, announce: Callable[[object], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; ``announce`` is told the address first. ``port`` 0 is a free one.

    Raises:
        ServeError: the address cannot be had.
    """
    with closing(listener(host, port)) as bound:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{bound.getsockname()[1]}/"

        def make(report: Report) -> FastAPI:
            report(address, None)
            return app

        serve_here(make, bound, Patience(drain=_DRAIN), announce)
