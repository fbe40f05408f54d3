"""The only way from a request to a medium: by its bytes, from under a named folder, or from a named host.

Whatever the way, a `Part` that leaves here holds its bytes: nothing is opened or fetched later, and what was checked is
what is scored.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, final

from assay.media import Audio, Image, MediaError, Part, Video
from assay.records import Record
from assay.records.attachments import Kind, from_base64, kind_of
from assay.records.chat import carried
from assay.records.formats.base import Origin
from assay.records.formats.native import to_record
from assay.records.problems import BadRowError
from assay.serving.policy import Allowance, MediaPolicy, Refused, refused, shown
from assay.serving.within import read_within

__all__ = [
    "Allowance",
    "MediaPolicy",
    "Refused",
    "admitted",
    "admitted_chat",
    "admitted_content",
    "admitted_record",
]

_DEEPEST = 64
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")
_OVER_LIMITS = {
    "too_many_pixels": "too_many_pixels",
    "file_too_large": "too_large",
    "too_many_frames": "too_many_frames",
    "too_many_samples": "too_many_samples",
}
_CARRIERS = ("bytes", "data", "path", "url", "image", "video", "audio")


async def admitted(kind: Kind, value: Any, policy: MediaPolicy, allowance: Allowance | None = None) -> Part:
    """The medium that a request holds, by its bytes, its header checked in a thread.

    ``value`` is a data URI, a path, an address, bytes, ``{"bytes" | "data": base64 or bytes}``, ``{"path" | "url":
    ...}`` or, of a video, a list of pictures. A medium that is damaged is admitted: the reward says so of its row.

    Raises:
        Refused: the policy does not admit it, or it is none.
    """
    allowance = allowance or Allowance(policy)
    if isinstance(value, Image | Video | Audio):
        return value
    if kind == "video" and isinstance(value, list | tuple):
        frames = [await admitted("image", frame, policy, allowance) for frame in cast(Sequence[Any], value)]
        if not frames:
            raise refused("bad_media", "a video without frames")
        return Video(frames=tuple(frame for frame in frames if isinstance(frame, Image)))
    allowance.take_part()
    return await _admitted(kind, value, policy, allowance)


async def _admitted(kind: Kind, value: Any, policy: MediaPolicy, allowance: Allowance) -> Part:
    if isinstance(value, Mapping):
        fields = cast(Mapping[str, Any], value)
        found = [name for name in _CARRIERS if fields.get(name) is not None]
        if len(found) != 1:
            raise refused("bad_media", f"{_named(kind)} by {found or 'nothing'}; give one of bytes, data, path and url")
        value = fields[found[0]]
        if found[0] in ("bytes", "data") and isinstance(value, str):
            return await asyncio.to_thread(_from_base64, kind, value, policy)
    if isinstance(value, bytes | bytearray | memoryview):
        return await asyncio.to_thread(_held, kind, bytes(value), policy)
    if not isinstance(value, str) or not value:
        raise refused("bad_media", f"{type(value).__name__} where {_named(kind)} belongs; give a data URI or base64")
    if value.startswith("data:"):
        return await asyncio.to_thread(_from_data_uri, kind, value, policy)
    if value[:8].lower().startswith(("http:", "https:")):
        return await _fetched(kind, value, policy, allowance)
    if _SCHEME.match(value):
        raise refused("url_not_allowed", f"{shown(value)}: an address of this kind is never opened; send the bytes")
    return await asyncio.to_thread(_from_path, kind, value, policy, allowance)


async def admitted_chat(messages: Any, policy: MediaPolicy, allowance: Allowance | None = None) -> list[dict[str, Any]]:
    """OpenAI-style messages with every medium replaced by its `Part`; `Record.chat` takes these.

    Raises:
        Refused: a medium that is not admitted, or something that is no message.
    """
    allowance = allowance or Allowance(policy)
    if not isinstance(messages, list | tuple):
        raise refused("bad_message", f"{type(messages).__name__} where a list of messages belongs")
    found: list[dict[str, Any]] = []
    for message in cast(Sequence[Any], messages):
        if not isinstance(message, Mapping) or not isinstance(cast(Mapping[str, Any], message).get("role"), str):
            raise refused("bad_message", "a message without a role; give every message a role and content")
        turn = dict(cast(Mapping[str, Any], message))
        turn["content"] = await admitted_content(turn.get("content"), policy, allowance)
        found.append(turn)
    return found


async def admitted_content(content: Any, policy: MediaPolicy, allowance: Allowance | None = None) -> Any:
    """The ``content`` of one message, a string or a list of parts, with every medium replaced by its `Part`.

    Raises:
        Refused: a medium that is not admitted, or something that is no content.
    """
    allowance = allowance or Allowance(policy)
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        raise refused("bad_message", f"content is {type(content).__name__}; give a string or a list of parts")
    return [await _part(part, policy, allowance) for part in cast(Sequence[Any], content)]


async def _part(part: Any, policy: MediaPolicy, allowance: Allowance) -> Any:
    if isinstance(part, str) or kind_of(part):
        return part
    if not isinstance(part, Mapping):
        raise refused("bad_message", f"a part of type {type(part).__name__}; give {{'type': ..., ...}}")
    fields = cast(Mapping[str, Any], part)
    try:
        found = carried(fields)
    except BadRowError as error:
        raise refused("bad_message", str(error)) from None
    if found is None:
        return {"type": "text", "text": fields["text"]}
    kind, value = found
    if value is None and "" in (fields.get("data"), fields.get("bytes")):
        value = {"data": ""}  # an empty file is damaged, as any other
    if isinstance(value, str) and value in (fields.get("data"), fields.get("bytes")):
        value = {"data": value}
    if kind == "video" and fields.get("frames"):
        value = fields["frames"]
    if value is None:
        raise refused("bad_media", f"{_named(kind)} part without its content; send the bytes as a data URI or base64")
    medium = await admitted(kind, value, policy, allowance)
    rate = fields.get("fps")
    if isinstance(medium, Video) and rate is not None:
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1_000:
            raise refused("bad_media", "fps is a number above 0, of frames a second")
        return replace(medium, fps=float(rate))
    return medium


async def admitted_record(
    row: Any, number: int, policy: MediaPolicy, allowance: Allowance | None = None, *, name: str = "request"
) -> Record:
    """A record from a row of Assay's own format (`assay.records.formats.native`), every medium in it admitted.

    A row without an id becomes ``name#number``.

    Raises:
        Refused: a medium that is not admitted, or something that is no row.
    """
    if not isinstance(row, Mapping) or "record" in row or not {"prompt", "responses"} <= set(cast(Any, row)):
        raise refused(
            "bad_row", 'a row is {"prompt": ..., "responses": [...]}, with "id" and "context" where there are any'
        )
    fields = cast(Mapping[str, Any], row)
    bring = _Walk(policy, allowance or Allowance(policy))
    held = {key: await bring.walked(value, key in ("prompt", "responses")) for key, value in fields.items()}
    try:
        return to_record(held, number, Origin(name, Path()))
    except BadRowError as error:
        raise refused("bad_row", str(error)) from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise refused("bad_row", f"not a row of prompt and responses ({type(error).__name__}: {error})") from None


@final
@dataclass(frozen=True, slots=True)
class _Walk:
    """Goes through a JSON value and admits what is a medium in it: in messages their content, elsewhere what is tagged
    as a part."""

    policy: MediaPolicy
    allowance: Allowance

    async def walked(self, value: Any, messages: bool, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            raise refused("too_deep", f"nested more than {_DEEPEST} deep")
        if isinstance(value, list):
            items = cast(list[Any], value)
            if all(item is None or isinstance(item, str | int | float) for item in items):
                return items
            return [await self.walked(item, messages, depth + 1) for item in items]
        if not isinstance(value, dict):
            return value
        fields = cast(dict[str, Any], value)
        if len(fields) == 1 and "$part" in fields:
            return await _part(fields["$part"], self.policy, self.allowance)
        found: dict[str, Any] = {}
        for key, item in fields.items():
            if messages and key == "content":
                found[key] = await admitted_content(item, self.policy, self.allowance)
            else:
                found[key] = await self.walked(item, messages and key == "messages", depth + 1)
        return found


def _from_data_uri(kind: Kind, value: str, policy: MediaPolicy) -> Part:
    head, comma, body = value[:256].partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise refused("bad_media", "a data URI that is not base64; write it as data:TYPE;base64,...")
    del body
    return _from_base64(kind, value[len(head) + 1 :], policy)


def _from_base64(kind: Kind, text: str, policy: MediaPolicy) -> Part:
    if len(text) > 4 * (policy.max_bytes // 3 + 1):
        raise refused("too_large", f"{_named(kind)} of more than {policy.max_bytes:,} bytes; make it smaller")
    try:
        data = from_base64(text)
    except BadRowError as error:
        raise refused("bad_media", str(error)) from None
    return _held(kind, data, policy)


def _held(kind: Kind, data: bytes, policy: MediaPolicy) -> Part:
    """The medium by its bytes; refused from its header where it claims too much."""
    limits = policy.limits
    try:
        if len(data) > limits.max_bytes:
            raise refused("too_large", f"{_named(kind)} of {len(data):,} bytes, over the limit of {limits.max_bytes:,}")
        if kind == "audio":
            return Audio(data=data, limits=limits)
        medium = Image(data=data, limits=limits) if kind == "image" else Video(data=data, limits=limits)
        _ = medium.size
    except MediaError as error:
        if error.code in _OVER_LIMITS:
            raise refused(_OVER_LIMITS[error.code], error.message) from None
        return Image(data=data, limits=limits) if kind == "image" else Video(data=data, limits=limits)
    return medium


def _from_path(kind: Kind, value: str, policy: MediaPolicy, allowance: Allowance) -> Part:
    if policy.root is None:
        raise refused(
            "path_not_allowed", f"{shown(value)}: paths are not taken here; send the bytes as a data URI or base64"
        )
    if _UNFIT.search(value):
        raise refused("path_not_allowed", f"{shown(value)}: not a path under the media folder")
    data = read_within(policy.root, value, allowance.bytes_left)
    allowance.take_bytes(len(data))
    return _held(kind, data, policy)


async def _fetched(kind: Kind, value: str, policy: MediaPolicy, allowance: Allowance) -> Part:
    from assay.serving.fetching import fetched

    if not policy.hosts:
        raise refused(
            "url_not_allowed", f"{shown(value)}: nothing is fetched here; send the bytes as a data URI or base64"
        )
    data = await fetched(value, policy, allowance.bytes_left)
    allowance.take_bytes(len(data))
    return await asyncio.to_thread(_held, kind, data, policy)


def _named(kind: Kind) -> str:
    return f"an {kind}" if kind in ("image", "audio") else f"a {kind}"
