"""Scoring a stream of records in batches, where no record can take the others down with it."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Sequence

import torch

from assay.media import MediaError
from assay.records import Record
from assay.rewards.base import ContractError, Reward, score, scores_of
from assay.scores import Scores, Status


def batched(records: Iterable[Record], responses: int) -> Iterator[list[Record]]:
    """Records in runs of at most ``responses`` responses together; a record of more is a run of its own.

    Raises:
        ValueError: ``responses`` is below 1.
    """
    if responses < 1:
        raise ValueError(f"a batch holds at least 1 response, got {responses}")
    chunk: list[Record] = []
    size = 0
    for record in records:
        if chunk and size + len(record.responses) > responses:
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += len(record.responses)
    if chunk:
        yield chunk


def score_each(reward: Reward, records: Sequence[Record]) -> Scores:
    """Scores of a batch, without gradient; when it raises, of each record alone.

    The responses of a record that raises again are ``UNREADABLE_MEDIA``, ``OUT_OF_MEMORY``, ``TIMEOUT``,
    ``UNAVAILABLE`` or, for any other exception, ``FAILED``, with the exception's last line as their message.

    Raises:
        ContractError: the reward breaks the contract of rewards, which is no record's fault.
    """
    try:
        with torch.no_grad():
            return score(reward, records)
    except ContractError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a reward raises is a failure of rows, not of the run
        if len(records) == 1:
            return _failed(records[0], error)
    return Scores.concatenate([score_each(reward, [record]) for record in records])


def _failed(record: Record, error: Exception) -> Scores:
    rows = len(record.responses)
    message = traceback.format_exception_only(error)[-1].strip()
    return scores_of([record], [torch.nan] * rows, [status_of(error)] * rows, [message] * rows)


def status_of(error: Exception) -> Status:
    """What an exception says of the row it was raised for: ``FAILED`` where it says nothing else."""
    match error:
        case MediaError():
            return Status.UNREADABLE_MEDIA
        case MemoryError() | torch.OutOfMemoryError():
            return Status.OUT_OF_MEMORY
        case TimeoutError():
            return Status.TIMEOUT
        case ConnectionError():
            return Status.UNAVAILABLE
        case _:
            return Status.FAILED
