"""`assay score`: every response of a data set scored into a file."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.inputs import (
    UsageError,
    counted,
    number,
    open_records,
    open_reward,
    refuse_overwriting,
    report_bad_rows,
    show,
)
from assay.cli.options import (
    DataArgument,
    Device,
    DryRun,
    Dtype,
    Json,
    Limit,
    MaxErrors,
    RewardArgument,
    Seed,
    SplitBy,
    StepsHow,
)
from assay.cli.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.records import Records
    from assay.rewards.base import Reward
    from assay.runs.score import Engine, Summary
    from assay.runs.score_cache import ScoreCache


def score(
    reward: RewardArgument,
    data: DataArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="scores.parquet or scores.jsonl.")],
    steps: StepsHow = None,
    split: SplitBy = None,
    limit: Limit = None,
    batch: Annotated[int, typer.Option("--batch", help="Responses committed at a time.", min=1)] = 64,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on where an earlier run was stopped, or start over.")
    ] = True,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Keep scores by content and reward in this file; use what it holds.")
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="Where to score: here, or ray (a cluster, by RAY_ADDRESS, or this machine).")
    ] = "here",
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="With --engine ray: how many at once; all that fit, if not given.", min=1),
    ] = None,
    gpus: Annotated[float, typer.Option("--gpus", help="With --engine ray: GPUs of each worker.", min=0)] = 0.0,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    max_errors: MaxErrors = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Score every response of DATA with REWARD.

    One row a response, in order: a score, or none and a status that says why. A run that was killed goes on where it
    stopped when the same command is given again; the output appears when it is whole. With --cache a response that
    was scored before by the same reward, under whatever id and in whatever file, is not scored again. With --engine ray
    the workers of a cluster score; a run may go on with the other engine.

    Exit code 1 when more than --max-errors responses could not be scored or rows not be read.

    Example: assay score out/my-reward preferences.jsonl -o scores.parquet
    """
    from assay.runs.score import describe, score_file
    from assay.runs.score_cache import cached

    refuse_overwriting(output, data)
    load = partial(open_reward, reward, device, dtype, seed, steps=steps, split=split)
    read = partial(open_records, data, limit, keep_going)
    pool = _engine(engine, partial(_of_worker, load, cache), read, workers, gpus)
    judge, records = load(), read()
    if dry_run:
        job = describe(judge, records, output)
        bad = report_bad_rows(records)
        facts = {**job, "bad_rows": bad, "format": records.format}
        show(facts, as_json, [f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()])
        raise typer.Exit(int(bad > max_errors))
    with _cache(cache) as kept, progress_bar("scoring") as update:
        judge = judge if kept is None else cached(judge, kept)
        summary = score_file(judge, records, output, batch=batch, resume=resume, progress=update, engine=pool)
    bad = report_bad_rows(records)
    hits = None if kept is None or pool is not None else kept.counts.hits  # workers count for themselves
    show(_facts(summary, bad, hits), as_json, _lines(summary, bad, hits))
    raise typer.Exit(int(summary.failures + bad > max_errors))


def _cache(path: Path | None) -> AbstractContextManager[ScoreCache | None]:
    from assay.runs.score_cache import ScoreCache

    return nullcontext() if path is None else closing(ScoreCache(path))


def _of_worker(load: Callable[[], Reward], cache: Path | None) -> Reward:
    """The reward as a worker has it."""
    from assay.runs.score_cache import ScoreCache, cached

    return load() if cache is None else cached(load(), ScoreCache(cache))


def _engine(
    name: str, load: Callable[[], Reward], read: Callable[[], Records], workers: int | None, gpus: float
) -> Engine | None:
    if name == "here":
        if workers is not None or gpus:
            raise UsageError("--workers and --gpus are of --engine ray")
        return None
    if name != "ray":
        raise UsageError(f"--engine {name}: give here or ray")
    from assay.runs.ray_engine import RayEngine

    return RayEngine(load, read, workers=workers, gpus=gpus)


def _facts(summary: Summary, bad_rows: int, hits: int | None) -> dict[str, Any]:
    from dataclasses import asdict

    derived = {"failures": summary.failures, "rows_per_second": summary.rows_per_second, "bad_rows": bad_rows}
    return asdict(summary) | derived | ({} if hits is None else {"from_cache": hits})


def _lines(summary: Summary, bad_rows: int, hits: int | None) -> list[str]:
    counts = ", ".join(f"{count} {status}" for status, count in summary.counts.items())
    speed = "" if summary.rows_per_second is None else f", {summary.rows_per_second:.4g} a second"
    before = f", {summary.resumed} of them from an earlier run" if summary.resumed else ""
    took = f"in {summary.seconds:.3g} s{speed}"
    return [
        f"{summary.responses} responses of {summary.records} records{before}: {counts or 'none'}",
        f"mean {number(summary.mean)}, std {number(summary.std)}",
        *([] if hits is None else [f"{counted(hits, 'score')} came from the cache"]),
        *([f"{counted(bad_rows, 'row')} of the data could not be read"] if bad_rows else []),
        f"written to {summary.output} {took}" if summary.seconds else f"{summary.output} was whole already",
    ]
