"""`assay pick`: best of n."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.inputs import number, open_records, open_reward, refuse_overwriting, report_bad_rows, show
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
    from assay.records import Record
    from assay.search.best_of_n import Picks


def pick(
    reward: RewardArgument,
    data: DataArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The records, each with its best response alone.")],
    n: Annotated[
        int | None, typer.Option("--n", help="Choose among the first N responses; else among all.", min=1)
    ] = None,
    to: Annotated[str, typer.Option("--to", help="The format to write.")] = "native",
    steps: StepsHow = None,
    split: SplitBy = None,
    limit: Limit = None,
    batch: Annotated[int, typer.Option("--batch", help="Responses scored at a time.", min=1)] = 64,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    max_errors: MaxErrors = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Choose the best of each record's responses by REWARD (best-of-n).

    Writes the records with the chosen response alone; its place and score are in the column `pick`. A record of which
    no response could be judged is named and left out. Says what choosing was worth: the mean score of the chosen, and
    of a response taken at random.

    Exit code 1 when more than --max-errors records had nothing to choose or could not be read.

    Example: assay pick out/my-reward candidates.jsonl --n 16 -o best.jsonl
    """
    from assay.records import write
    from assay.search.best_of_n import pick as pick_best

    refuse_overwriting(output, data)
    judge = open_reward(reward, device, dtype, seed, steps=steps, split=split)
    records = open_records(data, limit, keep_going)
    with progress_bar("picking", "records") as update:
        picks = pick_best(judge, records, n, batch=batch, progress=lambda done: update(done, None))
    bad = report_bad_rows(records)
    if not dry_run:
        write(_chosen(records, picks), output, format=to)
    facts = _facts(picks, bad, None if dry_run else output)
    show(facts, as_json, _lines(picks, facts))
    raise typer.Exit(int(len(picks.unjudged) + bad > max_errors))


def _chosen(records: Iterable[Record], picks: Picks) -> Iterator[Record]:
    from dataclasses import replace

    from assay.curation.filters import keep_responses

    for record, choice in zip(records, picks, strict=True):
        if choice.index is not None:
            noted = {"index": choice.index, "value": choice.value, "ties": choice.ties, "of": len(choice.values)}
            yield replace(keep_responses(record, [choice.index]), context={**record.context, "pick": noted})


def _facts(picks: Picks, bad_rows: int, output: Path | None) -> dict[str, Any]:
    return {
        "records": len(picks),
        "picked": len(picks) - len(picks.unjudged),
        "tied": picks.tied,
        "unjudged": {choice.record: choice.reason for choice in picks.unjudged},
        "abstentions": sum(len(choice.values) - len(choice.judged) for choice in picks),
        "mean_best": picks.mean_best,
        "mean_any": picks.mean_any,
        "bad_rows": bad_rows,
        "output": output,
    }


def _lines(picks: Picks, facts: dict[str, Any]) -> list[str]:
    left_out = [f"no choice for {choice.record}: {choice.reason}" for choice in picks.unjudged[:10]]
    where = "nothing written (dry run)" if facts["output"] is None else f"written to {facts['output']}"
    return [
        f"{facts['picked']} of {facts['records']} records picked, {facts['tied']} with ties for the best, "
        f"{facts['abstentions']} responses without a score",
        f"mean score {number(facts['mean_best'])}; of a response at random {number(facts['mean_any'])}",
        *left_out,
        where,
    ]
