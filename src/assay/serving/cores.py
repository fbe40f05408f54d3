"""How many threads a reward's arithmetic gets on a CPU, beside the answering."""

from __future__ import annotations

import time
from typing import final

_SECONDS = 0.25
_MUCH, _LITTLE = 0.05, 0.025


@final
class Cores:
    """All cores for arithmetic; one fewer from when answering takes a twentieth of one until it takes half of that.

    Few long requests are then computed as fast as the machine can, and under many short ones, or many to be refused,
    answers do not wait for arithmetic. What answering takes is the CPU time of the calling thread, the event loop's,
    looked at over a quarter of a second or more.

    Args:
        most: cores for arithmetic.

    Raises:
        ValueError: no core.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"arithmetic needs a core, got {most}")
        self._most = most
        self._busy = False
        self._since = time.monotonic(), time.thread_time()

    def threads(self) -> int:
        """Threads of the arithmetic that begins now."""
        now, used = time.monotonic(), time.thread_time()
        seconds = now - self._since[0]
        if seconds >= _SECONDS:
            self._busy = used - self._since[1] > (_LITTLE if self._busy else _MUCH) * seconds
            self._since = now, used
        return max(1, self._most - 1) if self._busy else self._most
