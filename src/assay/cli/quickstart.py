"""`assay quickstart`: build, audit and use a picture reward in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.inputs import show
from assay.cli.options import Device, DryRun, Dtype, Json, Limit, Seed

if TYPE_CHECKING:
    from assay.metrics import Interval
    from assay.quickstart import Quickstart


def quickstart(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where everything is written.")] = Path(
        "assay-quickstart"
    ),
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Minutes of training; else 1,500 steps.", min=0.05)
    ] = None,
    limit: Limit = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a small picture reward on real public pictures, audit it, choose answers with it, and write a report.

    About four minutes on two CPU cores; needs the easy-vqa package (the extra "quickstart"), no GPU and no network.

    Exit code 1 when a gate of the audit fails.

    Example: assay quickstart --minutes 15
    """
    import torch

    from assay.models.placement import placement
    from assay.quickstart import STEPS
    from assay.quickstart import quickstart as run
    from assay.training.progress import training_bar

    if dry_run:
        budget = f"{STEPS} steps" if minutes is None else f"{minutes:g} minutes"
        show({"budget": budget, "output": str(output)}, as_json, [f"would train for {budget} and write {output}"])
        return
    torch.set_num_threads(1)  # its matrices are small: a second thread gains little, and on a busy machine it spins
    with training_bar() as report:
        done = run(
            output, minutes=minutes, limit=limit, where=placement(device, dtype), seed=seed, say=_say, report=report
        )
    facts = {**done.card.to_dict(), "picked_right": done.picked.value, "seconds": done.seconds}
    show({**facts, "report": str(done.report)}, as_json, _lines(done))
    raise typer.Exit(int(not done.card.passed))


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _lines(done: Quickstart) -> list[str]:
    card = done.card
    null, swapped = card.best_null, card.effect("swapped picture")
    lines = [f"right answer over wrong ones of its type: {_words(card.accuracy)}"]
    if null is not None and null.accuracy is not None:
        lines.append(f"the best reward that sees no picture ({null.name}): {_words(null.accuracy)}")
    if swapped is not None:
        lines.append(f"with another question's picture: {_words(swapped.accuracy)}")
    lines.append(f"right answer picked among all 13: {_words(done.picked)}")
    verdict = "passed every gate" if card.passed else "failed a gate"
    spent = sum(done.seconds.values())
    return [
        *lines,
        f"the audit {verdict}; all in {spent:.0f} s",
        f"open {done.report}; the reward is {done.directory / 'reward'}",
        f"next: assay audit {done.directory / 'reward'} easy-vqa:test --limit 500",
    ]


def _words(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
