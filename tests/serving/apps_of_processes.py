"""An application for processes of their own, that starts as long as a file says so; it loads nothing heavy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Made:
    """Makes the application: it answers the number of its process, and does not start while ``broken`` is there."""

    broken: Path

    def __call__(self, report: Any) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "lifespan":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
                await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
                return
            await receive()
            report({"pid": os.getpid()}, FileNotFoundError("no weights") if self.broken.exists() else None)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

        return app
