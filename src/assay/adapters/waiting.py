"""Waiting for what an async function gives, where the caller is not async."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def waited(said: Any) -> Any:
    """The result of an awaitable, in a thread of its own where this one runs an event loop; anything else as it is."""
    if not inspect.isawaitable(said):
        return said
    work = _coroutine(said)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def _coroutine(said: Awaitable[Any]) -> Any:
    return await said
