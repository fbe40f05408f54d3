"""`assay convert`: from any known data format to another, with a check first."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.inputs import UsageError, counted, refuse_overwriting, report_bad_rows, show
from assay.cli.options import DataArgument, DryRun, Json, Limit, MaxErrors, NoDevice, NoDtype, NoSeed
from assay.cli.progress import progress_bar

if TYPE_CHECKING:
    from assay.records import Record, Records
    from assay.records.check import Report


def convert(
    data: DataArgument,
    output: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="A .jsonl, .json (also .gz) or .parquet file.")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="The format to write; an unknown name lists them.")] = "native",
    source: Annotated[str | None, typer.Option("--from", help="The format of DATA, if not recognised.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="Of a directory, only this split.")] = None,
    media_root: Annotated[Path | None, typer.Option("--media-root", help="Where media paths start.")] = None,
    limit: Limit = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip rows that cannot be converted.")] = False,
    max_errors: MaxErrors = 0,
    device: NoDevice = "auto",
    dtype: NoDtype = "auto",
    seed: NoSeed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Convert DATA to another format, streamed; OUT is whole or absent.

    --dry-run reads everything, writes nothing and reports missing media files, placeholders that do not match the
    media, chosen equal to rejected, duplicate ids, which way ranks point, and what the new format would not carry.

    Stops at the first row that cannot be converted, unless --keep-going. Exit code 1 when more than --max-errors rows
    are bad or, in a dry run, anything is wrong with them.

    Example: assay convert preferences.jsonl trl.parquet --to trl --dry-run
    """
    from assay.records import read

    del device, dtype, seed

    if output is None and not dry_run:
        raise UsageError("say where to write (OUT), or --dry-run")
    if output is not None:
        refuse_overwriting(output, data)
    on_error = "collect" if keep_going or dry_run else "raise"
    records = read(data, format=source, limit=limit, split=split, media_root=media_root, on_error=on_error)
    if dry_run or output is None:
        wrong = _check(records, output, to, as_json)
    else:
        wrong = _write(records, output, to, on_error == "collect", as_json)
    raise typer.Exit(int(wrong > max_errors))


def _counted(records: Iterable[Record], what: str) -> Iterator[Record]:
    with progress_bar(what, "records") as update:
        count = 0
        for count, record in enumerate(records, start=1):
            if count % 256 == 0:
                update(count, None)
            yield record
        update(count, count)


def _write(records: Records, output: Path, to: str, keep_going: bool, as_json: bool) -> int:
    from assay.records import write

    written = write(_counted(records, "converting"), output, format=to, on_error="collect" if keep_going else "raise")
    bad = report_bad_rows(records) + len(written.problems)
    for problem in written.problems[:10]:
        print(f"skipped: {problem}", file=sys.stderr)
    facts = {
        "from": records.format,
        "to": to,
        "records": written.records,
        "rows": written.rows,
        "bad_rows": bad,
        "output": output,
    }
    read, made = counted(written.records, "record"), counted(written.rows, "row")
    lines = [f"{read} of {records.format} written as {made} of {to} to {output}"]
    show(facts, as_json, [*lines, f"{counted(bad, 'row')} left out"] if bad else lines)
    return bad


def _check(records: Records, output: Path | None, to: str, as_json: bool) -> int:
    from assay.records.check import check

    failed: Counter[str] = Counter()
    losses: Counter[str] = Counter()
    report = check(_counted(_tried(records, output, to, failed, losses), "checking"))
    bad_rows = Counter(problem.code for problem in records.problems)
    wrong = records.failed + sum(report.counts.values()) + sum(failed.values())
    facts = report.to_json() | {
        "from": records.format,
        "to": to,
        "bad_rows": records.failed,
        "bad_rows_by_code": dict(bad_rows),
        "problems": [str(problem) for problem in records.problems[:1000]],
        "cannot_be_written": dict(failed),
        "not_carried": dict(losses),
    }
    show(facts, as_json, _lines(records, report, to, failed, losses))
    return wrong


def _tried(
    records: Records, output: Path | None, to: str, failed: Counter[str], losses: Counter[str]
) -> Iterator[Record]:
    """The records, each tried in the new format; counts what cannot be written and what would be lost."""
    from itertools import chain

    from assay.records import BadRowError, FormatError
    from assay.records.formats import Target, format_named
    from assay.records.formats.native import json_text
    from assay.records.losses import lost
    from assay.records.writing import first_records

    format = format_named(to)
    if format.writer is None:
        raise FormatError(f"{to} can only be read; choose another --to")
    stream = iter(records)
    first = first_records(stream)
    table = output is not None and output.name.endswith(".parquet")
    target = Target(table=table, folder=Path.cwd(), pretend=True)
    encode = format.writer(first, target)
    for record in chain(first, stream):
        try:
            rows = encode(record)
            if not table:
                for row in rows:
                    json_text(row)
            losses.update(lost(record, rows, format, Path.cwd()))
        except BadRowError as error:
            failed[error.code] += 1
        yield record


def _lines(records: Records, report: Report, to: str, failed: Counter[str], losses: Counter[str]) -> list[str]:
    def listed(counts: dict[str, Any]) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in counts.items())

    lines = [
        f"{records!r}: {counted(report.records, 'record')}, {counted(report.responses, 'response')}",
        f"content: {listed(report.modalities)}",
        f"feedback: {listed(report.feedback) or 'none'}",
        *(f"read as: {direction}" for direction in report.directions),
    ]
    if report.first_is_best is not None:
        longer = "" if report.longer_is_better is None else f", longer is better in {report.longer_is_better:.1%}"
        lines.append(
            f"{counted(report.preferences, 'preference')}: first is better in {report.first_is_best:.1%}{longer}"
        )
    lines += [f"note: {note}" for note in report.notes]
    lines += [f"bad row: {problem}" for problem in records.problems[:10]]
    lines += [f"{code}: {count:,}" for code, count in report.counts.items()]
    lines += [f"  {finding.code}: {finding.record}: {finding.message}" for finding in report.findings[:10]]
    lines += [f"cannot be written as {to}: {code} {count:,}" for code, count in failed.items()]
    lines += [f"{to} does not carry {name} of {counted(count, 'record')}" for name, count in losses.items()]
    sound = not (records.failed or report.counts or failed)
    return [*lines, "nothing wrong found; nothing written (dry run)" if sound else "nothing written (dry run)"]
