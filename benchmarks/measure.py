"""How every speed figure here is taken: variants interleaved in one process, CPU seconds of one thread, ratios."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

Work = Callable[[], Any]


@dataclass(frozen=True)
class Spread:
    """A median with the lowest and highest of the repeats."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of the table: how many times faster than the baseline, how exact, how much memory.

    ``limit`` is the ratio of arithmetic (matrix products and attention, padding counted for the baseline);
    ``difference`` the largest difference of a score (deviation near 1), or the relative error of a gradient;
    ``memory`` the peak above rest in units of the baseline's.
    """

    benchmark: str
    cell: str
    baseline: str
    ratio: Spread | None = None
    goal: float | None = None
    limit: float | None = None
    difference: float | None = None
    difference_goal: float | None = None
    memory: float | None = None
    memory_goal: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    note: str = ""

    @property
    def good(self) -> bool:
        """Whether every goal that it states holds; a ratio may fall a tenth short, which is the noise of a ratio."""
        fast = self.goal is None or (self.ratio is not None and self.ratio.median >= 0.9 * self.goal)
        exact = self.difference_goal is None or (
            self.difference is not None and self.difference <= self.difference_goal
        )
        small = self.memory_goal is None or (self.memory is not None and self.memory <= 1.1 * self.memory_goal)
        return fast and exact and small

    def as_json(self) -> dict[str, Any]:
        """The row and its verdict."""
        return {**asdict(self), "good": self.good}


def interleaved(variants: Mapping[str, Work], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each variant in each repeat, after one unmeasured round; every repeat starts with another one."""
    names = list(variants)
    for name in names:
        variants[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats):
        shift = repeat % len(names)
        for name in names[shift:] + names[:shift]:
            gc.collect()
            start = time.process_time()
            variants[name]()
            seconds[name].append(time.process_time() - start)
    return seconds


def ratio(seconds: Mapping[str, list[float]], fast: str, slow: str) -> Spread:
    """How many times faster ``fast`` is than ``slow``, pair by pair of neighbouring runs."""
    each = [b / a for a, b in zip(seconds[fast], seconds[slow], strict=True)]
    return Spread(statistics.median(each), min(each), max(each))


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """The median CPU seconds of each variant."""
    return {name: statistics.median(each) for name, each in seconds.items()}


def peak_bytes(work: Work) -> int:
    """Peak resident memory of a call that ran before, above the memory at rest, from the kernel's high-water mark."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    rest = _status("VmRSS")
    kept = work()
    peak = _status("VmHWM")
    del kept
    return max(peak - rest, 1)


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def environment() -> dict[str, Any]:
    """What the figures depend on."""
    import platform

    import transformers

    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "cpu": names[0] if names else platform.processor(),
        "threads": torch.get_num_threads(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def flops(weights: int, layers: int, width: int, tokens: float, pairs: float) -> float:
    """2 · weights · tokens + 4 · layers · width · attention pairs."""
    return 2.0 * weights * tokens + 4.0 * layers * width * pairs
