"""Media in columns of their own, and the placeholders and ``<image>`` tags in messages that they fill, in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from assay.media import Part, Text
from assay.records.attachments import KINDS, Kind, kind_of, medium
from assay.records.chat import from_chat, needs_parts
from assay.records.problems import BadRowError
from assay.records.record import Message, Record

_TAG = re.compile("<(image|video|audio)>")
_WRITTEN = re.compile(r"<\|(?:image|video|audio)(?:_pad)?\|>|<(?:image|video|audio|start_of_image|image_soft_token)>")
"""What stands for a medium in a prompt that a chat template wrote: of Qwen, Gemma and LLaVA models."""


def around_prompt(query: str, prompt: str) -> tuple[str, str] | None:
    """What stands before and behind a templated prompt in a text of prompt and response; None where it is not in it.

    A processor of pictures writes a placeholder of the prompt (``<|image_pad|>``) many times over, or in its own words:
    the text may hold anything there.
    """
    first, *texts = _WRITTEN.split(prompt)
    start = query.find(first)
    place = start + len(first)
    for written, text in zip(_WRITTEN.findall(prompt), texts, strict=True):
        while query.startswith(written, place):
            place += len(written)
        found = query.find(text, place)
        start, place = min(start, found), found + len(text)
    return None if start < 0 else (query[:start], query[place:])


class MediaQueue:
    """The media of one row, handed out in order.

    Raises (``take``, ``finish``):
        BadRowError: more placeholders than media, or fewer.
    """

    def __init__(self, columns: Mapping[Kind, Sequence[Any]], root: Path) -> None:
        self._left = {kind: list(reversed(values)) for kind, values in columns.items()}
        self._given = {kind: len(values) for kind, values in columns.items()}
        self._root = root

    def take(self, kind: Kind) -> Part:
        left = self._left.get(kind)
        if not left:
            given = self._given.get(kind, 0)
            cause = f"more {kind} placeholders than {kind}s ({given})"
            raise BadRowError("media_count", cause, f"give each {kind} one placeholder")
        return medium(kind, left.pop(), self._root)

    def rest(self, kind: Kind) -> list[Part]:
        """All that no placeholder took."""
        found: list[Part] = []
        while self._left.get(kind):
            found.append(self.take(kind))
        return found

    def holds(self, kind: Kind) -> bool:
        """Whether a medium of the kind is left."""
        return bool(self._left.get(kind))

    def untouched(self, kind: Kind) -> bool:
        return bool(self._left.get(kind)) and len(self._left[kind]) == self._given[kind]

    @property
    def empty(self) -> bool:
        """Whether all media are taken."""
        return not any(self._left.values())

    def finish(self) -> None:
        for kind, left in self._left.items():
            if left:
                cause = f"{self._given[kind]} {kind}s, but placeholders for {self._given[kind] - len(left)}"
                raise BadRowError("media_count", cause, f"give each {kind} one placeholder")


def images_of(row: Mapping[str, Any]) -> list[Any]:
    """The values of ``images``, or of ``image``; none where the column is missing or empty."""
    images = row.get("images")
    if images is not None:
        return list(images)
    return [] if row.get("image") is None else [row["image"]]


def turns_of(value: Any, role: str, root: Path, queue: MediaQueue) -> tuple[Message, ...]:
    """Messages from a string (spoken by ``role``), one message or a list of them."""
    if isinstance(value, str):
        return (Message(role, (Text(value),)),)
    messages = [cast(Mapping[str, Any], value)] if isinstance(value, dict) else cast(Sequence[Mapping[str, Any]], value)
    return from_chat(messages, root, queue.take)


def with_leading(prompt: tuple[Message, ...], queue: MediaQueue, kind: Kind) -> tuple[Message, ...]:
    """The prompt with media that have no placeholder at all put before the first user message's parts."""
    if not queue.untouched(kind) or any(kind_of(part) == kind for turn in prompt for part in turn.parts):
        return prompt
    first = next((index for index, message in enumerate(prompt) if message.role == "user"), None)
    if first is None:
        raise BadRowError("media_count", f"{kind}s, but neither placeholders nor a user message", "add placeholders")
    message = prompt[first]
    shown = replace(message, parts=(*queue.rest(kind), *message.parts))
    return (*prompt[:first], shown, *prompt[first + 1 :])


def with_leading_images(prompt: tuple[Message, ...], queue: MediaQueue) -> tuple[Message, ...]:
    """`with_leading` of images."""
    return with_leading(prompt, queue, "image")


def needs_typed_content(record: Record) -> bool:
    """Whether some message is more than one text, so that content must be lists of typed parts."""
    turns = (record.prompt, *(response.messages for response in record.responses))
    return any(needs_parts(message) for messages in turns for message in messages)


def refuse_late_parts(record: Record, typed: bool) -> None:
    """Columns have one type: content is strings, or lists.

    Raises:
        BadRowError: the first records were written with strings, and this one needs lists.
    """
    if not typed and needs_typed_content(record):
        cause = "the first message with media or several parts comes after 1,000 records of plain text"
        raise BadRowError("late_media", cause, "put a record with media first")


def media_columns(row: Mapping[str, Any], prefix: str = "") -> dict[Kind, list[Any]]:
    """The values of ``images``, ``videos`` and ``audios``; one value stands for a list of one."""
    found: dict[Kind, list[Any]] = {}
    for kind in KINDS:
        values = row.get(f"{prefix}{kind}s")
        if values is not None:
            found[kind] = list(values) if isinstance(values, list | tuple) else [values]
    return found


def untagged(text: str, take: Callable[[Kind], Part]) -> tuple[Part, ...]:
    """Parts from text with ``<image>``, ``<video>`` and ``<audio>`` tags; each tag takes the next medium."""
    pieces = _TAG.split(text)
    if len(pieces) == 1:
        return (Text(text),)
    parts = [Text(piece) if place % 2 == 0 else take(cast(Kind, piece)) for place, piece in enumerate(pieces)]
    return tuple(part for part in parts if part != Text(""))


def tagged(parts: Sequence[Part], put: Callable[[Kind, Part], None]) -> str:
    """Text with a tag where each medium stands; each medium goes to ``put``.

    Raises:
        BadRowError: the text itself holds a tag.
    """
    text = ""
    for part in parts:
        if isinstance(part, Text):
            if _TAG.search(part.text):
                cause = "the text itself holds a media tag, which would be taken for a medium"
                raise BadRowError("literal_tag", cause, "change the text, or write to the native or trl format")
            text += part.text
        elif (kind := kind_of(part)) is not None:
            put(kind, part)
            text += f"<{kind}>"
    return text
