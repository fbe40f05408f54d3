"""`assay reproduce`: run what is claimed of a published method, beside its baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.inputs import UsageError, counted, number, open_records, report_bad_rows, show, split_prompts
from assay.cli.options import Device, DryRun, Dtype, Json, Limit, Seed

if TYPE_CHECKING:
    from assay.claims.base import Check
    from assay.claims.compare import Comparison
    from assay.claims.papers import Paper
    from assay.claims.run import Reproduced
    from assay.metrics import Interval
    from assay.training.settings import Settings


def reproduce(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A paper, by name or number.", show_default=False)],
    sabotage: Annotated[
        bool, typer.Option("--sabotage", help="Replace the one decisive term: the claim must then fail.")
    ] = False,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="Seeds, as 100,101,102; else the paper's own.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Instead, on a real backbone: a directory or hub id.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="With --model: records with preferences.")] = None,
    held: Annotated[
        float, typer.Option("--hold-out", help="With --model: part of the prompts to judge by.", min=0.05, max=0.5)
    ] = 0.2,
    steps: Annotated[int, typer.Option("--steps", help="With --model: optimiser steps of each of the two.", min=1)] = (
        200
    ),
    batch: Annotated[int, typer.Option("--batch", help="With --model: records in a batch.", min=1)] = 16,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", help="With --model: learning rate of both; else the recipe's.")
    ] = None,
    limit: Limit = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run the claim of a published method: the method beside its baseline in a small world, on a CPU, in seconds.

    Printed are both sides with 95 % intervals over the seeds, each thing that must hold with its threshold, and the
    time. With --model and --data the recipe and plain Bradley-Terry are trained on that backbone and those records for
    the same number of steps, and compared on held-out pairs; --limit, --device, --dtype and --seed are for this.

    Exit code 1 when the effect is not there, as it must be with --sabotage.

    Example: assay reproduce summarize_feedback --seeds 100,101,102
    """
    from assay.claims.papers import paper

    found = paper(name)
    if (model is None) != (data is None):
        raise UsageError("--model and --data go together: the backbone and the records to train it on")
    if model is not None and data is not None:
        if sabotage or seeds is not None:
            raise UsageError("--sabotage and --seeds are of the claim; with --model give --seed")
        _on_real_data(
            found, model, data, (held, steps, batch, learning_rate, limit, seed), (device, dtype), dry_run, as_json
        )
        return
    chosen = _seeds(seeds) or found.seeds
    if dry_run:
        found.load_claim()
        line = f"would run {found.claim} on seeds {', '.join(map(str, chosen))}{' with its sabotage' * sabotage}"
        show({"name": found.name, "seeds": list(chosen), "sabotage": sabotage}, as_json, [line])
        return
    from assay.claims.run import reproduce as run

    done = run(found, chosen, sabotage=sabotage)
    show(done.facts(), as_json, _lines(done))
    raise typer.Exit(int(not done.holds))


def _seeds(text: str | None) -> tuple[int, ...]:
    try:
        return () if text is None else tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--seeds {text}: give whole numbers between commas, as 100,101,102") from error


def _on_real_data(
    found: Paper,
    model: str,
    data: Path,
    told: tuple[float, int, int, float | None, int | None, int],
    where: tuple[str, str],
    dry_run: bool,
    as_json: bool,
) -> None:
    from dataclasses import replace

    from assay.claims.compare import compare, training_of
    from assay.models.hf import load_backbone

    held, steps, batch, learning_rate, limit, seed = told
    stages = len(training_of(found).stages)
    rows = open_records(data, limit, keep_going=False)
    records, held_out = split_prompts(list(rows), held, seed)
    report_bad_rows(rows)
    budget = f"{steps // stages * stages} steps in {counted(stages, 'stage')}"
    plan = f"{found.name} beside Bradley-Terry: {budget}, {len(records)} records, {len(held_out)} held out"
    if dry_run:
        facts = {
            "name": found.name,
            "stages": stages,
            "steps": steps,
            "records": len(records),
            "held_out": len(held_out),
        }
        show(facts, as_json, [f"would train {plan}"])
        return
    typer.echo(plan, err=True)

    def change(settings: Settings) -> Settings:
        rate = settings.learning_rate if learning_rate is None else learning_rate
        return replace(settings, batch=batch, seed=seed, learning_rate=rate)

    done = compare(
        found,
        lambda: load_backbone(model, device=where[0], dtype=where[1]),
        records,
        held_out,
        steps=steps,
        change=change,
    )
    show(done.facts(), as_json, _compared(done))
    raise typer.Exit(int(not done.holds))


def _compared(done: Comparison) -> list[str]:
    verdict = "better" if done.holds else "worse" if done.difference.high < 0 else "no difference beyond the interval"
    return [
        f"held-out accuracy on {counted(done.difference.n, 'pair')} of {counted(done.difference.clusters, 'record')}",
        f"  {done.name}: {_share(done.recipe)}",
        f"  Bradley-Terry: {_share(done.bradley_terry)}",
        f"  difference: {_share(done.difference)} ({verdict})",
        *([f"left out: {counted(done.left_out, 'pair')} that one of them could not judge"] if done.left_out else []),
    ]


def _share(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _lines(done: Reproduced) -> list[str]:
    figures = {name: _over_seeds(values) for name, values in done.outcome.figures.items()}
    checks = {f"{check.name} {_bound(check)}": _over_seeds(check.measured) for check in done.outcome.checks}
    width = max(map(len, (*figures, *checks)))
    holding = {name: check.holds for name, check in zip(checks, done.outcome.checks, strict=True)}
    said = "holds" if done.holds else "does not hold"
    sabotaged = f" (sabotaged: {done.paper.sabotage})" if done.sabotaged else ""
    return [
        f"{done.paper.title} ({done.paper.reference})",
        f"claimed ({done.paper.grade}): {done.paper.effect}",
        *(f"       {name:<{width}}  {measured}" for name, measured in figures.items()),
        *(f"  {'ok  ' if holding[name] else 'FAIL'} {name:<{width}}  {found}" for name, found in checks.items()),
        *done.outcome.notes,
        f"the claim {said}{sabotaged}: {counted(len(done.seeds), 'seed')}, {done.seconds:.1f} CPU seconds",
    ]


def _over_seeds(values: Sequence[float]) -> str:
    from assay.claims.run import interval_of

    found = interval_of(values)
    if found is None:
        return "not finite"
    return f"{number(found.mean)} [{number(found.low)}, {number(found.high)}]"


def _bound(check: Check) -> str:
    import math

    parts: list[Any] = [f">= {number(check.at_least)}"] if math.isfinite(check.at_least) else []
    parts += [f"<= {number(check.at_most)}"] if math.isfinite(check.at_most) else []
    return " and ".join(parts)
