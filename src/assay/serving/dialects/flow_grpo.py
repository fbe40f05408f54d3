"""flow_grpo's reward servers, and verl-omni's: ``POST /flow_grpo`` (also ``/``), pickles in and out, behind a switch.

The requests are those of ``flow_grpo/rewards.py`` in yifan123/flow_grpo (54809b5fcf4d): ``{"images": [encoded],
"prompts": [...], "metadata": {...}}``; arrays of uint8 ``[N, H, W, 3]`` in place of encoded pictures are taken too. The
answer holds the scores under ``scores`` and under ``outputs``, whichever its client reads, NaN for a picture that could
not be judged, with ``status`` and ``message`` beside them. GenEval's form asks for figures that no reward has, and is
refused.

What is read is data and nothing else (`assay.serving.dialects.unpickling`); what is written holds lists, text and
floats. Which reward: ``?reward=NAME``.
"""

from __future__ import annotations

import asyncio
import math
import pickle
from collections.abc import Mapping
from typing import Any, cast

from fastapi import APIRouter, Request, Response

from assay.media import Image
from assay.records import Message, Record
from assay.records import Response as Answer
from assay.records.record import messages_of
from assay.scores import Status
from assay.serving.admission import admitted
from assay.serving.dialects.asking import AskedReward
from assay.serving.dialects.unpickling import PickleRefused, unpickled
from assay.serving.policy import Allowance, MediaPolicy, Refused
from assay.serving.problems import ServiceError, Unprocessable
from assay.serving.rows import Read, Unread, attended, scored
from assay.serving.service import Service

_KNOWN = ("images", "prompts", "metadata")
_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}


def flow_grpo_routes(service: Service, policy: MediaPolicy) -> APIRouter:
    """``/flow_grpo`` and ``/``."""
    router = APIRouter(tags=["flow_grpo"])

    async def flow_grpo(request: Request, reward: AskedReward = None) -> Response:
        """Scores of pictures for their prompts, as a pickle."""
        body = await request.body()

        async def work() -> Response:
            try:
                rows = await _rows(body, policy)
                outcome = await scored(service, reward, rows)
            except ServiceError as error:
                return _pickled({"error": f"{error.code}: {error}"}, error.http)
            judged = [judgement for (judgement,) in outcome.judgements()]
            values = [math.nan if each.value is None else each.value for each in judged]
            status = [str(each.status) for each in judged]
            message = [each.message for each in judged]
            return _pickled({"scores": values, "outputs": values, "status": status, "message": message}, 200)

        return await attended(request, work())

    for path in ("/flow_grpo", "/"):
        router.add_api_route(path, flow_grpo, methods=["POST"], openapi_extra=_BODY, include_in_schema=path != "/")
    return router


def _pickled(content: dict[str, Any], http: int) -> Response:
    return Response(pickle.dumps(content, protocol=4), http, media_type="application/octet-stream")


async def _rows(body: bytes, policy: MediaPolicy) -> list[Read]:
    try:
        request = await asyncio.to_thread(unpickled, body)
    except PickleRefused as error:
        raise Unprocessable(str(error), code="pickle_refused") from error
    if not isinstance(request, dict) or "images" not in request:
        raise Unprocessable('a pickle of {"images": [...], "prompts": [...]} is asked for', code="bad_request")
    fields = cast("dict[str, Any]", request)
    if unknown := [name for name in fields if name not in _KNOWN]:
        raise Unprocessable(f"{', '.join(unknown)[:80]}: no reward can answer this", code="unknown_field")
    images = list(fields["images"]) if _is_many(fields["images"]) else None
    given: Any = fields.get("prompts")
    prompts = [""] * len(images or ()) if given is None else list(given) if _is_many(given) else None
    if images is None or prompts is None or len(images) != len(prompts):
        raise Unprocessable("as many prompts as images, both as lists", code="lengths_differ")
    if len(images) > policy.max_parts:
        raise Unprocessable(f"{len(images)} pictures; at most {policy.max_parts} in a request", code="too_many_parts")
    metadata = fields.get("metadata")
    allowance = Allowance(policy)
    rows: list[Read] = []
    for place, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
        rows.append(await _row(str(place), image, prompt, _context(metadata, place, len(images)), policy, allowance))
    return rows


def _is_many(value: Any) -> bool:
    return isinstance(value, list) or (hasattr(value, "ndim") and value.ndim > 0)


def _context(metadata: Any, place: int, rows: int) -> Mapping[str, Any]:
    """The columns of a picture: its own dictionary of a list, or what a dictionary holds for all."""
    if isinstance(metadata, list) and len(cast("list[Any]", metadata)) == rows:
        metadata = cast("list[Any]", metadata)[place]
    return cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}


async def _row(
    id: str, image: Any, prompt: Any, context: Mapping[str, Any], policy: MediaPolicy, allowance: Allowance
) -> Read:
    try:
        picture = await _picture(image, policy, allowance)
    except Refused as error:
        return Unread(id, Status.UNREADABLE_MEDIA, f"{error.code}: {error}")
    asked = messages_of(str(prompt), "user")
    return Record(id, asked, (Answer((Message("assistant", (picture,)),)),), context=context)


async def _picture(image: Any, policy: MediaPolicy, allowance: Allowance) -> Any:
    if hasattr(image, "ndim"):
        height_width = image.shape[:2]
        if math.prod(height_width) > policy.max_pixels:
            raise Refused("a picture of too many pixels", code="too_many_pixels", http=413)
        try:
            image = (await asyncio.to_thread(Image.from_array, image)).data
        except ValueError as error:
            raise Refused(str(error), code="bad_media", http=422) from error
    return await admitted("image", image, policy, allowance)
