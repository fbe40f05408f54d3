"""`assay audit`: what a reward is worth before anyone optimises it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.inputs import counted, open_records, open_reward, refuse_overwriting, report_bad_rows, show
from assay.cli.options import DataArgument, Device, DryRun, Dtype, Json, Limit, RewardArgument, Seed, SplitBy, StepsHow
from assay.cli.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.benchmarks.base import Advance
    from assay.benchmarks.card import Card
    from assay.metrics import Interval


def audit(
    reward: RewardArgument,
    data: DataArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The card, one HTML file; JSON goes beside it.")
    ] = Path("card.html"),
    train: Annotated[
        Path | None, typer.Option("--train", help="Data to fit the null rewards on; else they are cross-fitted.")
    ] = None,
    per_record: Annotated[
        bool, typer.Option("--per-record", help="Weigh records alike, however many pairs each holds.")
    ] = False,
    no_fail: Annotated[bool, typer.Option("--no-fail", help="Exit with 0 also when a gate fails.")] = False,
    title: Annotated[str, typer.Option("--title", help="The heading of the card; else the reward's recipe.")] = "",
    steps: StepsHow = None,
    split: SplitBy = None,
    limit: Limit = None,
    batch: Annotated[int, typer.Option("--batch", help="Records scored at a time.", min=1)] = 256,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Audit REWARD on DATA that says which responses are better, and write its card.

    Measures accuracy against rewards that are worth nothing (length, position, a constant, the answer alone, the text
    without the picture), what happens without the picture or the prompt or with those of others, calibration, ties and
    abstentions, and the worst slices with their pictures.

    Exit code 1 when a gate fails, unless --no-fail.

    Example: assay audit out/my-reward test.jsonl --train train.jsonl -o card.html
    """
    from assay.benchmarks.audit import audit as audit_reward
    from assay.benchmarks.base import pairs_of

    refuse_overwriting(output, data)
    judge = open_reward(reward, device, dtype, seed, steps=steps, split=split)
    stream = open_records(data, limit, keep_going)
    records = list(stream)
    bad = report_bad_rows(stream)
    train_records = None if train is None else list(open_records(train, None, keep_going))
    if dry_run:
        pairs = len(pairs_of(records))
        facts = {"records": len(records), "pairs": pairs, "bad_rows": bad, "output": None}
        line = f"{counted(pairs, 'pair')} in {counted(len(records), 'record')}; nothing scored (dry run)"
        show(facts, as_json, [line])
        return
    with progress_bar("auditing", "records") as update:
        card = audit_reward(
            judge,
            records,
            train_records=train_records,
            per_record=per_record,
            seed=seed,
            title=title or reward,
            data_name=data.name,
            batch_size=batch,
            progress=_tracked(update, len(records)),
        )
    page = card.save(output)
    show({**card.to_dict(), "bad_rows": bad, "output": str(page)}, as_json, _lines(card, page))
    raise typer.Exit(int(not card.passed and not no_fail))


def _tracked(update: Callable[[int, int | None], None], records: int) -> Callable[[str], Advance]:
    done = total = 0

    def begin(_: str) -> Advance:
        nonlocal total
        total += records
        update(done, total)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            update(done, total)

        return advance

    return begin


def _lines(card: Card, page: Path) -> list[str]:
    width = max((len(verdict.name) for verdict in card.verdicts), default=0)
    gates = [
        f"{'passed' if verdict.passed else 'FAILED'}  {verdict.name:<{width}}  {verdict.measured}"
        for verdict in card.verdicts
    ]
    nulls = [f"  {null.name}: {_words(null.accuracy)}" for null in card.nulls if null.accuracy is not None]
    return [
        f"accuracy on {counted(card.data.pairs, 'pair')}: {_words(card.accuracy)}, against",
        *nulls,
        *gates,
        f"{'passed' if card.passed else 'failed'}; the card is {page}, its numbers {page.with_suffix('.json')}",
    ]


def _words(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
