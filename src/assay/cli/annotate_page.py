"""The page of `assay annotate`: what it is opened with, and what is written when it closes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from assay.cli.inputs import UsageError, counted, open_reward, show, split_by
from assay.cli.progress import progress_bar
from assay.cli.view import announce, need_pages

if TYPE_CHECKING:
    from assay.view.annotator import Annotation
    from assay.view.choosing import Choice, Sure
    from assay.view.shelf import Shelf
    from assay.view.table import Table
    from assay.view.tasks import Question, Task


@final
@dataclass(frozen=True)
class PageOptions:
    """What the page is asked for."""

    task: str
    aspects: tuple[str, ...]
    scores: Path | None
    reward: str | None
    overlap: int | None
    split: str | None
    serve: bool
    host: str
    port: int
    cache: Path | None


@final
@dataclass(frozen=True)
class CommonOptions:
    """What every command is asked for."""

    limit: int | None
    device: str
    dtype: str
    seed: int
    dry_run: bool
    as_json: bool


def annotate_by_people(
    data: Path, output: Path, export: Path | None, to: str, options: PageOptions, common: CommonOptions
) -> int:
    """Open the page, and write what was judged when it closes; returns how many rows of the data were bad."""
    need_pages()
    from assay.view.annotator import Annotation
    from assay.view.judgements import open_judgements
    from assay.view.shelf import shelve
    from assay.view.store import cache_folder, prune

    task = _task(options)
    if output.suffix == ".judgements":
        raise UsageError(f"-o {output} is what the judgements themselves are called; choose another name")
    if output.exists() and not judgements_of(output).exists():
        raise UsageError(f"{output} is there and was not made on the page; choose another -o")
    split = split_by(options.split or "lines") if task.name == "steps" else None
    folder = options.cache or cache_folder()
    prune(folder)
    with progress_bar("reading the data", "records") as update:
        shelf = shelve(data, folder, limit=common.limit, progress=update)
    table = None if common.dry_run else _scores(data, output, options, common, folder)
    choice = _choice(shelf, data, task, options, table)
    bad = len(shelf.problems)
    facts: dict[str, Any] = {"records": shelf.count, "questions": len(choice.questions), "bad_rows": bad}
    if common.dry_run:
        said = f"{counted(shelf.count, 'record')}, {counted(len(choice.questions), 'question')}: {task.asked}"
        show(facts | {"output": None}, common.as_json, [said])
        return bad
    kind = f"{task.name} {', '.join(task.fields)}".strip() + (f" {options.split or 'lines'}" if split else "")
    judgements = open_judgements(judgements_of(output), {"task": kind, "data": shelf.digest})
    annotation = Annotation(data.name, shelf, task, choice, judgements, split)
    try:
        if options.serve:
            _serve(annotation, options)
        facts |= _written(annotation, output, export, to)
    finally:
        judgements.close()
    show(facts, common.as_json, _lines(facts, annotation))
    return bad


def judgements_of(output: Path) -> Path:
    """Where the judgements lie that ``output`` is written from: ``rated.jsonl`` has ``rated.judgements``."""
    return output.with_suffix(".judgements")


def _task(options: PageOptions) -> Task:
    from assay.view.tasks import TASKS

    if options.task not in TASKS:
        raise UsageError(f"--task {options.task}: give one of {', '.join(TASKS)}")
    if options.aspects and options.task != "rating":
        raise UsageError(f"--aspect is rated with --task rating, not {options.task}")
    if options.scores is not None and options.reward is not None:
        raise UsageError("--scores and --reward both say how sure a reward is; give one of them")
    return TASKS[options.task](options.aspects)


def _choice(shelf: Shelf, data: Path, task: Task, options: PageOptions, table: Table | None) -> Choice:
    from assay.records.steps import split_steps
    from assay.view.choosing import by_margin, by_std, choice

    rule = split_by(options.split or "lines")
    questions: list[Question] = []
    for number, record in enumerate(shelf):
        questions += task.questions(split_steps(record, rule) if task.name == "steps" else record, number)
    if not questions:
        raise UsageError(f"{data}: nothing to ask with --task {task.name}: no two responses of a record, or no steps")
    sure: Sure = by_std if task.name in ("rating", "steps") else by_margin
    return choice(questions, table=table, names=shelf.names(), sure=sure, overlap=options.overlap)


def _scores(data: Path, output: Path, options: PageOptions, common: CommonOptions, cache: Path) -> Table | None:
    from assay.records import read
    from assay.runs.score import score_file
    from assay.view.table import open_table

    if options.scores is not None:
        return open_table(options.scores, cache)
    if options.reward is None:
        return None
    judge = open_reward(options.reward, common.device, common.dtype, common.seed)
    path = output.with_suffix(".scores.parquet")
    with progress_bar("scoring") as update:
        score_file(judge, list(read(data, limit=common.limit, on_error="collect")), path, progress=update)
    return open_table(path, cache)


def _serve(annotation: Annotation, options: PageOptions) -> None:
    from assay.view.annotator import create_annotator
    from assay.view.serve import hosts_of, serve

    serve(create_annotator(annotation, hosts_of(options.host)), options.host, options.port, announce)


def _written(annotation: Annotation, output: Path, export: Path | None, to: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "answers": len(annotation.judgements.answers()),
        "raters": annotation.judgements.counts(),
        "judgements": str(annotation.judgements.path),
        "output": str(output),
        "rows": annotation.export(output, "native").rows,
        "agreement": {each.name or annotation.task.name: _known(each.alpha) for each in annotation.agreed()},
    }
    if export is not None:
        written = annotation.export(export, to)
        facts |= {"export": str(export), "export_rows": written.rows, "to": to}
        facts |= {"not_exported": [str(problem) for problem in written.problems]}
    return facts


def _lines(facts: dict[str, Any], annotation: Annotation) -> Sequence[str]:
    by = ", ".join(f"{name} {count:,}" for name, count in facts["raters"].items()) or "nobody yet"
    lines = [f"{counted(facts['answers'], 'answer')} to {counted(facts['questions'], 'question')}: {by}"]
    for each in annotation.agreed():
        if each.units:
            said = f"agreement{f' on {each.name}' if each.name else ''}: alpha {each.alpha:.3f}"
            lines.append(f"{said} of {each.raters} raters on {each.units:,} labelled by two or more")
    lines.append(f"{counted(facts['rows'], 'record')} written to {facts['output']}; go on with the same command")
    if "export" in facts:
        lines.append(f"{counted(facts['export_rows'], 'row')} in the format {facts['to']} written to {facts['export']}")
        lines += [f"not exported: {problem}" for problem in facts["not_exported"][:3]]
    return lines


def _known(value: float) -> float | None:
    return value if value == value else None
