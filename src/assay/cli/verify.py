"""`assay verify`: the same score everywhere, or a finding that says where not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.inputs import UsageError, counted, open_records, open_reward, report_bad_rows, show
from assay.cli.options import Device, DryRun, Dtype, Json, RewardArgument, Seed, SplitBy, StepsHow
from assay.cli.progress import progress_bar

if TYPE_CHECKING:
    from assay.benchmarks.verify import Certificate, Finding

_WIDE = 10_000  # columns: no line of a pipe or a log is broken


def verify(
    reward: RewardArgument,
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="Records to score; else a small built-in set.", show_default=False),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the certificate as JSON.")] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", help="Largest difference in standard deviations; 1e-5, less strict below float32."),
    ] = None,
    reload: Annotated[bool, typer.Option("--reload/--no-reload", help="Save a learned reward and load it.")] = True,
    steps: StepsHow = None,
    split: SplitBy = None,
    limit: Annotated[int, typer.Option("--limit", help="Use only the first N records of DATA.", min=1)] = 64,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Certify that REWARD gives the same score whatever the batch, order, company, padding, sharing or reload.

    The same responses are scored in every way that must not matter. For each, the largest difference is given in
    standard deviations of the scores, and the share of pairs that changed their order.

    Exit code 1 when a variation fails.

    Example: assay verify out/my-reward test.jsonl
    """
    from assay.benchmarks.specimens import specimens
    from assay.benchmarks.variations import variations_of
    from assay.benchmarks.verify import verify as verify_reward
    from assay.rewards.base import spec_of

    if data is not None and output is not None and output.resolve() == data.resolve():
        raise UsageError(f"-o {output} is the data itself; choose another name")
    judge = open_reward(reward, device, dtype, seed, steps=steps, split=split)
    if data is None:
        records, bad = specimens(spec_of(judge)), 0
    else:
        stream = open_records(data, limit, keep_going)
        records = list(stream)
        bad = report_bad_rows(stream)
    if dry_run:
        names = [item.name for item in variations_of(judge, records, seed=seed, reload=reload)]
        facts = {"records": len(records), "variations": names, "bad_rows": bad, "output": None}
        show(
            facts,
            as_json,
            [f"{counted(len(records), 'record')}, {counted(len(names), 'variation')}: {', '.join(names)}"],
        )
        return
    with progress_bar("verifying", "variations") as update:
        found = verify_reward(judge, records, tolerance=tolerance, reload=reload, seed=seed, progress=update)
    if output is not None:
        found.save(output)
    if as_json:
        show({**found.to_dict(), "bad_rows": bad}, as_json, ())
    else:
        _print(found)
    raise typer.Exit(int(not found.passed))


def _print(found: Certificate) -> None:
    from rich.console import Console
    from rich.table import Table

    from assay.scores import Status

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("variation", no_wrap=True)
    table.add_column("difference, sd", justify="right")
    table.add_column("flipped", justify="right")
    table.add_column("")
    table.add_column("", overflow="fold", style="dim")
    for item in found.findings:
        difference = "" if item.difference is None else f"{item.difference:.1e}"
        flipped = "" if item.flipped is None else f"{item.flipped:.2%}"
        table.add_row(item.name, difference, flipped, _word(item), item.note)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
    said = "passed" if found.passed else "failed"
    without = ", ".join(f"{count} {status}" for status, count in found.statuses.items() if status != Status.OK)
    judged = f"{found.judged} of {counted(found.responses, 'response')} of {counted(found.records, 'record')} judged"
    unit = f"standard deviation of the scores {found.spread:.4g}, tolerance {found.tolerance:g} of it"
    print(f"{said}: {judged}{f' ({without})' if without else ''}; {unit}")


def _word(item: Finding) -> str:
    if not item.gated:
        return "[dim]reported[/dim]"
    return "[green]passed[/green]" if item.passed else "[bold red]FAILED[/bold red]"
