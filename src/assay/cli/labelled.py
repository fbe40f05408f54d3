"""Records labelled into a file by models that are asked: at once, with the cost so far, resumed, asked again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.inputs import counted
from assay.cli.progress import progress_bar

if TYPE_CHECKING:
    from assay.models.asking import Cost
    from assay.models.endpoints import Endpoint
    from assay.records import Record
    from assay.rewards.base import Reward
    from assay.scores import Scores

Resume = Annotated[bool, typer.Option("--resume/--no-resume", help="Go on, or start over.")]


@dataclass(frozen=True, slots=True)
class Job:
    """What labels, as the journal names it (``recipe``), how many records at a time, and which of them are ``whole``;
    others are labelled again where that is wanted. ``note`` is what it cost so far."""

    what: str
    recipe: str
    label: Callable[[Sequence[Record]], Sequence[Record]]
    whole: Callable[[Record], bool]
    batch: int = 1
    note: Callable[[], str] | None = None


def labelled(job: Job, rows: Sequence[Record], output: Path, *, resume: bool, retry: bool) -> list[Record]:
    """The records labelled into ``output``, from where an earlier run stopped; with ``retry`` those again that an
    earlier run left without what was wanted. Raises as `assay.runs.label.label_in_batches`."""
    from assay.records import read
    from assay.runs.label import label_in_batches
    from assay.runs.results import sidecar

    with progress_bar(job.what, "records", job.note) as update:
        label_in_batches(job.label, rows, output, recipe=job.recipe, batch=job.batch, resume=resume, progress=update)
    done = list(read(output))
    whole = {record.id: record for record in done if job.whole(record)}
    if not retry or len(whole) == len(rows):
        return done

    def again(records: Sequence[Record]) -> list[Record]:
        lacking = [record for record in records if record.id not in whole]
        asked = iter(job.label(lacking) if lacking else ())
        return [whole[record.id] if record.id in whole else next(asked) for record in records]

    second = output.with_name(output.stem + ".retry.jsonl")
    recipe = f"{job.recipe}, again but for {sorted(whole)}"
    with progress_bar("asking again", "records", job.note) as update:
        label_in_batches(again, rows, second, recipe=recipe, batch=job.batch, progress=update)
    second.replace(output)
    sidecar(second).unlink()
    return list(read(output))


def in_threads(one: Callable[[Record], Record], at_once: int) -> Callable[[Sequence[Record]], Sequence[Record]]:
    """``one`` of each of the records, as many of them under way as are given together, at most ``at_once``."""
    if at_once == 1:
        return lambda records: [one(record) for record in records]

    def all_of(records: Sequence[Record]) -> Sequence[Record]:
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(min(at_once, max(1, len(records))), thread_name_prefix="record")
        try:
            return list(pool.map(one, records))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    return all_of


def one_at_a_time(reward: Reward) -> Reward:
    """The reward, called by one thread after another; it says of itself what the reward says."""
    from assay.rewards.base import spec_of

    lock = threading.Lock()

    class Locked:
        spec = spec_of(reward)

        def __call__(self, records: Sequence[Record], /) -> Scores:
            with lock:
                return reward(records)

    return Locked()


def endpoints_of(*models: Any) -> list[Endpoint]:
    """The endpoints among models, judges and critics, each once."""
    from assay.models.endpoints import Endpoint

    found: dict[int, Endpoint] = {}
    for model in models:
        for held in (model, *(getattr(model, name, None) for name in ("endpoint", "model"))):
            if isinstance(held, Endpoint):
                found[id(held)] = held
    return list(found.values())


def spent_by(endpoints: Iterable[Endpoint]) -> Cost:
    """What was spent on endpoints so far."""
    from assay.models.asking import Cost

    return sum((each.purse.spent for each in endpoints), Cost())


def costed(cost: Cost) -> str:
    """A cost for people."""
    money = f", {cost.money:.4f} in money" if cost.money else ""
    return f"{counted(cost.calls, 'call')}, {cost.read:,} tokens read, {cost.written:,} written{money}"
