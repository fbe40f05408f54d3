"""Assay's own rows: every field of a record, lossless.

A JSON row is ``{"id", "prompt": [message], "responses": [{"messages", "step_ends"}], "feedback": [{"type", ...}],
"context"}``, messages as in OpenAI chats; strings are shorthand for a prompt or a response. Media stand in their place
by path, or by their bytes in base64. A Parquet row holds the same JSON in ``record`` and the bytes of media beside it
in ``media``. In ``context``, values JSON has no form for are tagged: ``{"$tuple": [...]}``, ``{"$bytes": base64}``,
``{"$part": medium}``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, cast

from assay.media import Audio, Image, Part, Text, Video
from assay.records.attachments import kind_of, medium
from assay.records.chat import parts_of
from assay.records.formats.base import Encode, Format, Origin, Row, Target
from assay.records.problems import BadRowError
from assay.records.record import (
    Critique,
    Feedback,
    Message,
    Preference,
    Ranking,
    Rating,
    Record,
    Response,
    Span,
    SpanLabels,
    StepEnd,
    StepLabels,
)

_FEEDBACK: dict[str, type[Any]] = {
    "preference": Preference,
    "rating": Rating,
    "ranking": Ranking,
    "step_labels": StepLabels,
    "span_labels": SpanLabels,
    "critique": Critique,
}
_FEEDBACK_NAMES = {kind: name for name, kind in _FEEDBACK.items()}
_MEDIA: dict[str, type[Any]] = {"image": Image, "video": Video, "audio": Audio}
_NOT_JSON_FIELDS = ("path", "data", "tensor", "frames", "limits")

_Keep = Callable[[bytes], Any]


def recognises(row: Any) -> bool:
    """``prompt`` and ``responses``, or the two columns of a Parquet file."""
    if not isinstance(row, dict):
        return False
    names = cast(Mapping[str, Any], row).keys()
    return {"prompt", "responses"} <= names or {"record", "media"} <= names


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """One record; a missing id becomes ``file#row``."""
    media: Sequence[bytes] = ()
    if "record" in row:
        media = cast(Sequence[bytes], row.get("media") or ())
        row = cast(Mapping[str, Any], json.loads(row["record"]))

    def messages(value: Any, role: str) -> tuple[Message, ...]:
        if isinstance(value, str):
            return (Message(role, (Text(value),)),)
        if isinstance(value, Mapping):  # one message would be read as its keys
            raise _bad("one message where a list of messages belongs", "put it into a list")
        return tuple([_message(message, origin.root, media) for message in value])

    def response(value: Any) -> Response:
        if isinstance(value, str | list):
            return Response(messages(value, "assistant"))
        if not isinstance(value, Mapping) or "messages" not in value:
            raise _bad(
                f"a response of type {type(value).__name__} without messages",
                'a response is a string, a list of messages, or {"messages": [...]}',
            )
        turns = messages(value["messages"], "assistant")
        ends = value.get("step_ends")
        return Response(turns, tuple([StepEnd(*end) for end in ends])) if ends else Response(turns)

    context = cast(dict[str, Any], row.get("context") or {})
    if isinstance(row["responses"], str | Mapping):  # they would be read as their characters, or their keys
        raise _bad(f"responses is {type(row['responses']).__name__}", "give a list, also of one response")
    return Record(
        origin.id(row, number),
        messages(row["prompt"], "user"),
        tuple([response(value) for value in row["responses"]]),
        tuple([_feedback(value) for value in row.get("feedback") or ()]),
        {name: _untagged(value, origin.root, media) for name, value in context.items()},
    )


def _bad(cause: str, remedy: str) -> BadRowError:
    return BadRowError("bad_row", cause, remedy)


def _message(message: Mapping[str, Any], root: Path, media: Sequence[bytes]) -> Message:
    content = message["content"]
    if isinstance(content, str) and len(message) == 2:
        return Message(message["role"], (Text(content),))
    parts: list[Part] = []
    for part in cast(list[Any], [content] if isinstance(content, str) else content):
        is_medium = isinstance(part, dict) and cast(Mapping[str, Any], part).get("type") in _MEDIA
        parts.extend([_medium(cast(Row, part), root, media)] if is_medium else parts_of([part], root))
    calls = tuple([_untagged(call, root, media) for call in message.get("tool_calls") or ()])
    return Message(message["role"], tuple(parts), message.get("name"), calls, message.get("tool_call_id"))


def _medium(part: Mapping[str, Any], root: Path, media: Sequence[bytes]) -> Part:
    kind = part["type"]
    extra = {name: value for name, value in part.items() if name not in ("type", "path", "data", "media", "frames")}
    if "frames" in part:
        frames = [_medium(frame, root, media) for frame in part["frames"]]
        return Video(frames=tuple(frame for frame in frames if isinstance(frame, Image)), **extra)
    if "media" in part:
        return cast(Part, _MEDIA[kind](data=media[part["media"]], **extra))
    base = medium(kind, {name: part[name] for name in ("data", "path") if name in part}, root)
    return cast(Part, _MEDIA[kind](**{"path": base.path, "data": base.data, **extra})) if extra else base  # type: ignore[union-attr]


def _feedback(value: Mapping[str, Any]) -> Feedback:
    values = dict(value)
    kind = _FEEDBACK.get(values.pop("type", ""))
    if kind is None:
        known = ", ".join(_FEEDBACK)
        raise BadRowError("bad_feedback", f"feedback of unknown type {value.get('type')!r}", f"use {known}")
    for name in ("ranks", "labels"):
        if name in values:
            values[name] = tuple(values[name])
    if "spans" in values:
        values["spans"] = tuple(Span(**span) for span in values["spans"])
    return cast(Feedback, kind(**values))


def _untagged(value: Any, root: Path, media: Sequence[bytes]) -> Any:
    if isinstance(value, list):
        return [_untagged(item, root, media) for item in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    row = cast(Row, value)
    if len(row) == 1:
        ((tag, body),) = row.items()
        if tag == "$tuple":
            return tuple(_untagged(item, root, media) for item in body)
        if tag == "$bytes":
            return base64.b64decode(body)
        if tag == "$part":
            return Text(body["text"]) if body["type"] == "text" else _medium(body, root, media)
        if tag == "$dict":
            return {name: _untagged(item, root, media) for name, item in body.items()}
    return {name: _untagged(item, root, media) for name, item in row.items()}


def writer(_first: Sequence[Record], target: Target) -> Encode:
    """JSON rows for text files; for tables the JSON and the media apart."""

    def text_row(record: Record) -> list[Row]:
        return [_row(record, target, lambda data: {"data": base64.b64encode(data).decode("ascii")})]

    def table_row(record: Record) -> list[Row]:
        media: list[bytes] = []

        def keep(data: bytes) -> Row:
            media.append(data)
            return {"media": len(media) - 1}

        text = json_text(_row(record, target, keep))
        return [{"id": record.id.encode("utf-8", "replace").decode(), "record": text, "media": media}]

    return table_row if target.table else text_row


def json_text(row: Any) -> str:
    """One line of JSON; text that is not valid Unicode (lone surrogates) is escaped, so that it survives.

    Raises:
        BadRowError: a value that JSON has no form for.
    """
    try:
        text = json.dumps(row, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise BadRowError(
            "not_json", f"a value that JSON cannot hold ({error})", "convert it to text or numbers"
        ) from error
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(row)
    return text


def _row(record: Record, target: Target, keep: _Keep) -> Row:
    row: Row = {
        "id": record.id,
        "prompt": _chat(record.prompt, target, keep),
        "responses": [_response(response, target, keep) for response in record.responses],
    }
    if record.feedback:
        row["feedback"] = [_feedback_row(feedback) for feedback in record.feedback]
    if record.context:
        row["context"] = {name: _tagged(value, target, keep) for name, value in record.context.items()}
    return row


def _response(response: Response, target: Target, keep: _Keep) -> Row:
    row: Row = {"messages": _chat(response.messages, target, keep)}
    if response.step_ends:
        row["step_ends"] = [[end.message, end.part, end.offset] for end in response.step_ends]
    return row


def _chat(messages: Sequence[Message], target: Target, keep: _Keep) -> list[Row]:
    rows: list[Row] = []
    for message in messages:
        row: Row = {"role": message.role}
        single = message.parts[0] if len(message.parts) == 1 else None
        row["content"] = (
            single.text if isinstance(single, Text) else [_part_row(part, target, keep) for part in message.parts]
        )
        if message.name is not None:
            row["name"] = message.name
        if message.tool_calls:
            row["tool_calls"] = [_tagged(dict(call), target, keep) for call in message.tool_calls]
        if message.tool_call_id is not None:
            row["tool_call_id"] = message.tool_call_id
        rows.append(row)
    return rows


def _part_row(part: Part, target: Target, keep: _Keep) -> Row:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    row: Row = {"type": kind_of(part)}
    if isinstance(part, Video) and part.frames:
        row["frames"] = [_part_row(frame, target, keep) for frame in part.frames]
    elif part.data is not None:
        row |= keep(part.data)
    elif part.path is not None:
        row["path"] = target.relative(part.path)
    else:
        raise BadRowError("unsupported_media", "a picture that is only a tensor", "save it to a file first")
    return row | _set_fields(part, _NOT_JSON_FIELDS)


def _set_fields(value: Any, but: Sequence[str] = ()) -> Row:
    """The fields of a frozen value that differ from their defaults."""
    found: Row = {}
    for known in fields(value):
        content = getattr(value, known.name)
        if known.init and known.name not in but and (known.default is MISSING or content != known.default):
            found[known.name] = content
    return found


def _feedback_row(feedback: Feedback) -> Row:
    row = {"type": _FEEDBACK_NAMES[type(feedback)]} | _set_fields(feedback)
    if isinstance(feedback, SpanLabels):
        row["spans"] = [_set_fields(span) for span in feedback.spans]
    return row


def _tagged(value: Any, target: Target, keep: _Keep) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list):
        return [_tagged(item, target, keep) for item in cast(list[Any], value)]
    if isinstance(value, tuple):
        return {"$tuple": [_tagged(item, target, keep) for item in cast(tuple[Any, ...], value)]}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Text | Image | Video | Audio):
        return {"$part": _part_row(value, target, keep)}
    if isinstance(value, Mapping):
        row = cast(Mapping[Any, Any], value)
        if not all(isinstance(name, str) for name in row):
            raise BadRowError("not_json", "a context dictionary whose keys are not strings", "make its keys strings")
        plain = {name: _tagged(item, target, keep) for name, item in row.items()}
        return {"$dict": plain} if len(plain) == 1 and next(iter(plain)).startswith("$") else plain
    if hasattr(value, "tolist"):
        return _tagged(value.tolist(), target, keep)
    cause = f"a context value of type {type(value).__name__}"
    raise BadRowError("not_json", cause, "make it text, a number, a list, a dictionary or a medium")


def schema() -> Any:
    """The columns of a native Parquet file."""
    import pyarrow as pa

    return pa.schema([("id", pa.string()), ("record", pa.string()), ("media", pa.list_(pa.binary()))])


FORMAT = Format(
    "native", '"prompt" and "responses" [, "id", "feedback", "context"]', recognises, to_record, writer, schema=schema
)
