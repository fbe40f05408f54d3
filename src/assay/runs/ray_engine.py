"""Scoring on a Ray cluster: the same batches, rows and journal as on one machine, computed by a pool of workers."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, cast, final

from assay.records import Record
from assay.rewards.base import Reward
from assay.rewards.batches import batched, score_each
from assay.runs.results import rows_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MOST_BLOCKS = 10_000


class EngineMissingError(ImportError):
    """Ray is not installed; the message names the extra."""


class ClusterError(RuntimeError):
    """The cluster cannot do what is asked of it; the message says what it lacks."""


@final
@dataclass(frozen=True)
class RayEngine:
    """An `assay.runs.score.Engine` over Ray Data.

    Each worker makes the reward once by ``load`` and reads the records by ``read``, both of which must be found there
    too: weights and data travel by path, not through the cluster, and relative paths begin in the folder where this was
    called, where a node has it. Each of up to ``workers`` (None: one a CPU, or one
    a GPU where ``gpus`` is not 0) is given ``cpus`` and ``gpus`` of a node. Batches come back in order and are the
    same as on one machine, and with them the rows, to the last bit on like hardware. The batch of a worker that died is
    done again by another.

    A cluster is joined where ``RAY_ADDRESS`` names one; otherwise one is started on this machine.

    Raises:
        EngineMissingError: when it is used and Ray is not installed.
        ClusterError: when it is used and this machine, alone, has not the GPUs of one worker.
    """

    load: Callable[[], Reward]
    read: Callable[[], Iterable[Record]]
    workers: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def __call__(self, first: int, batch: int) -> Iterator[tuple[list[dict[str, Any]], int]]:
        ray = started()
        refuse_missing(ray, self.gpus)
        ends = _ends(self.read(), first, batch)
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        blocks = min(len(ends) - 1, _MOST_BLOCKS)
        scored = ray.data.range(len(ends) - 1, override_num_blocks=blocks).map_batches(
            _Worker,
            fn_constructor_args=(self.load, self.read, ends, os.getcwd()),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=self._most(ray, len(ends) - 1)),
            num_cpus=self.cpus,
            num_gpus=self.gpus,
        )
        for row in scored.iter_rows():
            yield json.loads(row["rows"]), int(row["records"])

    def _most(self, ray: Any, batches: int) -> int:
        if self.workers is not None:
            return max(1, min(self.workers, batches))
        held = cast("dict[str, float]", ray.cluster_resources())
        fit = held.get("GPU", 0.0) / self.gpus if self.gpus else held.get("CPU", 1.0) / self.cpus
        return max(1, min(int(fit), batches))


def started() -> Any:
    """Ray with a cluster: the one that is there, or a local one without dashboard.

    Raises:
        EngineMissingError: it is not installed.
    """
    try:
        import ray
        import ray.data as _  # noqa: F401 - ray.data is an attribute only once it was imported
    except ImportError as error:
        raise EngineMissingError("--engine ray needs Ray: pip install 'assay[ray]'") from error
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    if not ray.is_initialized():
        cast("Any", ray).init(include_dashboard=False, log_to_driver=False, logging_level="warning")
    return ray


def refuse_missing(ray: Any, gpus: float) -> None:
    """Refuse what would wait forever: GPUs that a cluster of this machine alone, which does not grow, has not.

    Raises:
        ClusterError: it has fewer.
    """
    held = cast("dict[str, float]", ray.cluster_resources()).get("GPU", 0.0)
    if held < gpus and "RAY_ADDRESS" not in os.environ:
        raise ClusterError(
            f"{gpus:g} GPUs are asked for and {held:g} are here; ask for fewer, or name a cluster by RAY_ADDRESS"
        )


def enter(folder: str) -> None:
    """Make a folder that of this process, where this node has it: a cluster that was there before starts its processes
    elsewhere."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        os.chdir(folder)


def _ends(records: Iterable[Record], first: int, batch: int) -> npt.NDArray[np.int64]:
    """Where batches begin and end, in records: ``[batches + 1]``."""
    import numpy as np

    sizes = (len(chunk) for chunk in batched(islice(records, first, None), batch))
    return np.cumsum([first, *sizes])


@final
class _Worker:
    """A process of the pool: a reward, and a place in the data that moves on."""

    def __init__(
        self,
        load: Callable[[], Reward],
        read: Callable[[], Iterable[Record]],
        ends: npt.NDArray[np.int64],
        folder: str,
    ) -> None:
        enter(folder)
        self._reward, self._read, self._ends = load(), read, ends
        self._records, self._at = iter(read()), 0

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        made = [self._scored(int(number)) for number in batch["id"]]
        return {"rows": [rows for rows, _ in made], "records": [count for _, count in made]}

    def _scored(self, number: int) -> tuple[bytes, int]:
        first, last = int(self._ends[number]), int(self._ends[number + 1])
        if first < self._at:
            self._records, self._at = iter(self._read()), 0
        chunk = list(islice(self._records, first - self._at, last - self._at))
        self._at = last
        return json.dumps(rows_of(score_each(self._reward, chunk), chunk), allow_nan=False).encode(), len(chunk)
