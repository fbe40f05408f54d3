"""A server on this machine for as long as a block runs: for tests, examples and measurements."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from assay.serving.body import timely


@contextmanager
def on_loopback(app: Callable[..., Any], *, seconds: float = 30.0, start_within: float = 60.0) -> Generator[str]:
    """The address of an ASGI application (`assay.serving.app.create_app`), served from a thread of this process at a
    free port of the loopback device; on leaving it is stopped, after it has finished what it had accepted.

    ``seconds`` bound how long a client may take for its headers.

    Raises:
        RuntimeError: it did not start.
    """
    import uvicorn

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", ws="none", http=timely(seconds), timeout_graceful_shutdown=30
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="loopback", daemon=True)
    thread.start()
    ends = time.monotonic() + start_within
    while not server.started:
        if not thread.is_alive() or time.monotonic() > ends:
            server.should_exit = True
            raise RuntimeError("the server did not start; its log says why")
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
