"""`assay train`: a reward from a backbone, an objective and data with feedback."""

from __future__ import annotations

from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.inputs import UsageError, counted, open_records, report_bad_rows, show, split_prompts
from assay.cli.options import Device, DryRun, Dtype, Json, Limit, MaxErrors, Seed

_OF_THE_RUN = ("step", "seconds", "gradient_norm", "learning_rate")

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.rewards.learned import LearnedReward
    from assay.training.budgets import Budget, Schedule
    from assay.training.freeze import Freeze
    from assay.training.result import Result
    from assay.training.supervision import Supervision


def train(
    objective: Annotated[
        str, typer.Argument(metavar="OBJECTIVE", help="pairwise.bradley_terry, listwise.top_one, ... or file.py:name.")
    ],
    model: Annotated[
        str, typer.Option("--model", help="Backbone: a directory or hub id; or a saved reward to train on.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Records with feedback; the format is recognised.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Directory of the finished reward.", show_default=False)
    ] = None,
    evaluate: Annotated[Path | None, typer.Option("--eval", help="Held-out records with feedback.")] = None,
    hold_out: Annotated[
        float, typer.Option("--hold-out", help="Or hold out this fraction of the prompts.", min=0.0, max=0.5)
    ] = 0.0,
    epochs: Annotated[float | None, typer.Option("--epochs", help="Passes over the data (1 without a budget).")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Or optimiser steps.", min=1)] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help="Or minutes by the clock.")] = None,
    batch: Annotated[int, typer.Option("--batch", help="Records in a batch.", min=1)] = 16,
    accumulate: Annotated[int, typer.Option("--accumulate", help="Batches in a step.", min=1)] = 1,
    token_budget: Annotated[int, typer.Option("--token-budget", help="Most tokens held at once.", min=1)] = 16_384,
    by_picture: Annotated[
        bool, typer.Option("--by-picture", help="Batch records of one picture together; it is encoded once a step.")
    ] = False,
    learning_rate: Annotated[
        float | None,
        typer.Option("--lr", help="Peak learning rate (1e-5; 1e-4 with --lora; 1e-3 with --freeze backbone)."),
    ] = None,
    head_learning_rate: Annotated[float | None, typer.Option("--head-lr", help="Learning rate of the head.")] = None,
    warmup: Annotated[float, typer.Option("--warmup", help="Part of the run to warm up.", min=0.0, max=0.9)] = 0.05,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Of matrices.", min=0.0)] = 0.01,
    lora: Annotated[bool, typer.Option("--lora", help="Train low-rank adapters and the head (needs peft).")] = False,
    lora_rank: Annotated[int, typer.Option("--lora-rank", help="Rank of the adapters.", min=1)] = 16,
    lora_alpha: Annotated[float, typer.Option("--lora-alpha", help="Scale of the adapters times rank.")] = 32.0,
    keep_adapter: Annotated[
        bool, typer.Option("--keep-adapter", help="Save adapters and head, not the merged weights.")
    ] = False,
    freeze: Annotated[
        list[str] | None, typer.Option("--freeze", help="backbone, vision, or the first N layers: layers=N.")
    ] = None,
    head_bias: Annotated[bool, typer.Option("--head-bias", help="A head with bias: for ratings.")] = False,
    head_norm: Annotated[bool, typer.Option("--head-norm", help="A head that normalises its input.")] = False,
    centre: Annotated[float, typer.Option("--centre", help="Coefficient that centres pairs (0.01).", min=0.0)] = 0.0,
    tie_theta: Annotated[float | None, typer.Option("--tie-theta", help="Rao-Kupper ties (5 is usual).")] = None,
    criterion: Annotated[str | None, typer.Option("--criterion", help="Only feedback of this criterion.")] = None,
    evaluate_every: Annotated[int | None, typer.Option("--eval-every", help="Steps; else each epoch.", min=1)] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Stop after so many evaluations without a better one.", min=1)
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option("--checkpoint-every", help="Steps; else every ten minutes.", min=1)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from the newest whole checkpoint, or start over.")
    ] = True,
    max_length: Annotated[int | None, typer.Option("--max-length", help="Longest sequence in tokens.", min=1)] = None,
    limit: Limit = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    max_errors: MaxErrors = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a reward: a head that OBJECTIVE can train, on a backbone, from records with feedback.

    The output directory appears when the reward is whole; checkpoints lie beside it in DIR.training, and the same
    command goes on from the newest one. Held-out records that also occur in the training data are reported first.

    Exit code 1 when more than --max-errors responses could not be used or rows not be read; the reward is saved.

    Example: assay train pairwise.bradley_terry --model HuggingFaceTB/SmolLM2-135M-Instruct --data pairs.jsonl -o out/rm
    """
    from assay.training.describe import describe
    from assay.training.leakage import overlap
    from assay.training.loop import train as run
    from assay.training.loop import workplace
    from assay.training.progress import training_bar
    from assay.training.settings import Lora, Settings

    if output is None and not dry_run:
        raise UsageError("say where to write the finished reward: -o DIR (or --dry-run, which writes nothing)")
    supervision = _supervision(objective, tie_theta, centre, criterion)
    rows = open_records(data, limit, keep_going)
    held_rows = open_records(evaluate, limit, keep_going) if evaluate else None
    records, held_out = list(rows), list(held_rows or ())
    bad = report_bad_rows(rows) + (report_bad_rows(held_rows) if held_rows else 0)
    if hold_out:
        if held_out:
            raise UsageError("give one of --eval and --hold-out")
        records, held_out = split_prompts(records, hold_out, seed)
    settings = Settings(
        budget=_budget(epochs, steps, minutes),
        batch=batch,
        gradient_accumulation=accumulate,
        token_budget=token_budget,
        by_picture=by_picture,
        learning_rate=learning_rate or (1e-4 if lora else 1e-3 if "backbone" in (freeze or ()) else 1e-5),
        head_learning_rate=head_learning_rate,
        schedule=_schedule(warmup),
        weight_decay=weight_decay,
        seed=seed,
        freeze=_freeze(freeze or ()),
        lora=Lora(lora_rank, lora_alpha, merge=not keep_adapter) if lora else None,
        evaluate_every=evaluate_every,
        patience=patience,
        checkpoint_every=checkpoint_every,
    )
    reward = _reward(model, objective, device, dtype, seed, head_bias, head_norm, max_length)
    shared = overlap(records, held_out) if held_out else None
    if shared is not None:
        typer.echo("\n".join(("overlap of evaluation and training data:", *shared.lines())), err=True)
    common: dict[str, Any] = {"overlap": None if shared is None else asdict(shared), "bad_rows": bad}
    if dry_run or output is None:
        facts = describe(reward, records, held_out, supervision, settings) | common
        show(facts, as_json, [f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if value])
        raise typer.Exit(int(facts["abstaining"] + bad > max_errors))
    reward.card = {**reward.card, "objective": objective, "data": str(data), "records": len(records)}
    with training_bar() as report:
        result = run(
            reward, records, supervision, settings, evaluate=held_out, output=output, resume=resume, report=report
        )
    show({"output": str(output), **result.facts(), **common}, as_json, _lines(result, output, bad))
    checkpoints = workplace(output)
    if checkpoints.is_dir():
        typer.echo(f"checkpoints to go on from lie in {checkpoints}, which may be deleted", err=True)
    raise typer.Exit(int(result.abstained + bad > max_errors))


def _supervision(name: str, tie_theta: float | None, centre: float, criterion: str | None) -> Supervision:
    from functools import partial

    from assay.objectives.pairwise import centred
    from assay.training.feedback import everything, of_criterion
    from assay.training.names import objective
    from assay.training.supervision import supervise

    chosen = objective(name)
    accepts = signature(chosen).parameters
    if tie_theta is not None:
        if "tie_theta" not in accepts:
            raise UsageError(f"{name} has no ties, so --tie-theta means nothing: use pairwise.bradley_terry")
        chosen = partial(chosen, tie_theta=tie_theta)
    if centre:
        if "chosen" not in accepts:
            raise UsageError(f"{name} is not about pairs, so --centre means nothing")
        chosen = centred(chosen, centre)
    return supervise(chosen, select=everything if criterion is None else of_criterion(criterion))


def _budget(epochs: float | None, steps: int | None, minutes: float | None) -> Budget:
    from assay.training.budgets import Epochs, Minutes, Steps

    given: list[Budget] = []
    given += [Epochs(epochs)] if epochs is not None else []
    given += [Steps(steps)] if steps is not None else []
    given += [Minutes(minutes)] if minutes is not None else []
    if len(given) > 1:
        raise UsageError("give one of --epochs, --steps and --minutes")
    return given[0] if given else Epochs(1)


def _schedule(warmup: float) -> Schedule:
    from assay.training.budgets import Cosine

    return Cosine(warmup)


def _freeze(names: Sequence[str]) -> Freeze:
    from assay.training import freeze

    parts: list[Freeze] = []
    for name in names:
        count = name.removeprefix("layers=")
        if name in ("backbone", "vision"):
            parts.append(getattr(freeze, name))
        elif count != name and count.isdigit():
            parts.append(freeze.first_layers(int(count)))
        else:
            raise UsageError(f"--freeze {name}: give backbone, vision, or layers=N")
    return freeze.together(*parts) if len(parts) > 1 else parts[0] if parts else freeze.nothing


def _reward(
    model: str, objective: str, device: str, dtype: str, seed: int, bias: bool, norm: bool, max_length: int | None
) -> LearnedReward:
    from assay.models.hf import load_backbone
    from assay.rewards import saving
    from assay.rewards.learned import LearnedReward
    from assay.training.names import head_for
    from assay.training.names import objective as named

    if saving.is_saved(Path(model)):
        if bias or norm or max_length is not None:
            raise UsageError(f"{model} is a saved reward: its head and length are as they were saved")
        return LearnedReward.load(model, device=device, dtype=dtype)
    backbone = load_backbone(model, device=device, dtype=dtype)
    fitting = head_for(named(objective), backbone.hidden_size, bias=bias, norm=norm, seed=seed)
    return LearnedReward(backbone, fitting.head, read=fitting.read, max_length=max_length)


def _lines(result: Result, output: Path, bad: int) -> list[str]:
    counts = ", ".join(f"{count} {status}" for status, count in result.status.items())
    skipped = ", ".join(f"{count} ({reason})" for reason, count in result.skipped.items())
    kept = (
        f"best of {counted(len(result.evaluations), 'evaluation')}, step {result.best_step}"
        if result.evaluations
        else "last"
    )
    figures = "  ".join(f"{name} {value:.4f}" for name, value in result.figures.items() if name not in _OF_THE_RUN)
    return [
        f"{counted(result.steps, 'step')}, {result.epochs:.3g} epochs, {result.seconds:.3g} s of training; "
        f"ended by {result.stopped}",
        f"responses: {counts}",
        *([f"left out: {counted(result.excluded, 'item')} (a response abstained)"] if result.excluded else []),
        *([f"left out: {counted(result.silent, 'record')} without such feedback"] if result.silent else []),
        *([f"steps that changed nothing: {skipped}"] if skipped else []),
        *([f"{counted(bad, 'row')} of the data could not be read"] if bad else []),
        *([f"went on from {result.resumed_from}"] if result.resumed_from else []),
        *(f"ignored checkpoint {path}: {reason}" for path, reason in result.ignored_checkpoints),
        f"kept ({kept}): {figures}",
        f"written to {output}",
    ]
