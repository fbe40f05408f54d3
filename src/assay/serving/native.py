"""The routes of the native protocol: scores at once or as a stream, the rewards and their versions, health, metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from assay.scores import Status
from assay.serving.body import MOST_VALUES, values_in
from assay.serving.policy import Allowance, MediaPolicy
from assay.serving.problems import Overloaded, ServiceError, TooLarge, Unavailable
from assay.serving.protocol import LONGEST, RED_PIXEL, ErrorAnswer, Promotion, RewardName, ScoresAnswer, ScoresRequest
from assay.serving.replies import Json, dumped
from assay.serving.rows import Read, Unread, attended, counts, read_row, read_rows, scored
from assay.serving.service import Served, Service

_TOGETHER = 64
_AHEAD = 2
_EXAMPLES: dict[str, Any] = {
    "text": {
        "summary": "Two responses to one prompt",
        "value": {"records": [{"id": "q1", "prompt": "What is 2 + 2?", "responses": ["4", "It is five."]}]},
    },
    "conversation": {
        "summary": "Messages, a column that the reward needs, and a deadline",
        "value": {
            "records": [
                {
                    "prompt": [
                        {"role": "system", "content": "Answer briefly."},
                        {"role": "user", "content": "The capital of France?"},
                    ],
                    "responses": [[{"role": "assistant", "content": "Paris"}]],
                    "context": {"answer": "Paris"},
                }
            ],
            "seconds": 30,
        },
    },
    "picture": {
        "summary": "A picture by its bytes; a row that cannot be read gets its own status",
        "value": {
            "records": [
                {
                    "prompt": [
                        {
                            "role": "user",
                            "content": [
                                {
                                    "type": "image_url",
                                    "image_url": {"url": RED_PIXEL},
                                },
                                {"type": "text", "text": "Which colour is this?"},
                            ],
                        }
                    ],
                    "responses": ["red", "blue"],
                }
            ]
        },
    },
}
_STREAM_EXAMPLE = (
    '{"id": "a", "prompt": "Hi", "responses": ["Hello"]}\n{"id": "b", "prompt": "Hi", "responses": [""]}\n'
)


def native_routes(service: Service, policy: MediaPolicy) -> APIRouter:
    """``/v1/scores``, ``/v1/scores/stream``, ``/v1/rewards`` and what keeps a server running."""
    router = APIRouter(tags=["native"])

    async def scores(request: Request, body: Annotated[ScoresRequest, Body(openapi_examples=_EXAMPLES)]) -> Response:
        """Score records: one row a response, in order. A row that cannot be scored says why."""

        async def work() -> Response:
            outcome = await scored(service, body.reward, await read_rows(body.records, policy), body.seconds)
            rows = outcome.results()
            served = outcome.served
            return Json(
                {"reward": served.name, "fingerprint": served.fingerprint, "rows": rows, "counts": counts(rows)}
            )

        return await attended(request, work())

    async def stream(
        request: Request,
        reward: Annotated[RewardName, Query()] = None,
        seconds: Annotated[float | None, Query(gt=0, le=LONGEST, allow_inf_nan=False)] = None,
    ) -> Response:
        """Score a file of any length: a row a line in, a row a line out, in order, each with the number of its line.

        A line that is no row is a row with its status. The last line is the summary. The version that is current when
        the stream begins answers all of it. The client has to read while it writes, as curl does.
        """
        served = service.named(reward)
        lines = _lines(request.stream(), policy.max_body)
        return StreamingResponse(_streamed(service, policy, served, seconds, lines), media_type="application/x-ndjson")

    async def rewards() -> Response:
        """Every reward and version that is served; the first is the one that is meant where none is named."""
        return Json({"rewards": [described(each) for each in service.served()]})

    async def promote(name: Annotated[str, Path(max_length=512)], body: Promotion) -> Response:
        """Make a version the current one of its name."""
        return Json(described(service.promote(name, body.fingerprint)))

    async def rollback(name: Annotated[str, Path(max_length=512)]) -> Response:
        """Make the version that was current before the current one again."""
        return Json(described(service.rollback(name)))

    refused: dict[int | str, dict[str, Any]] = {
        code: {"model": ErrorAnswer, "description": why}
        for code, why in (
            (404, "No such reward."),
            (413, "Larger than this server takes."),
            (422, "The request makes no sense as it is."),
            (429, "No room in the queue; Retry-After says when."),
            (503, "Not ready, or stopping."),
        )
    }
    rows = {200: {"model": ScoresAnswer, "description": "A row a response."}, **refused}
    lines = {
        200: {"description": "Rows, then the summary.", "content": {"application/x-ndjson": {}}},
        **refused,
    }
    taken = {"requestBody": {"required": True, "content": {"application/x-ndjson": {"example": _STREAM_EXAMPLE}}}}
    versions = {403: {"model": ErrorAnswer, "description": "The server runs without tokens."}, **refused}
    router.add_api_route("/v1/scores", scores, methods=["POST"], responses=rows)
    router.add_api_route("/v1/scores/stream", stream, methods=["POST"], responses=lines, openapi_extra=taken)
    router.add_api_route("/v1/rewards", rewards, methods=["GET"])
    router.add_api_route("/v1/rewards/{name:path}/promote", promote, methods=["POST"], responses=versions)
    router.add_api_route("/v1/rewards/{name:path}/rollback", rollback, methods=["POST"], responses=versions)
    return router


def running_routes(service: Service, failed: Callable[[], BaseException | None]) -> APIRouter:
    """``/health``, ``/ready`` and ``/metrics``: what a load balancer and a monitor ask. ``failed`` is what loading the
    rewards raised, if it did."""
    router = APIRouter(tags=["running"])

    async def health() -> Response:
        """Whether the process lives; and of each reward whether it is loaded."""
        return Json({"status": "ok", "rewards": _states(service)})

    async def ready() -> Response:
        """Whether every reward is loaded and requests are taken."""
        if failed() is not None:
            raise Unavailable("a reward could not be loaded; the log says why", code="not_loaded")
        served = service.served()
        if not served or not all(each.ready for each in served):
            raise Unavailable("the rewards are being loaded", code="not_ready", retry_after=1.0)
        return Json({"status": "ready", "rewards": _states(service)})

    async def metrics() -> Response:
        """Prometheus' text."""
        return Response(service.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    router.add_api_route("/health", health, methods=["GET"])
    router.add_api_route("/ready", ready, methods=["GET"], responses={503: {"model": ErrorAnswer}})
    router.add_api_route("/metrics", metrics, methods=["GET"])
    return router


def described(served: Served) -> dict[str, Any]:
    """A version as JSON."""
    spec = asdict(served.spec) | {"modalities": sorted(served.spec.modalities)}
    return {
        "name": served.name,
        "fingerprint": served.fingerprint,
        "recipe": served.recipe,
        "current": served.current,
        "ready": served.ready,
        "spec": spec,
    }


def _states(service: Service) -> dict[str, list[str]]:
    states: dict[str, list[str]] = {}
    for each in service.served():
        states.setdefault(each.name, []).append("ready" if each.ready else "loading")
    return states


async def _lines(pieces: AsyncIterator[bytes], longest: int) -> AsyncGenerator[bytes | None]:
    """The lines of a body as they come; None for one longer than ``longest``, of which no more than that is held."""
    held = bytearray()
    over = False
    async for piece in pieces:
        for part in piece.splitlines(keepends=True):
            whole = part.endswith(b"\n")
            if not over:
                held += part
                over = len(held) > longest
            if over:
                held.clear()
            if whole:
                yield None if over else bytes(held)
                held.clear()
                over = False
    if held or over:
        yield None if over else bytes(held)


async def _streamed(
    service: Service,
    policy: MediaPolicy,
    served: Served,
    seconds: float | None,
    lines: AsyncGenerator[bytes | None],
) -> AsyncGenerator[bytes]:
    """Result rows in order, a few batches under way at once, then the summary."""
    totals: dict[str, int] = {}
    ahead: list[asyncio.Task[list[dict[str, Any]]]] = []
    version = f"{served.name}@{served.fingerprint}"

    def told(rows: list[dict[str, Any]]) -> bytes:
        for row in rows:
            totals[row["status"]] = totals.get(row["status"], 0) + 1
        return b"".join(dumped(row) + b"\n" for row in rows)

    try:
        async for batch in _batches(lines):
            ahead.append(asyncio.create_task(_batch(service, policy, version, seconds, batch)))
            if len(ahead) >= _AHEAD:
                yield told(await ahead.pop(0))
        while ahead:
            yield told(await ahead.pop(0))
        ordered = {str(status): totals[status] for status in Status if status in totals}
        summary = {"responses": sum(totals.values()), "counts": ordered, "fingerprint": served.fingerprint}
        yield dumped({"summary": summary}) + b"\n"
    except ServiceError as error:
        yield dumped({"error": {"code": error.code, "message": str(error)}}) + b"\n"
    finally:
        for task in ahead:
            task.cancel()


async def _batches(lines: AsyncGenerator[bytes | None]) -> AsyncGenerator[list[tuple[int, bytes | None]]]:
    """Lines with their numbers from 1, some together; blank ones are left out."""
    batch: list[tuple[int, bytes | None]] = []
    number = 0
    async for line in lines:
        number += 1
        if line is None or line.strip():
            batch.append((number, line))
        if len(batch) >= _TOGETHER or sum(len(line or b"") for _, line in batch) > 2**20:
            yield batch
            batch = []
    if batch:
        yield batch


async def _batch(
    service: Service,
    policy: MediaPolicy,
    reward: str | None,
    seconds: float | None,
    batch: list[tuple[int, bytes | None]],
) -> list[dict[str, Any]]:
    """The result rows of some lines, each with its line's number. A full queue is waited for."""
    numbered = [(number, await _row(line, number, policy)) for number, line in batch]
    return await _scored(service, reward, seconds, numbered)


async def _scored(
    service: Service, reward: str | None, seconds: float | None, numbered: list[tuple[int, Read]]
) -> list[dict[str, Any]]:
    """The result rows of rows with their lines' numbers; those that are too large together are scored in halves."""
    rows = [row for _, row in numbered]
    while True:
        try:
            outcome = await scored(service, reward, rows, seconds)
            break
        except Overloaded as error:
            await asyncio.sleep(min(error.retry_after or 1.0, 10.0))
        except TooLarge as error:
            if len(rows) > 1:
                half = len(rows) // 2
                first = await _scored(service, reward, seconds, numbered[:half])
                return first + await _scored(service, reward, seconds, numbered[half:])
            rows = [Unread(row.id, Status.INVALID, f"{error.code}: {error}", _width(row)) for row in rows]
    numbers = [number for (number, _), row in zip(numbered, rows, strict=True) for _ in range(_width(row))]
    return [{"line": number, **row} for number, row in zip(numbers, outcome.results(), strict=True)]


def _width(row: Read) -> int:
    return row.responses if isinstance(row, Unread) else len(row.responses)


async def _row(line: bytes | None, number: int, policy: MediaPolicy) -> Read:
    name = f"line#{number}"
    if line is None:
        return Unread(name, Status.INVALID, f"too_large: a line longer than {policy.max_body:,} bytes")
    if values_in(line) > MOST_VALUES:
        return Unread(name, Status.INVALID, f"too_large: more than {MOST_VALUES:,} JSON values in a line")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Unread(name, Status.INVALID, f"bad_json: {error}")
    return await read_row(row, number, policy, Allowance(policy), name="line")
