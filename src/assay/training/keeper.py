"""The checkpoints and the best weights of a run: where they lie, when they are due, whether they are of this run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from assay.training import checkpoint
from assay.training.result import State, TrainingError
from assay.training.settings import Settings
from assay.training.step import Processes


@final
class Keeper:
    """Keeps the trained weights ``named`` and all else of a run under ``place``; without a place the best in memory.

    ``key`` is what must be the same for a checkpoint to be gone on from. ``ignored`` are checkpoints passed over with
    the reason, ``resumed`` the one that was gone on from.
    """

    def __init__(
        self,
        place: Path | None,
        key: Mapping[str, str],
        named: Mapping[str, nn.Parameter],
        processes: Processes,
        settings: Settings,
    ) -> None:
        self.place, self.key, self.named, self.processes, self.settings = place, key, named, processes, settings
        self.ignored: tuple[tuple[Path, str], ...] = ()
        self.resumed: Path | None = None
        self._saved_at = time.monotonic()
        self._best: dict[str, Tensor] = {}

    def begin(self, resume: bool) -> dict[str, Any] | None:
        """The newest whole checkpoint, its weights put back; None where there is none, or all are removed (``resume``
        False).

        Raises:
            TrainingError: it is of another run.
        """
        if self.place is None:
            return None
        if not resume and self.processes.is_main:
            for part in ("checkpoints", "best"):
                shutil.rmtree(self.place / part, ignore_errors=True)
        self.processes.wait()
        found = checkpoint.newest(self.place / "checkpoints")
        self.ignored = found.ignored
        if found.path is None:
            return None
        tree = checkpoint.read(found.path)
        self._refuse_another_run(found.path, tree["key"])
        self._fill(tree["weights"])
        self.resumed = found.path
        if self.processes.is_main:
            for later in (self.place / "best").glob("step-*"):
                if int(later.name.removeprefix("step-")) > tree["state"]["step"]:
                    shutil.rmtree(later)
        return tree

    def is_due(self, state: State) -> bool:
        """Whether a checkpoint is to be written now: by steps, by the clock, or because the run ends."""
        if self.place is None:
            return False
        every = self.settings.checkpoint_every
        late = time.monotonic() - self._saved_at > 60.0 * self.settings.checkpoint_minutes
        by_time = every is None and any(self.processes.gather(late))
        return bool(state.done) or by_time or (every is not None and state.step % every == 0)

    def save(self, state: State, tree: Mapping[str, Any]) -> None:
        """Write a checkpoint of the weights, the state and whatever else is in ``tree``."""
        if self.place is not None and self.processes.is_main:
            whole = {"key": self.key, "weights": self._weights(), "state": asdict(state), **tree}
            checkpoint.write(self.place / "checkpoints", state.step, whole)
        self.processes.wait()
        self._saved_at = time.monotonic()

    def keep_best(self, step: int) -> None:
        """Take the weights as they are for the best so far."""
        if self.place is None:
            self._best = {name: weight.clone() for name, weight in self._weights().items()}
        elif self.processes.is_main:
            checkpoint.write(self.place / "best", step, {"weights": self._weights()}, keep=1)

    def restore_best(self) -> None:
        """Put the best weights back."""
        found = checkpoint.newest(self.place / "best").path if self.place is not None else None
        self._fill(checkpoint.read(found)["weights"] if found is not None else self._best)

    def _refuse_another_run(self, path: Path, other: Mapping[str, str]) -> None:
        names = [name for name in {**self.key, **other} if self.key.get(name) != other.get(name)]
        if names:
            shown = "; ".join(f"{name}: {other.get(name)} then, {self.key.get(name)} now" for name in names)
            raise TrainingError(
                f"{path} is the checkpoint of another run ({shown}): give the same settings and data to go on, "
                "another output directory, or --no-resume to start over"
            )

    def _weights(self) -> dict[str, Tensor]:
        return {name: weight.detach() for name, weight in self.named.items()}

    @torch.no_grad()
    def _fill(self, weights: Mapping[str, Tensor]) -> None:
        for name, weight in self.named.items():
            weight.copy_(weights[name])
