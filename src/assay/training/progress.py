"""A progress bar for training on stderr: loss, accuracy, time left."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator

from assay.training.result import Event, Report


@contextlib.contextmanager
def training_bar() -> Generator[Report]:
    """A report that draws a bar where stderr is a terminal, and otherwise prints each evaluation and every tenth."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("[bold]{task.fields[stage]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("step {task.fields[step]}  {task.fields[figures]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    drawn = console.is_terminal
    with Progress(*columns, console=console, disable=not drawn) as bar:
        task = bar.add_task("", total=1.0, stage="training", step=0, figures="")
        shown = {"training": "", "evaluated": ""}
        printed = -1

        def report(event: Event) -> None:
            nonlocal printed
            if event.figures:
                shown[event.stage] = _figures(event)
            both = "  ".join(part for part in shown.values() if part)
            bar.update(task, completed=event.progress, stage=event.stage, step=event.step, figures=both)
            tenth = math.floor(event.progress * 10)
            if not drawn and event.figures and (event.stage == "evaluated" or tenth > printed):
                printed = max(printed, tenth)
                console.print(f"{event.progress:4.0%}  step {event.step}  {_figures(event)}", highlight=False)

        yield report


def _figures(event: Event) -> str:
    names = [name for name in ("loss", "accuracy", "first", "absolute_error") if name in event.figures]
    prefix = "held out: " if event.stage == "evaluated" else ""
    return prefix + " ".join(f"{name} {event.figures[name]:.3f}" for name in names)
