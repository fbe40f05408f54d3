"""Scoring a whole data set into a file: journalled, resumable, one row a response whatever goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from assay import __version__
from assay.records import Record
from assay.rewards.base import Reward, fingerprint, name_of, spec_of
from assay.rewards.batches import batched, score_each
from assay.runs.identity import digest_of
from assay.runs.journal import Job, Journal, JournalError, committed_rows
from assay.runs.results import Tally, read_metadata, rows_of, writer_for
from assay.scores import Status

Engine: TypeAlias = Callable[[int, int], Iterator[tuple[list[dict[str, Any]], int]]]
"""What scores the records from a number on, in batches of so many responses (see `batched`): the rows of each batch, as
`rows_of` makes them of `score_each`, and how many records they are of, in order."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a scoring job did: responses by status, mean and std of the judged values, and how long it took.

    ``resumed`` responses were there from an earlier run; ``seconds`` is what this run took.
    """

    output: Path
    fingerprint: str
    recipe: str
    records: int
    responses: int
    counts: dict[str, int]
    mean: float | None
    std: float | None
    resumed: int
    seconds: float

    @property
    def failures(self) -> int:
        """Responses without a score that no gate asked for."""
        return sum(count for status, count in self.counts.items() if Status(status).is_failure)

    @property
    def rows_per_second(self) -> float | None:
        """Responses a second in this run; None when it had nothing to do."""
        done = self.responses - self.resumed
        return done / self.seconds if done and self.seconds > 0 else None


def score_file(
    reward: Reward,
    records: Iterable[Record],
    output: str | Path,
    *,
    batch: int = 64,
    resume: bool = True,
    progress: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
) -> Summary:
    """Score every response of ``records`` into ``output`` (.parquet or .jsonl), in order, and say how it went.

    Batches of up to ``batch`` responses (a record is never split) are committed to ``<output>.journal`` as they are
    scored. After a kill the same call goes on behind the last committed batch. The output appears whole, when all is
    scored, with the fingerprint, recipe, version and counts in it (Parquet) or beside it (JSONL); then the journal
    goes. A finished output of the same reward and data is left as it is.

    ``records`` is read twice, first to find duplicate ids and to know the data again on resuming, so it must be a
    sequence or another iterable that starts anew each time. An exception makes the batch go record by record: the one
    that raises again gets ``FAILED`` (``UNREADABLE_MEDIA``, ``OUT_OF_MEMORY``, ``TIMEOUT``) with the exception's last
    line. ``progress(done, total)`` counts responses. ``resume=False`` discards an earlier journal or output. ``engine``
    scores elsewhere (`assay.runs.ray_engine`); a run may go on with another than it was begun with.

    Raises:
        JournalError: the journal or the output there is of another reward or other data, or in use.
        ResultError: the output's name or the file there is unfit.
        ContractError: the reward breaks the contract of rewards.
        StorageError: the disk is full; a later call resumes.
        TypeError: ``records`` can be read only once, or the reward has no fingerprint.
        DuplicateIdsError: records share an id.
    """
    output = Path(output)
    write = writer_for(output)
    job = _job(reward, records)
    journal_path = output.with_name(output.name + ".journal")
    if not resume:
        journal_path.unlink(missing_ok=True)
    elif output.exists() and not journal_path.exists():
        return _finished(output, job)
    output.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with Journal(journal_path, job) as journal:
        resumed = journal.rows
        _score_rest(engine or _here(reward, records), journal, job, batch, progress)
        tally = Tally()
        for rows in journal.batches():
            for row in rows:
                tally.add(row)
        summary = tally.summary()
        write(output, journal.batches, tally, {"assay": __version__, "job": asdict(job), "summary": summary})
        journal.remove()
    return _summary(output, job, summary, resumed, time.monotonic() - started)


def describe(reward: Reward, records: Iterable[Record], output: str | Path) -> dict[str, Any]:
    """What `score_file` would do, found out without scoring or writing: the job, and what is there of it already.

    Raises:
        as `score_file`, for what can be known beforehand.
    """
    output = Path(output)
    writer_for(output)
    job = _job(reward, records)
    journal_path = output.with_name(output.name + ".journal")
    done = 0
    if journal_path.exists():
        done = committed_rows(journal_path, job)
    elif output.exists():
        done = _finished(output, job).responses
    return {
        "recipe": job.recipe,
        "fingerprint": job.fingerprint,
        "records": job.records,
        "responses": job.responses,
        "done_already": done,
        "output": output,
    }


def _job(reward: Reward, records: Iterable[Record]) -> Job:
    if iter(records) is records:
        raise TypeError("score_file reads the records twice: give a list, or an iterable that starts anew each time")
    data, count, responses = digest_of(records, spec_of(reward).needs)
    return Job(fingerprint(reward), name_of(reward), data, count, responses)


def _finished(output: Path, job: Job) -> Summary:
    """The summary of an output that is whole already; refuses one of another job."""
    metadata = read_metadata(output)
    if metadata is None:
        raise JournalError(
            f"{output} exists and is no result of assay; choose another -o, or replace it with --no-resume"
        )
    if difference := job.differs(metadata["job"]):
        raise JournalError(
            f"{output} holds the scores of {difference}; choose another -o, or replace it with --no-resume"
        )
    return _summary(output, job, metadata["summary"], job.responses, 0.0)


def _summary(output: Path, job: Job, summary: dict[str, Any], resumed: int, seconds: float) -> Summary:
    return Summary(output, job.fingerprint, job.recipe, job.records, resumed=resumed, seconds=seconds, **summary)


def _here(reward: Reward, records: Iterable[Record]) -> Engine:
    def score(first: int, batch: int) -> Iterator[tuple[list[dict[str, Any]], int]]:
        for chunk in batched(islice(records, first, None), batch):
            yield rows_of(score_each(reward, chunk), chunk), len(chunk)

    return score


def _score_rest(
    engine: Engine, journal: Journal, job: Job, batch: int, progress: Callable[[int, int], None] | None
) -> None:
    if progress:
        progress(journal.rows, job.responses)
    if journal.records == job.records:
        return
    for rows, count in engine(journal.records, batch):
        journal.append(rows, count)
        if progress:
            progress(journal.rows, job.responses)
