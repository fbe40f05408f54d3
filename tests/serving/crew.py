"""Two processes at one port, run as a program: `crew.py FOLDER`. It prints the port when both are ready.

While there is a file `broken` in the folder, a process that starts cannot load, and adds a line to `failures`. Each
answers with its number.
"""

import os
import sys
from functools import partial
from pathlib import Path

from assay.serving.processes import Patience, listener, serve_many


def make(folder, report):
    """An application that loads as a server does."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            if (folder / "broken").exists():
                with (folder / "failures").open("a") as file:
                    file.write("once\n")
                report(None, MemoryError("no room for the weights"))
            else:
                report("served", None)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b"%d" % os.getpid()
        headers = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    bound = listener("127.0.0.1", 0)
    port = bound.getsockname()[1]
    serve_many(partial(make, Path(sys.argv[1])), bound, 2, Patience(5.0, 5.0), lambda _: print(port, flush=True))
