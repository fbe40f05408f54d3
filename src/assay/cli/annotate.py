"""`assay annotate`: preference data annotated by judges, or by people on a page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.annotate_page import CommonOptions, PageOptions, annotate_by_people
from assay.cli.inputs import UsageError, counted, open_records, open_reward, refuse_overwriting, report_bad_rows, show
from assay.cli.labelled import Job, Resume, costed, labelled
from assay.cli.options import DataArgument, Device, DryRun, Dtype, Json, Limit, MaxErrors, Seed, SplitBy
from assay.cli.view import Cache, Host, Port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.benchmarks.agreement import RaterAgreement
    from assay.curation.annotate import Spent
    from assay.records import Record
    from assay.rewards.base import Reward

_NAMED = re.compile(r"(?P<name>\w[\w.-]*)=(?P<reference>.+)")


def annotate(
    data: DataArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The annotated records, .jsonl.")],
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="A judge, judge:MODEL@URL, or any reward; NAME=... names it. Repeatable."),
    ] = None,
    task: Annotated[
        str, typer.Option("--task", help="On the page: pairs, ranking, rating (of each --aspect) or steps.")
    ] = "pairs",
    aspect: Annotated[
        list[str] | None,
        typer.Option("--aspect", help="What people rate; of a judge, an attribute kept as ratings beside a rubric's."),
    ] = None,
    scores: Annotated[
        Path | None, typer.Option("--scores", help="On the page: ask first where these scores are least sure.")
    ] = None,
    reward: Annotated[
        str | None, typer.Option("--reward", help="On the page: the same, by a reward that scores DATA first.")
    ] = None,
    overlap: Annotated[
        int | None, typer.Option("--overlap", help="On the page: most raters of a question; all by default.", min=1)
    ] = None,
    split: SplitBy = None,
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Open the page, or only write what was judged so far.")
    ] = True,
    host: Host = "127.0.0.1",
    port: Port = 8401,
    cache: Cache = None,
    tied: Annotated[float, typer.Option("--tied", help="Scores that differ by no more are a tie.", min=0.0)] = 0.0,
    export: Annotated[
        Path | None, typer.Option("--export", help="Also written in the format --to: .jsonl, .json or .parquet.")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="The format of --export; an unknown name lists them.")] = "trl",
    batch: Annotated[int, typer.Option("--batch", help="Records asked about and committed at a time.", min=1)] = 8,
    limit: Limit = None,
    resume: Resume = True,
    retry: Annotated[
        bool, typer.Option("--retry", help="Ask again about records of which a judgement failed.")
    ] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    max_errors: MaxErrors = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Annotate DATA: by people on a page, or by judges with --by.

    The page asks which of two responses is better, for an order, for ratings, or for labels of steps; it shows neither
    scores nor which response is which. Each rater gives a name. Every answer is on the disk, beside -o in
    NAME.judgements, before the next question; the same command goes on. -o, and --export in any format, are written
    when the page is closed. Agreement is shown as people judge. The page is for this machine alone unless --host says
    otherwise; it has no password.

    With --by: ratings, the ranking they make, and a preference for every two responses. Judges are
    judge:MODEL@URL?ask=answers&key=VARIABLE for a model behind an OpenAI-compatible address, judge:DIRECTORY for one in
    this process, or any REWARD; ask=pictures and ask=answers rate aspects. Several judges are pooled by their ranks,
    and their agreement, also with people's preferences in DATA, is printed. A run that was stopped goes on; what could
    not be judged says why in the column annotation, and --retry asks for it again.

    Exit code 1 when more than --max-errors responses could not be judged or rows not be read.

    Example: assay annotate answers.jsonl --scores scores.parquet -o rated.jsonl
    """
    from assay.curation.annotate import check_earlier, spent
    from assay.records import write

    refuse_overwriting(output, data)
    if not by:
        _refuse({"--tied": tied != 0, "--batch": batch != 8, "--retry": retry, "--no-resume": not resume}, "--by")
        page = PageOptions(task, tuple(aspect or ()), scores, reward, overlap, split, serve, host, port, cache)
        common = CommonOptions(limit, device, dtype, seed, dry_run, as_json)
        raise typer.Exit(int(annotate_by_people(data, output, export, to, page, common) > max_errors))
    given = {"--task": task != "pairs", "--scores": scores is not None, "--reward": reward is not None}
    given |= {"--overlap": overlap is not None, "--split": split is not None, "--no-serve": not serve}
    _refuse(given, "the page, not with --by")
    records = open_records(data, limit, keep_going)
    rows = list(records)
    bad = report_bad_rows(records)
    references = _references(by)
    if dry_run:
        responses = sum(len(row.responses) for row in rows)
        facts: dict[str, Any] = {"records": len(rows), "responses": responses, "bad_rows": bad, "output": None}
        said = f"{counted(len(rows), 'record')}, {counted(responses, 'response')}, by {', '.join(references)}"
        show(facts | {"judges": list(references)}, as_json, [said])
        raise typer.Exit(int(bad > max_errors))
    check_earlier(rows, references)
    judges = {name: open_reward(reference, device, dtype, seed) for name, reference in references.items()}
    own = _aspects(judges, aspect or [])
    done = _run(rows, judges, output, own, tied, batch=batch, resume=resume, retry=retry)
    written = write(done, export, format=to, on_error="collect") if export is not None else None
    found = spent(done, tuple(judges))
    failed = sum(found.failed.values())
    agreed = _agreement(done, seed)
    facts = _facts(done, found, agreed) | {"bad_rows": bad, "output": str(output)}
    lines = _lines(done, found, agreed, output)
    if written is not None:
        facts |= {"export": str(export), "export_rows": written.rows, "not_exported": len(written.problems)}
        lines.append(f"{counted(written.rows, 'row')} in the format {to} written to {export}")
        lines += [f"not exported: {problem}" for problem in written.problems[:3]]
    show(facts, as_json, lines)
    raise typer.Exit(int(failed + bad > max_errors))


def _refuse(given: Mapping[str, bool], only: str) -> None:
    if wrong := [name for name, is_given in given.items() if is_given]:
        raise UsageError(f"{wrong[0]} goes with {only}")


def _references(by: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in by:
        given = _NAMED.fullmatch(text)
        reference = given["reference"] if given else text
        name = given["name"] if given else re.sub(r"[@?].*", "", text.removeprefix("judge:")).rstrip("/").split("/")[-1]
        if name in found:
            raise UsageError(f"--by: two judges are called {name!r}; write one NAME={text}")
        found[name] = reference
    return found


def _aspects(judges: Mapping[str, Reward], wanted: Sequence[str]) -> tuple[str, ...]:
    """The aspects asked for, and those that every judge has as criteria of its own."""
    own = [[criterion.name for criterion in getattr(judge, "criteria", ())] for judge in judges.values()]
    shared = [name for name in own[0] if all(name in names for names in own)]
    return tuple(dict.fromkeys([*shared, *wanted]))


def _run(
    rows: Sequence[Record],
    judges: Mapping[str, Reward],
    output: Path,
    aspects: Sequence[str],
    tied: float,
    *,
    batch: int,
    resume: bool,
    retry: bool,
) -> list[Record]:
    from functools import partial

    from assay.curation import annotate as annotation
    from assay.models.asking import Cost
    from assay.rewards.base import fingerprint

    total = Cost()
    names = tuple(judges)

    def ask(records: Sequence[Record]) -> list[Record]:
        nonlocal total
        done = annotation.annotated(records, judges, aspects=aspects, tied=tied)
        total += annotation.spent(done, names).cost
        return done

    recipe = f"annotate({ {name: fingerprint(judge) for name, judge in judges.items()} }, {aspects}, tied={tied})"
    whole = partial(annotation.is_whole, judges=names)
    job = Job("annotating", recipe, ask, whole, batch, lambda: costed(total))
    return labelled(job, rows, output, resume=resume, retry=retry)


def _agreement(done: Sequence[Record], seed: int) -> RaterAgreement | None:
    from assay.benchmarks.agreement import rater_agreement
    from assay.curation.annotate import voters

    return rater_agreement(voters(done), seed=seed)


def _counts(done: Sequence[Record]) -> dict[str, int]:
    from assay.records import Preference, Rating

    judged = [item for record in done for item in record.feedback if item.rater is not None]
    return {
        "ratings": sum(isinstance(item, Rating) for item in judged),
        "preferences": sum(isinstance(item, Preference) for item in judged),
    }


def _facts(done: Sequence[Record], found: Spent, agreed: RaterAgreement | None) -> dict[str, Any]:
    from dataclasses import asdict

    agreement = None
    if agreed is not None:
        alpha = agreed.alpha
        agreement = {"alpha": alpha.value, "low": alpha.low, "high": alpha.high, "kappa": agreed.kappa}
    facts: dict[str, Any] = {"records": len(done), "judged": found.judged, "failed": dict(found.failed)}
    return facts | _counts(done) | {"cost": asdict(found.cost), "agreement": agreement}


def _lines(done: Sequence[Record], found: Spent, agreed: RaterAgreement | None, output: Path) -> list[str]:
    counts = _counts(done)
    made = ", ".join(counted(count, noun[:-1]) for noun, count in counts.items())
    lines = [f"{counted(len(done), 'record')}, {counted(found.judged, 'judgement')}: {made}"]
    if found.failed:
        lines.append("not judged: " + ", ".join(f"{count:,} {status}" for status, count in found.failed.items()))
    lines.append(f"cost: {costed(found.cost)}")
    if agreed is not None:
        alpha = agreed.alpha
        said = f"agreement of {agreed.raters} raters on {counted(agreed.items, 'pair')}"
        lines.append(f"{said}: alpha {alpha.value:.3f} [{alpha.low:.3f}, {alpha.high:.3f}]")
    return [*lines, f"written to {output}"]
