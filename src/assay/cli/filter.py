"""`assay filter`: keep the responses whose scores satisfy a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.inputs import open_records, open_reward, refuse_overwriting, report_bad_rows, show
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
    from assay.curation.filters import Keep
    from assay.records import Record
    from assay.rewards.base import Reward


@dataclass
class _Counts:
    records: int = 0
    responses: int = 0
    kept_records: int = 0
    kept_responses: int = 0
    failures: int = 0


def filter(
    reward: RewardArgument,
    data: DataArgument,
    keep: Annotated[str, typer.Option("--keep", help="For example 'value > 0.3 and std < 0.1'.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The records with the responses that are kept.")],
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
    """Keep the responses of DATA that REWARD scores as --keep says.

    Compared are value, std, any attribute of the reward, and status, with and, or, not and parentheses; it is never run
    as code. A response without a score satisfies no comparison of numbers. Feedback about responses that go, goes
    with them; a record without responses left goes too.

    Exit code 1 when more than --max-errors responses could not be scored or rows not be read.

    Example: assay filter out/my-reward data.jsonl --keep 'value > 0.3' -o kept.jsonl
    """
    from assay.curation.filters import keep as keep_where
    from assay.records import write

    refuse_overwriting(output, data)
    wanted = keep_where(keep)
    judge = open_reward(reward, device, dtype, seed, steps=steps, split=split)
    records = open_records(data, limit, keep_going)
    counts = _Counts()
    with progress_bar("filtering", "records") as update:
        kept = _kept(judge, records, wanted, batch, counts, lambda done: update(done, None))
        if dry_run:
            for _ in kept:
                pass
        else:
            write(kept, output, format=to)
    bad = report_bad_rows(records)
    where = None if dry_run else output
    line = (
        f"kept {counts.kept_responses} of {counts.responses} responses, {counts.kept_records} of {counts.records} "
        f"records; {counts.failures} responses could not be scored"
    )
    ending = "nothing written (dry run)" if dry_run else f"written to {output}"
    show({**asdict(counts), "bad_rows": bad, "output": where}, as_json, [line, ending])
    raise typer.Exit(int(counts.failures + bad > max_errors))


def _kept(
    reward: Reward,
    records: Iterable[Record],
    wanted: Keep,
    batch: int,
    counts: _Counts,
    progress: Callable[[int], None],
) -> Iterator[Record]:
    from assay.curation.filters import keep_responses
    from assay.rewards.batches import batched, score_each

    for chunk in batched(records, batch):
        scores = score_each(reward, chunk)
        mask: list[bool] = wanted(scores).tolist()
        counts.failures += sum(status.is_failure for status in scores.status)
        start = 0
        for record in chunk:
            size = len(record.responses)
            indices = [i for i in range(size) if mask[start + i]]
            start += size
            counts.records += 1
            counts.responses += size
            counts.kept_responses += len(indices)
            if indices:
                counts.kept_records += 1
                yield keep_responses(record, indices)
        progress(counts.records)
