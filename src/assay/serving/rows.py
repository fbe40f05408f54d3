"""Rows of a request as records: what cannot be read keeps its place, with the cause, and the others are scored."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast, final

from starlette.requests import Request

from assay.records import Record
from assay.rewards.columns import Judgement, judgements
from assay.runs.results import rows_of
from assay.scores import Scores, Status
from assay.serving.admission import admitted_record
from assay.serving.policy import Allowance, MediaPolicy, Refused
from assay.serving.problems import ServiceError, TooLarge, Unprocessable
from assay.serving.protocol import MOST_ITEMS
from assay.serving.service import Served, Service

_FIELDS = ("id", "prompt", "responses", "context", "feedback")
_AT_ONCE = 256
_T = TypeVar("_T")


@final
@dataclass(frozen=True, slots=True)
class Unread:
    """A row that is no record: the id it would have had, why, and how many responses are answered so."""

    id: str
    status: Status
    message: str
    responses: int = 1


Read: TypeAlias = Record | Unread


@final
@dataclass(frozen=True)
class Outcome:
    """What became of each row of a request: the scores of those that were read, and the version that gave them."""

    served: Served
    rows: tuple[Read, ...]
    scores: Scores

    def results(self) -> list[dict[str, Any]]:
        """The rows of a result file, one a response, in order."""
        records = [row for row in self.rows if isinstance(row, Record)]
        judged = iter(rows_of(self.scores, records))
        found: list[dict[str, Any]] = []
        for row in self.rows:
            found += (
                [next(judged) for _ in row.responses]
                if isinstance(row, Record)
                else [unread_result(row, index) for index in range(row.responses)]
            )
        return found

    def judgements(self) -> list[list[Judgement]]:
        """Those of each row's responses, in the terms of a trainer: of a reward of which lower is better, negated."""
        judged = iter(judgements(self.scores, self.served.spec.better == "lower"))
        return [
            [next(judged) for _ in row.responses]
            if isinstance(row, Record)
            else [Judgement(None, row.status, row.message)] * row.responses
            for row in self.rows
        ]


def unread_result(row: Unread, index: int) -> dict[str, Any]:
    """The result row of a response that could not be read."""
    return {
        "id": f"{row.id}/{index}",
        "record": row.id,
        "response": index,
        "value": None,
        "status": str(row.status),
        "message": row.message,
    }


def counts(results: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many rows have each status, in the order of `Status`."""
    found = [row["status"] for row in results]
    return {str(status): found.count(str(status)) for status in Status if str(status) in found}


async def read_row(row: Any, number: int, policy: MediaPolicy, allowance: Allowance, name: str = "request") -> Read:
    """A row of the native protocol as a record, its media admitted; never an exception.

    One without an id becomes ``name#number``.
    """
    fields = cast("Mapping[str, Any]", row) if isinstance(row, Mapping) else {}
    if unknown := _unknown(fields):
        return _unread(fields, f"{name}#{number}", Status.INVALID, unknown)
    try:
        record = await admitted_record(row, number, policy, allowance, name=name)
    except Refused as error:
        return _unread(fields, f"{name}#{number}", error.status, f"{error.code}: {error}")
    if not record.responses:
        return _unread(fields, f"{name}#{number}", Status.INVALID, "bad_row: a row without a response; give one")
    return record


async def read_rows(rows: Sequence[Any], policy: MediaPolicy) -> list[Read]:
    """`read_row` of each, within one request's allowance.

    Raises:
        Unprocessable: two rows of the same id.
        TooLarge: more responses than one request may hold; a row without any counts as one.
    """
    if sum(max(1, _responses(row)) for row in rows) > MOST_ITEMS:
        raise TooLarge(f"more than {MOST_ITEMS:,} responses in one request; send them in parts, or as a stream")
    allowance = Allowance(policy)
    read: list[Read] = []
    for number, row in enumerate(rows):
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)  # a large request does not hold up the others
        read.append(await read_row(row, number, policy, allowance))
    first: dict[str, int] = {}
    for number, row in enumerate(read):
        before = first.setdefault(row.id, number)
        if before != number:
            raise Unprocessable(
                f"records {before} and {number} share the id {row.id[:80]!r}; give each its own, or none",
                code="duplicate_ids",
            )
    return read


async def scored(service: Service, reward: str | None, rows: Sequence[Read], seconds: float | None = None) -> Outcome:
    """The scores of the rows that are records.

    Raises:
        ServiceError: as `Service.score`.
    """
    records = [row for row in rows if isinstance(row, Record)]
    if not records:
        return Outcome(service.named(reward), tuple(rows), Scores.concatenate([]))
    answered = await service.score(reward, records, seconds=seconds)
    return Outcome(answered.served, tuple(rows), answered.scores)


async def attended(request: Request, work: Awaitable[_T]) -> _T:
    """What the work gives; it is cancelled, and leaves the queue, when the client goes away.

    Raises:
        ServiceError: the client is gone; nobody reads this.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_departure(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ServiceError("the client closed the connection", code="client_closed", http=499)
    finally:
        for each in (task, gone):
            each.cancel()


async def _departure(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _unknown(fields: Mapping[str, Any]) -> str:
    for name in fields:
        if name not in _FIELDS:
            near = difflib.get_close_matches(str(name)[:80], _FIELDS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "; columns that a reward needs belong into context"
            return f"bad_row: unknown field {str(name)[:80]!r}{hint}"
    return ""


def _unread(fields: Mapping[str, Any], name: str, status: Status, message: str) -> Unread:
    own = fields.get("id")
    return Unread(name if own is None else str(own)[:512], status, message, max(1, _responses(fields)))


def _responses(row: Any) -> int:
    given = cast("Mapping[str, Any]", row).get("responses") if isinstance(row, Mapping) else None
    return len(cast("list[Any]", given)) if isinstance(given, list) else 0
