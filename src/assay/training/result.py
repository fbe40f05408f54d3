"""What a run reports on the way, where it stands, and what it gives in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias, final

from assay.rewards.learned import LearnedReward
from assay.scores import Status


class TrainingError(RuntimeError):
    """Training that cannot go on: nothing to learn from, losses that are not finite, or a resume that does not fit."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a run reports: progress 0..1, figures of the last steps or of an evaluation, and what it is doing.

    ``part`` names the part of a longer training that the run is (``stage-1``); empty where it is all.
    """

    progress: float
    step: int
    figures: Mapping[str, float]
    stage: str = "training"
    part: str = ""


Report: TypeAlias = Callable[[Event], None]


def quiet(event: Event) -> None:
    """Reports nothing."""


@final
@dataclass(slots=True)
class State:
    """Where a run is. Everything in it is in a checkpoint."""

    step: int = 0
    epoch: int = 0
    cursor: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    evaluations: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    best: float | None = None
    best_step: int | None = None
    since_best: int = 0
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    in_a_row: int = 0
    excluded: int = 0
    silent: int = 0
    learned: int = 0
    done: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A trained reward and how it came to be.

    ``history`` has the figures of every ``log_every`` steps, ``evaluations`` those on the held-out records. ``status``
    counts the responses of the training records by status, each once; ``excluded`` items (pairs, lists, ratings) that
    an abstention took from the first epoch, ``silent`` its records without feedback of the objective's shape.
    ``skipped`` counts steps that changed nothing, by reason. ``stopped`` is ``budget`` or ``patience``.
    """

    reward: LearnedReward
    history: tuple[Mapping[str, float], ...]
    evaluations: tuple[Mapping[str, float], ...]
    best_step: int | None
    steps: int
    epochs: float
    seconds: float
    stopped: str
    skipped: Mapping[str, int]
    status: Mapping[Status, int]
    evaluation_status: Mapping[Status, int]
    excluded: int
    silent: int
    resumed_from: Path | None
    ignored_checkpoints: tuple[tuple[Path, str], ...]

    @property
    def figures(self) -> Mapping[str, float]:
        """The evaluation of the weights that were kept; the last training figures without one."""
        best = [each for each in self.evaluations if each["step"] == self.best_step]
        return best[-1] if best else (self.history[-1] if self.history else {})

    @property
    def abstained(self) -> int:
        """Training responses that took no part."""
        return sum(count for status, count in self.status.items() if status is not Status.OK)

    def summary(self) -> dict[str, Any]:
        """What belongs on the card of the reward: how long, on what, and the figures of the weights that were kept."""
        figures = {name: value for name, value in self.figures.items() if name not in ("step", "seconds")}
        return {
            "steps": self.steps,
            "epochs": self.epochs,
            "stopped": self.stopped,
            "responses": {str(status): count for status, count in self.status.items()},
            "items_left_out": self.excluded,
            "skipped_steps": sum(self.skipped.values()),
            "measured": f"held out, step {self.best_step}" if self.evaluations else "in training",
            **figures,
        }

    def facts(self) -> dict[str, Any]:
        """Everything but the reward, as JSON values."""
        shown = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "reward"}
        shown["status"] = {str(status): count for status, count in self.status.items()}
        shown["evaluation_status"] = {str(status): count for status, count in self.evaluation_status.items()}
        shown["resumed_from"] = str(self.resumed_from) if self.resumed_from else None
        shown["ignored_checkpoints"] = [[str(path), reason] for path, reason in self.ignored_checkpoints]
        return shown | {"figures": dict(self.figures)}
