"""cosmos-rl's reward service: ``POST /api/reward/enqueue``, ``/api/reward/pull`` and ``/api/reward/ping``.

As ``reward_service/cosmos_rl_reward/example/image_client.py`` of nvidia-cosmos/cosmos-rl (0766726776c8) asks: a line of
JSON, then a NumPy file of pictures, uint8 ``[B, H, W, 3]`` or ``[B, 3, H, W]``; the answer is fetched under the
``uuid`` that came back, a reward at a time, 400 until it is there. Scores are null for a picture that could not be
judged, with ``status`` and ``message`` beside them. Latents and videos, which need the trainer's own decoder, are
refused.

What is finished is kept for ten minutes, in the process that computed it.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final
from urllib.parse import parse_qs

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request, Response
from pydantic import Field, ValidationError

from assay.media import Image
from assay.records import Message, Record
from assay.records import Response as Answer
from assay.records.record import messages_of
from assay.serving.admission import admitted
from assay.serving.body import MOST_VALUES, values_in
from assay.serving.policy import Allowance, MediaPolicy, Refused
from assay.serving.problems import Overloaded, ServiceError, TooLarge, Unprocessable
from assay.serving.protocol import Strict
from assay.serving.replies import Json
from assay.serving.rows import scored
from assay.serving.service import Service

_KEPT = 600.0
_MOST = 1_024
_AHEAD = 4
_LONGEST = 4_096
_COLOURS = 3


class Batch(Strict):
    """The line of JSON before the pictures."""

    prompts: list[str]
    reward_fn: dict[str, float] = Field(
        min_length=1, description="Names of served rewards; only weights above 0 count."
    )
    media_type: str = "image"
    video_infos: list[dict[str, Any]] | None = None


@final
@dataclass
class _Job:
    """A batch under way: a task for each reward, and how large it came."""

    tasks: dict[str, asyncio.Task[dict[str, Any]]]
    size: int
    started: float = field(default_factory=time.monotonic)


def cosmos_routes(service: Service, policy: MediaPolicy) -> APIRouter:
    """The three addresses."""
    router = APIRouter(tags=["cosmos-rl"])
    jobs: dict[str, _Job] = {}

    async def ping(request: Request) -> Response:
        """Whether anybody is there."""
        await request.body()
        return Json({"message": "Ping request received"})

    async def enqueue(request: Request) -> Response:
        """Take a batch, and give the name under which its scores will be found."""
        body = await request.body()
        batch, pictures = await asyncio.to_thread(_read, body, policy)
        names = [name for name, weight in batch.reward_fn.items() if weight > 0]
        if not names:
            raise Unprocessable("no reward of a weight above 0", code="no_reward")
        for name in names:
            service.named(name)
        _tidy(jobs)
        if sum(job.size for job in jobs.values() if not _is_done(job)) + len(body) > _AHEAD * policy.max_body:
            raise Overloaded("too many pictures wait already", retry_after=1.0)
        records = await _records(batch, pictures, policy)
        facts = {
            "shape": list(pictures.shape),
            "dtype": "torch.uint8",
            "min": f"{pictures.min():.3f}",
            "max": f"{pictures.max():.3f}",
        }
        tasks = {name: asyncio.create_task(_judged(service, name, records, facts)) for name in names}
        key = str(uuid.uuid4())
        jobs[key] = _Job(tasks, len(body))
        return Json({"uuid": key})

    async def pull(request: Request) -> Response:
        """The scores of a batch by one reward, once they are there."""
        fields = parse_qs((await request.body())[:_LONGEST].decode("utf-8", "replace"))
        key, name = (fields.get(wanted, [""])[0] for wanted in ("uuid", "type"))
        task = jobs[key].tasks.get(name) if key in jobs else None
        if task is None or not task.done():
            return Json({"message": f"Not found scores for {key[:64]}"}, status_code=400)
        return Json(task.result())

    blob = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
    form = {
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "properties": {"uuid": {"type": "string"}, "type": {"type": "string"}},
                    }
                }
            },
        }
    }
    router.add_api_route("/api/reward/ping", ping, methods=["POST"])
    router.add_api_route("/api/reward/enqueue", enqueue, methods=["POST"], openapi_extra=blob)
    router.add_api_route("/api/reward/pull", pull, methods=["POST"], openapi_extra=form)
    return router


def _tidy(jobs: dict[str, _Job]) -> None:
    """Forget what is old.

    Raises:
        Overloaded: too much was not fetched yet.
    """
    now = time.monotonic()
    for key in [key for key, job in jobs.items() if now - job.started > _KEPT and _is_done(job)]:
        del jobs[key]
    if len(jobs) >= _MOST:
        raise Overloaded(f"{_MOST} batches are kept already; fetch them", retry_after=5.0)


def _is_done(job: _Job) -> bool:
    return all(task.done() for task in job.tasks.values())


def _read(body: bytes, policy: MediaPolicy) -> tuple[Batch, npt.NDArray[np.uint8]]:
    head, line, file = body.partition(b"\n")
    if values_in(head) > MOST_VALUES:
        raise TooLarge(f"more than {MOST_VALUES:,} JSON values; send it in parts")
    try:
        batch = Batch.model_validate(json.loads(head))
    except (ValidationError, ValueError, RecursionError) as error:
        raise Unprocessable(f"no line of JSON with prompts and reward_fn: {str(error)[:200]}") from error
    if not line or batch.media_type.lower() != "image":
        raise Unprocessable(
            "pictures are taken, as a NumPy file; latents and videos need their decoder", code="no_media"
        )
    pictures = _pictures(file)
    if len(pictures) != len(batch.prompts) or not len(pictures):
        raise Unprocessable(f"{len(pictures)} pictures and {len(batch.prompts)} prompts", code="lengths_differ")
    if math.prod(pictures.shape[1:3]) > policy.max_pixels:
        raise TooLarge("pictures of too many pixels", code="too_many_pixels")
    return batch, pictures


def _pictures(file: bytes) -> npt.NDArray[np.uint8]:
    """``[B, H, W, 3]`` from a NumPy file, whose header is checked against its bytes before anything is made of it."""
    stream = io.BytesIO(file)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except Exception as error:  # numpy raises whatever a damaged header runs it into
        raise Unprocessable(f"no NumPy file ({type(error).__name__})", code="bad_media") from error
    rest = file[stream.tell() :]
    if dtype != np.uint8 or len(shape) != 4 or min(shape) < 1 or math.prod(shape) != len(rest):
        raise Unprocessable("pictures are uint8 [B, H, W, 3] or [B, 3, H, W], whole", code="bad_media")
    pictures = np.frombuffer(rest, np.uint8).reshape(shape, order="F" if fortran else "C")
    if shape[3] == _COLOURS:
        return pictures
    if shape[1] == _COLOURS:
        return pictures.transpose(0, 2, 3, 1)
    raise Unprocessable("pictures are uint8 [B, H, W, 3] or [B, 3, H, W], whole", code="bad_media")


async def _records(batch: Batch, pictures: npt.NDArray[np.uint8], policy: MediaPolicy) -> list[Record]:
    allowance = Allowance(policy)
    records: list[Record] = []
    for place, (prompt, pixels) in enumerate(zip(batch.prompts, pictures, strict=True)):
        try:
            encoded = await asyncio.to_thread(Image.from_array, np.ascontiguousarray(pixels))
            picture = await admitted("image", encoded.data, policy, allowance)
        except Refused as error:
            raise Unprocessable(f"picture {place}: {error}", code=error.code, http=error.http) from error
        response = Answer((Message("assistant", (picture,)),))
        records.append(Record(str(place), messages_of(prompt, "user"), (response,)))
    return records


async def _judged(service: Service, name: str, records: list[Record], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a pull. A full queue is waited for; what the service refuses is said in place of scores."""
    began = time.monotonic()
    while True:
        try:
            outcome = await scored(service, name, records)
            break
        except Overloaded as error:
            await asyncio.sleep(min(error.retry_after or 1.0, 10.0))
        except ServiceError as error:
            lost = [None] * len(records)
            return {"scores": {name: lost}, "error": f"{error.code}: {error}", "input_info": dict(facts), "type": name}
    judged = [judgement for (judgement,) in outcome.judgements()]
    return {
        "scores": {name: [each.value for each in judged]},
        "status": [str(each.status) for each in judged],
        "message": [each.message for each in judged],
        "input_info": dict(facts),
        "duration": f"{time.monotonic() - began:.2f}",
        "decoded_duration": "0.00",
        "type": name,
    }
