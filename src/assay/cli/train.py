"""`assay train`: a reward from a backbone, an objective and data with feedback."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.inputs import UsageError, counted, open_records, report_bad_rows, show, split_prompts
from assay.cli.options import Device, DryRun, Dtype, Json, Limit, MaxErrors, Seed
from assay.cli.plans import Asked, plan_from, plan_of

_OF_THE_RUN = ("step", "seconds", "gradient_norm", "learning_rate")

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assay.models.base import Encoder
    from assay.rewards.learned import LearnedReward
    from assay.training.budgets import Budget
    from assay.training.freeze import Freeze
    from assay.training.plan import Training
    from assay.training.result import Event, Result
    from assay.training.settings import Settings


def train(
    objective: Annotated[
        str,
        typer.Argument(
            metavar="OBJECTIVE", help="pairwise.bradley_terry, ..., recipe:NAME, or file.py:name of either."
        ),
    ],
    model: Annotated[
        str,
        typer.Option("--model", help="Backbone: a directory, hub id or file.py:name; or a saved reward to train on."),
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
    head: Annotated[
        str | None,
        typer.Option("--head", help="scalar, attributes, ...; else what the objective reads; or file.py:name."),
    ] = None,
    attributes: Annotated[
        str | None, typer.Option("--attributes", help="A number each: a,b,c; or with weights of the whole, a=.7,b=.3.")
    ] = None,
    levels: Annotated[str | None, typer.Option("--levels", help="Grades: lowest and highest, 1-5.")] = None,
    aggregate: Annotated[
        str | None, typer.Option("--aggregate", help="The score of its steps: product, minimum, last, mean.")
    ] = None,
    read: Annotated[str | None, typer.Option("--read", help="What a head reads: last, response or steps.")] = None,
    condition: Annotated[
        str | None, typer.Option("--condition", help="A column of the context that scores depend on: COLUMN[:width].")
    ] = None,
    unknown_abstains: Annotated[
        bool, typer.Option("--unknown-abstains", help="No score where it is unknown; else the population's.")
    ] = False,
    feedback: Annotated[
        str | None, typer.Option("--feedback", help="What is learned from: pairs, ..., spans, outcomes:product.")
    ] = None,
    frames: Annotated[int | None, typer.Option("--frames", help="Frames that stand for a video (8).", min=1)] = None,
    fps: Annotated[float | None, typer.Option("--fps", help="Or frames a second, 64 at most.", min=0.001)] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Records in a batch (16).", min=1)] = None,
    accumulate: Annotated[int | None, typer.Option("--accumulate", help="Batches in a step (1).", min=1)] = None,
    token_budget: Annotated[
        int | None, typer.Option("--token-budget", help="Most tokens held at once (16,384).", min=1)
    ] = None,
    by_picture: Annotated[
        bool, typer.Option("--by-picture", help="Batch records of one picture together; it is encoded once a step.")
    ] = False,
    learning_rate: Annotated[
        float | None,
        typer.Option("--lr", help="Peak learning rate (1e-5; 1e-4 with --lora; 1e-3 with --freeze backbone)."),
    ] = None,
    head_learning_rate: Annotated[float | None, typer.Option("--head-lr", help="Learning rate of the head.")] = None,
    warmup: Annotated[
        float | None, typer.Option("--warmup", help="Part of the run to warm up (0.05).", min=0.0, max=0.9)
    ] = None,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay", help="Of matrices (0.01).", min=0.0)] = None,
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
    centre: Annotated[
        float | None, typer.Option("--centre", help="Coefficient that centres pairs; 0.01 is usual.", min=0.0)
    ] = None,
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
    track: Annotated[
        list[str] | None, typer.Option("--track", help="tensorboard or wandb: curves, in DIR.training.")
    ] = None,
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

    OBJECTIVE may also be recipe:NAME, a published method (assay papers), or file.py:name, a Training written in Python
    with its head, stages and terms. Its settings hold where none is given here.

    The output directory appears when the reward is whole; checkpoints and curves lie beside it in DIR.training, and the
    same command goes on from the newest. Held-out records that also occur in the training data are reported first.

    Exit code 1 when more than --max-errors responses could not be used or rows not be read; the reward is saved.

    Example: assay train pairwise.bradley_terry --model HuggingFaceTB/SmolLM2-135M-Instruct --data pairs.jsonl -o out/rm
    """
    from assay.training.describe import described
    from assay.training.leakage import overlap
    from assay.training.loop import workplace
    from assay.training.progress import training_bar
    from assay.training.settings import Lora, Settings
    from assay.training.tracking import together, tracked, trackers

    speaks = os.environ.get("RANK", "0") == "0"  # of several processes that were launched, the first
    if output is None and not dry_run:
        raise UsageError("say where to write the finished reward: -o DIR (or --dry-run, which writes nothing)")
    asked = Asked(
        head=head,
        attributes=attributes,
        levels=levels,
        aggregate=aggregate,
        read=read,
        condition=condition,
        unknown_abstains=unknown_abstains,
        feedback=feedback,
        criterion=criterion,
        tie_theta=tie_theta,
        centre=centre,
        head_bias=head_bias,
        head_norm=head_norm,
        max_length=max_length,
    )
    place = workplace(output) if output is not None else None
    curves = trackers(track or (), place, "assay") if place is not None else []
    plan = plan_of(objective)
    if plan is not None and asked.options():
        raise UsageError(
            f"{objective} says itself what it trains, so {', '.join(asked.options())} cannot be given: write the "
            "Training in a file and name it as file.py:name"
        )
    rows = open_records(data, limit, keep_going)
    held_rows = open_records(evaluate, limit, keep_going) if evaluate else None
    records, held_out = list(rows), list(held_rows or ())
    bad = report_bad_rows(rows) + (report_bad_rows(held_rows) if held_rows else 0)
    if hold_out:
        if held_out:
            raise UsageError("give one of --eval and --hold-out")
        records, held_out = split_prompts(records, hold_out, seed)
    given: dict[str, Any] = {
        "budget": _budget(epochs, steps, minutes),
        "batch": batch,
        "gradient_accumulation": accumulate,
        "token_budget": token_budget,
        "by_picture": by_picture or None,
        "learning_rate": learning_rate,
        "head_learning_rate": head_learning_rate,
        "schedule": _warm(warmup),
        "weight_decay": weight_decay,
        "freeze": _freeze(freeze) if freeze else None,
        "lora": Lora(lora_rank, lora_alpha) if lora else None,
        "evaluate_every": evaluate_every,
        "patience": patience,
        "checkpoint_every": checkpoint_every,
    }
    change = _changed({name: value for name, value in given.items() if value is not None}, keep_adapter, seed)
    if plan is None:
        usual = Settings(learning_rate=1e-4 if lora else 1e-3 if "backbone" in (freeze or ()) else 1e-5)
        plan = plan_from(objective, asked, usual, records, seed)
    reward = _reward(model, plan, asked, device, dtype, frames, fps)
    shared = overlap(records, held_out) if held_out else None
    if shared is not None and speaks:
        typer.echo("\n".join(("overlap of evaluation and training data:", *shared.lines())), err=True)
    common: dict[str, Any] = {"overlap": None if shared is None else asdict(shared), "bad_rows": bad}
    if dry_run or output is None or place is None:
        facts = described(plan, reward, records, held_out, change) | common
        show(facts, as_json, _description(facts))
        raise typer.Exit(int(facts["abstaining"] + bad > max_errors))
    reward.card = {**reward.card, "objective": objective, "data": str(data), "records": len(records)}
    told = {"objective": objective, "model": model, "data": str(data), "records": len(records), "seed": seed}
    bar = training_bar() if speaks else nullcontext(_unseen)
    with bar as drawn, tracked(curves, place, told) as logged:
        result = plan.learn(
            reward,
            records,
            evaluate=held_out,
            output=output,
            change=change,
            resume=resume,
            report=together(drawn, logged),
        )
    if speaks:
        show({"output": str(output), **result.facts(), **common}, as_json, _lines(result, output, bad))
    if speaks and place.is_dir():
        typer.echo(f"checkpoints to go on from lie in {place}, which may be deleted", err=True)
    raise typer.Exit(int(result.abstained + bad > max_errors))


def _unseen(event: Event) -> None:
    pass


def _changed(given: dict[str, Any], keep_adapter: bool, seed: int) -> Callable[[Settings], Settings]:
    """What the command line changes in the settings of each stage."""

    def change(settings: Settings) -> Settings:
        made = replace(settings, **given, seed=seed)
        if keep_adapter and made.lora is not None:
            made = replace(made, lora=replace(made.lora, merge=False))
        return made

    return change


def _budget(epochs: float | None, steps: int | None, minutes: float | None) -> Budget | None:
    from assay.training.budgets import Epochs, Minutes, Steps

    given: list[Budget] = []
    given += [Epochs(epochs)] if epochs is not None else []
    given += [Steps(steps)] if steps is not None else []
    given += [Minutes(minutes)] if minutes is not None else []
    if len(given) > 1:
        raise UsageError("give one of --epochs, --steps and --minutes")
    return given[0] if given else None


def _warm(warmup: float | None) -> Any:
    from assay.training.budgets import Cosine

    return None if warmup is None else Cosine(warmup)


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
    model: str, plan: Training, asked: Asked, device: str, dtype: str, frames: int | None, fps: float | None
) -> LearnedReward:
    """The untrained reward of the plan on the backbone, or the saved reward that is trained on."""
    from assay.rewards import saving
    from assay.rewards.learned import LearnedReward

    if not saving.is_saved(Path(model)):
        return plan.reward(_backbone(model, device, dtype, frames, fps))
    own = {"--feedback", "--criterion", "--tie-theta", "--centre"}
    refused = [option for option in asked.options() if option not in own]
    refused += ["--frames" for _ in (frames,) if frames] + ["--fps" for _ in (fps,) if fps]
    if refused:
        raise UsageError(
            f"{model} is a saved reward: head, reading, frames and length are as they were saved, so "
            f"{', '.join(refused)} cannot be given"
        )
    return LearnedReward.load(model, device=device, dtype=dtype)


def _backbone(model: str, device: str, dtype: str, frames: int | None, fps: float | None) -> Encoder:
    from assay.models.frames import EIGHT, Frames
    from assay.models.hf import load_backbone
    from assay.training.names import is_file, value_of

    if frames is not None and fps is not None:
        raise UsageError("give one of --frames and --fps")
    written = Path(model) / "towers.json"
    if (is_file(model) or written.is_file()) and (frames is not None or fps is not None):
        raise UsageError(f"{model} says itself which frames it is shown: change it there, not by --frames or --fps")
    if written.is_file():
        from json import loads

        from assay.models.tower_files import read

        return read(Path(model), loads(written.read_text(encoding="utf-8")), device=device, dtype=dtype)
    if is_file(model):
        found = value_of(model)
        made: Any = found() if callable(found) and not hasattr(found, "encode") else found
        if not hasattr(made, "encode"):
            raise UsageError(
                f"{model} is no backbone: give one (assay.models.hf, assay.models.towers) or what makes it"
            )
        return made
    shown = Frames(count=frames) if frames is not None else Frames(fps=fps) if fps is not None else EIGHT
    return load_backbone(model, device=device, dtype=dtype, frames=shown)


def _description(facts: dict[str, Any]) -> list[str]:
    """What a dry run found, a line a fact; the stages of several one after another."""
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if value and name != "stages"]
    for number, stage in enumerate(facts.get("stages", ()), start=1):
        lines += [f"stage {number}: {name.replace('_', ' ')}: {value}" for name, value in stage.items() if value]
    return lines


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
