"""Curves of a run through the trackers that accelerate knows: TensorBoard, Weights & Biases and others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from assay.training.result import Event, Report

Tracker: TypeAlias = Any
"""A `GeneralTracker` of accelerate, not started: ``start``, ``store_init_configuration``, ``log``, ``finish``."""


class TrackerError(ValueError):
    """A tracker that there is not, or that is not installed; the message says how to install it."""


def trackers(names: Sequence[str], place: Path, run: str) -> list[Tracker]:
    """Trackers by the name that accelerate has for them, not started; what they write by themselves goes to ``place``.

    Weights & Biases writes there and sends nothing (its offline mode) unless WANDB_API_KEY or WANDB_MODE is set.

    Raises:
        TrackerError: no such tracker, or its package is not installed.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    known = cast("Mapping[str, Callable[..., Tracker]]", LOGGER_TYPE_TO_CLASS)
    available = {str(name.value) for name in cast("Sequence[Any]", get_available_trackers())}
    found: list[Tracker] = []
    for name in dict.fromkeys(names):
        if name not in known:
            raise TrackerError(f"no tracker is called {name!r}; there are {', '.join(known)}")
        if name not in available:
            extra = " (or the extra: assay[track])" if name == "tensorboard" else ""
            raise TrackerError(f"{name} is not installed: pip install {name}{extra}")
        made = known[name]
        if name == "wandb":
            found.append(made(run, dir=str(place), mode=_mode()))
        elif getattr(made, "requires_logging_directory", False):
            found.append(made("curves", str(place)))
        else:
            found.append(made(run))
    return found


@contextlib.contextmanager
def tracked(chosen: Sequence[Tracker], place: Path, told: Mapping[str, Any]) -> Generator[Report]:
    """A report that logs the figures of every event under ``training/`` or ``evaluated/`` at its step; of a stage of
    several under ``stage-1/training/`` and so on. ``told`` are the settings of the run, as text and numbers.

    Trackers start at the first event and finish at the end, also after an error.
    """
    started: list[Tracker] = []

    def report(event: Event) -> None:
        if not event.figures:
            return
        if not started and chosen:
            place.mkdir(parents=True, exist_ok=True)
            for tracker in chosen:
                tracker.start()
                started.append(tracker)
                if tracker.name != "tensorboard":  # which shows settings as metrics of a run of their own
                    tracker.store_init_configuration(dict(told))
                else:
                    tracker.log({name: str(value) for name, value in told.items()}, step=0)
        where = "/".join(part for part in (event.part, event.stage) if part)
        figures = {f"{where}/{name}": value for name, value in event.figures.items() if name != "step"}
        for tracker in started:
            tracker.log(figures, step=event.step)

    try:
        yield report
    finally:
        for tracker in started:
            tracker.finish()


def together(*reports: Report) -> Report:
    """Each event to every report."""

    def report(event: Event) -> None:
        for each in reports:
            each(event)

    return report


def _mode() -> str:
    told = os.environ.get("WANDB_MODE")
    return told or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
