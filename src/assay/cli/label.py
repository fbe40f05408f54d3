"""`assay label`: step labels made by a generator, without people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.inputs import (
    UsageError,
    counted,
    open_records,
    open_reward,
    refuse_overwriting,
    report_bad_rows,
    show,
    split_by,
)
from assay.cli.options import DataArgument, Device, DryRun, Dtype, Json, Limit, MaxErrors, Seed
from assay.cli.progress import progress_bar

if TYPE_CHECKING:
    from assay.curation.step_labels import IsRight, Label
    from assay.models.base import Generator
    from assay.records import Record, Response
    from assay.rewards.base import Reward

_RIGHT = 0.5


def label(
    data: DataArgument,
    generator: Annotated[
        str, typer.Option("--generator", help="A language model: a directory or hub id; or file.py:name.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The records with step labels, .jsonl.")],
    n: Annotated[int, typer.Option("--n", help="Completions of each step; with --tree at once.", min=1)] = 8,
    hard: Annotated[bool, typer.Option("--hard", help="1 where any completion is right; else their share.")] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Search for solutions; those there are replaced.")] = False,
    budget: Annotated[int, typer.Option("--budget", help="With --tree: rollouts for a record.", min=1)] = 64,
    keep: Annotated[int | None, typer.Option("--keep", help="With --tree: most solutions kept.", min=1)] = None,
    split: Annotated[
        str, typer.Option("--split", help="Steps: lines, sentences, turns or separator:TEXT, where none are marked.")
    ] = "lines",
    right: Annotated[
        str | None, typer.Option("--right", help="A reward that says 1 of right answers; else --answer is matched.")
    ] = None,
    answer: Annotated[str, typer.Option("--answer", help="The column of the right number or expression.")] = "answer",
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", help="Longest completion.", min=1)] = 256,
    temperature: Annotated[float, typer.Option("--temperature", help="Of sampling.", min=0.0)] = 1.0,
    limit: Limit = None,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Go on, or start over.")] = True,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    max_errors: MaxErrors = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Label the steps of responses by how often a generator that goes on from them ends right.

    A step's value is the share of --n completions from there that are right; the last step is judged itself. --tree
    lets the generator write the solutions, spending its rollouts where the search still learns something. The labels
    train a process reward: assay train stepwise.binary_cross_entropy. A run that was stopped goes on.

    Exit code 1 when more than --max-errors records got no label or could not be read.

    Example: assay label questions.jsonl --generator Qwen/Qwen2.5-0.5B-Instruct --n 16 -o steps.jsonl
    """
    from assay.curation.step_labels import monte_carlo, name_of
    from assay.curation.step_tree import tree_search
    from assay.records import StepLabels, read
    from assay.records.steps import split_steps
    from assay.rewards.base import name_of as printed
    from assay.runs.label import label_file

    refuse_overwriting(output, data)
    if hard and tree:
        raise UsageError("--hard is about completions; with --tree a step has the share of right rollouts")
    rule = split_by(split)
    rows = open_records(data, limit, keep_going)
    records = [record if tree else split_steps(record, rule) for record in rows]
    bad = report_bad_rows(rows)
    steps = sum(len(response.step_ends) for record in records for response in record.responses)
    judge = _judge(right, answer, device, dtype, seed)
    writer = _generator(generator, max_new_tokens, temperature)
    facts: dict[str, Any] = {"records": len(records), "steps": None if tree else steps, "bad_rows": bad}
    if dry_run:
        rollouts = budget * len(records) if tree else n * max(0, steps - sum(len(r.responses) for r in records))
        facts |= {"rollouts": rollouts, "output": None}
        show(facts, as_json, [f"{counted(len(records), 'record')}, at most {counted(rollouts, 'completion')}"])
        raise typer.Exit(int(bad > max_errors))
    reasons: list[str] = []
    make: Label = (
        tree_search(writer, is_right(judge, reasons), rule, budget=budget, width=n, keep=keep, seed=seed)
        if tree
        else monte_carlo(writer, is_right(judge, reasons), n, hard=hard, seed=seed)
    )
    told = {"tree": tree, "n": n, "hard": hard, "budget": budget, "keep": keep, "split": split, "seed": seed}
    recipe = f"label({name_of(writer)}, {printed(judge)}, {told}, {max_new_tokens} tokens at {temperature})"
    with progress_bar("labelling", "records") as update:
        label_file(make, records, output, recipe=recipe, resume=resume, progress=update)
    found = [item for record in read(output) for item in record.feedback if isinstance(item, StepLabels)]
    values = [value for item in found for value in item.labels if value is not None]
    without = sum(not _is_labelled(record) for record in read(output))
    mean = sum(values) / len(values) if values else None
    facts |= {"labelled": len(values), "mean": mean, "records_without_labels": without, "output": str(output)}
    said = f"{counted(len(values), 'labelled step')} of {counted(len(found), 'response')}"
    lines = [said + (f", mean value {mean:.3f}" if mean is not None else ""), f"written to {output}"]
    if without:
        why = f"could not judge: {reasons[0]}" if reasons else "no steps, or nothing that could be judged"
        lines.insert(1, f"no label for {counted(without, 'record')}: {why}")
    show(facts, as_json, lines)
    raise typer.Exit(int(without + bad > max_errors))


def _is_labelled(record: Record) -> bool:
    from assay.records import StepLabels

    said = [item.labels for item in record.feedback if isinstance(item, StepLabels)]
    return any(value is not None for labels in said for value in labels)


def is_right(judge: Reward, reasons: list[str]) -> IsRight:
    """Whether a reward says 1 of a response (at least one half); None where it abstains, and why first of all goes to
    ``reasons``."""
    from dataclasses import replace

    from assay.rewards.base import score
    from assay.scores import Status

    def judged(record: Record, response: Response) -> bool | None:
        scores = score(judge, [replace(record, responses=(response,), feedback=())])
        if scores.status[0] is Status.OK:
            return float(scores.values[0]) >= _RIGHT
        if not reasons:
            reasons.append(scores.messages[0] or str(scores.status[0]))
        return None

    return judged


def _judge(right: str | None, answer: str, device: str, dtype: str, seed: int) -> Reward:
    from assay.rewards import rules

    return rules.math_match(answer) if right is None else open_reward(right, device, dtype, seed)


def _generator(reference: str, max_new_tokens: int, temperature: float) -> Generator:
    from assay.models.generate import load_generator
    from assay.training.names import is_file, value_of

    if not is_file(reference):
        return load_generator(reference, max_new_tokens=max_new_tokens, temperature=temperature)
    found = value_of(reference)
    made: Any = found() if callable(found) and (isinstance(found, type) or not hasattr(found, "generate")) else found
    if not callable(getattr(made, "generate", None)):
        raise UsageError(f"{reference} is no generator: it has no method generate(prefixes, n, seed)")
    return made
