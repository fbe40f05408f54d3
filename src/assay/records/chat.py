"""Messages as OpenAI-style dictionaries, in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from assay.media import Part, Text
from assay.records.attachments import KINDS, Kind, kind_of, medium
from assay.records.problems import BadRowError
from assay.records.record import Message

_NAMES: dict[str, Kind] = {form.format(kind): kind for kind in KINDS for form in ("{}", "{}_url", "input_{}")}

_CARRIERS = ("bytes", "data", "path", "url")


def no_media(kind: Kind) -> Part:
    """For columns without media: a bare placeholder is an error."""
    raise BadRowError(
        "media_count", f"{kind} placeholder, but no {kind} left to fill it", f"give one {kind} a placeholder"
    )


def is_chat(value: Any) -> bool:
    """Whether a column holds messages: a list of dictionaries that each have a role."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "role" in value[0]


def from_chat(
    messages: Sequence[Mapping[str, Any]], root: Path = Path(), take: Callable[[Kind], Part] = no_media
) -> tuple[Message, ...]:
    """Messages from dictionaries. ``content`` is a string or a list of typed parts: ``text``, ``image``, ``image_url``,
    ``video``, ``audio``, ``input_audio``; a part without its medium takes the next one from ``take``.

    Raises:
        BadRowError: no role, an unknown part type, or a medium that is not one.
    """
    return tuple([_message(message, root, take) for message in messages])


def _message(message: Mapping[str, Any], root: Path, take: Callable[[Kind], Part]) -> Message:
    role = message.get("role")
    if not isinstance(role, str):
        raise BadRowError("bad_message", "a message without a role", "give every message a role and content")
    content = message.get("content")
    parts = (Text(content),) if isinstance(content, str) else parts_of(content, root, take)
    if len(message) == 2:
        return Message(role, parts)
    calls = message.get("tool_calls") or ()
    if calls and not content:
        parts = ()
    return Message(role, parts, message.get("name"), tuple(calls), message.get("tool_call_id"))


def parts_of(content: Any, root: Path = Path(), take: Callable[[Kind], Part] = no_media) -> tuple[Part, ...]:
    """Parts from the ``content`` of a message."""
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if str(getattr(content, "dtype", "")) == "object":  # what pandas makes of a list
        content = content.tolist()
    if not isinstance(content, list | tuple):
        raise BadRowError("bad_message", f"content is {type(content).__name__}", "give a string or a list of parts")
    return tuple([_part(part, root, take) for part in cast(Sequence[Any], content)])


def _part(part: Any, root: Path, take: Callable[[Kind], Part]) -> Part:
    if isinstance(part, str):
        return Text(part)
    if not isinstance(part, Mapping):
        if kind_of(part) or isinstance(part, Text):
            return part
        raise BadRowError("bad_message", f"a part of type {type(part).__name__}", "give {'type': ..., ...}")
    fields = cast(Mapping[str, Any], part)
    found = carried(fields)
    if found is None:
        return Text(fields["text"])
    kind, value = found
    return take(kind) if value is None else medium(kind, value, root)


def carried(part: Mapping[str, Any]) -> tuple[Kind, Any] | None:
    """The kind of medium that a typed part holds, and what carries it (None: a placeholder); None for a text part.

    Raises:
        BadRowError: an unknown type, or a text part without text.
    """
    name = str(part.get("type") or next((key for key in ("text", *KINDS) if key in part), ""))
    if name in ("text", "input_text", "output_text"):
        if not isinstance(part.get("text"), str):
            raise BadRowError("bad_message", f"a text part holds {type(part.get('text')).__name__}", "give a string")
        return None
    kind = _NAMES.get(name)
    if kind is None:
        known = "text, image, image_url, video, audio or input_audio"
        raise BadRowError("bad_message", f"a part of unknown type {name!r}", f"use {known}")
    return kind, _carried(part, name, kind)


def _carried(fields: Mapping[str, Any], name: str, kind: Kind) -> Any:
    """What a typed part holds of a medium; None of a placeholder."""
    return next((fields[key] for key in (name, kind, f"{kind}_url", *_CARRIERS) if _is_given(fields.get(key))), None)


def _is_given(value: Any) -> bool:
    """Whether a field holds something; arrays and tensors, which have no one truth, do."""
    return True if hasattr(value, "__array__") else bool(value)


def kind_of_part(part: Any) -> Kind | None:
    """The kind of the medium that an item of ``content`` holds; None of text and of a placeholder."""
    if not isinstance(part, Mapping):
        return kind_of(part)
    fields = cast(Mapping[str, Any], part)
    name = str(fields.get("type") or next((key for key in KINDS if key in fields), ""))
    kind = _NAMES.get(name)
    return None if kind is None or _carried(fields, name, kind) is None else kind


def to_chat(
    messages: Sequence[Message], put: Callable[[Part], Any] | None = None, *, typed: bool = False
) -> list[dict[str, Any]]:
    """Dictionaries from messages; each medium goes to ``put`` and leaves a placeholder ``{"type": kind}``.

    Content is a string unless ``typed`` asks for lists of parts everywhere, or a message is more than one text.

    Raises:
        BadRowError: a medium, where ``put`` is None.
    """
    return [_to_dict(message, put, typed) for message in messages]


def needs_parts(message: Message) -> bool:
    """Whether a string cannot stand for the content: it is not one text, nor nothing beside tool calls."""
    if not message.parts and message.tool_calls:
        return False
    return len(message.parts) != 1 or not isinstance(message.parts[0], Text)


def _to_dict(message: Message, put: Callable[[Part], Any] | None, typed: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role}
    if not typed and not needs_parts(message):
        row["content"] = message.text
    else:
        row["content"] = [_to_part(part, put) for part in message.parts]
    if message.name is not None:
        row["name"] = message.name
    if message.tool_calls:
        row["tool_calls"] = [dict(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        row["tool_call_id"] = message.tool_call_id
    return row


def _to_part(part: Part, put: Callable[[Part], Any] | None) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    kind = kind_of(part)
    if put is None or kind is None:
        raise BadRowError("unsupported_media", f"this place cannot hold {kind}s", "write to the native format")
    put(part)
    return {"type": kind}
