"""Records as rows of a request: self-contained, every medium by its bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, final

from assay.media import Audio, Image, MediaError, Part, Text, Video
from assay.models.prepare import media_status
from assay.records import Record
from assay.records.formats.base import Target
from assay.records.formats.native import json_text, writer
from assay.records.problems import BadRowError
from assay.records.record import Message
from assay.scores import Status

_ROWS = writer((), Target(table=False))


@final
@dataclass(frozen=True, slots=True)
class Unsent:
    """Why a record was not scored by the server."""

    status: Status
    message: str


def row_of(record: Record) -> str | Unsent:
    """The record as JSON of Assay's own format, media by their bytes; else why it cannot be sent."""
    try:
        return json_text(_ROWS(carried(record))[0])
    except (MediaError, OSError) as error:
        return Unsent(media_status(error), str(error))
    except BadRowError as error:
        return Unsent(Status.INVALID, str(error))


def carried(record: Record) -> Record:
    """The same record with every medium by its bytes.

    Raises:
        MediaError: a medium cannot be read, or is a tensor.
    """
    return replace(
        record,
        prompt=_messages(record.prompt),
        responses=tuple([replace(each, messages=_messages(each.messages)) for each in record.responses]),
        context={name: _value(value) for name, value in record.context.items()},
    )


def _messages(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple([replace(message, parts=tuple([_part(part) for part in message.parts])) for message in messages])


def _part(part: Part) -> Part:
    if isinstance(part, Text):
        return part
    if isinstance(part, Image):
        return part if part.data is not None else Image.from_bytes(part.read(), part.limits)
    if part.data is not None:
        return part
    if isinstance(part, Audio):
        return Audio.from_bytes(part.read(), part.limits)
    if part.frames:
        return replace(part, frames=tuple([cast("Image", _part(frame)) for frame in part.frames]))
    return replace(part, path=None, data=_read(part))


def _read(video: Video) -> bytes:
    from assay.media.source import read_source

    return read_source(video.path, video.data, video.limits)


def _value(value: Any) -> Any:
    if isinstance(value, Text | Image | Video | Audio):
        return _part(value)
    if isinstance(value, list):
        return [_value(item) for item in cast("list[Any]", value)]
    if isinstance(value, tuple):
        return tuple([_value(item) for item in cast("tuple[Any, ...]", value)])
    if isinstance(value, Mapping):
        return {name: _value(item) for name, item in cast("Mapping[Any, Any]", value).items()}
    return value
