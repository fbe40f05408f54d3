"""Answers read as they are written: server-sent events, until there is enough, as the body of one completion."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast, final

from assay.models.endpoints.replies import PART

ASKS: Mapping[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""What asks an endpoint for events."""


@final
class Listener:
    """Takes in the pieces of a body; ``enough(text)`` says when the answer so far will do.

    `body` is then the completion that the events make, ended by ``replies.PART`` where it was enough. A body that is no
    events (an error, an endpoint that does not stream) stays what it is.
    """

    def __init__(self, enough: Callable[[str], bool]) -> None:
        self._enough = enough
        self._line = b""
        self._text: list[str] = []
        self._events = 0
        self._ended: str | None = None
        self._refusal = ""
        self._usage: Any = None
        self._broken = False
        self._done = False

    def take(self, piece: bytes) -> bool:
        """Whether there is enough with this piece."""
        *lines, self._line = (self._line + piece).split(b"\n")
        return any(self._read(line.strip()) for line in lines)

    def body(self, raw: bytes, read: int) -> bytes:
        """The completion as one body; ``read`` tokens of the prompt are taken where the endpoint did not come to count
        them. The raw one where there was no event, one that is none, or no end."""
        if self._line:
            self._read(self._line.strip())
        if not self._events or self._broken or self._ended is None:
            return raw
        message = {"role": "assistant", "content": "".join(self._text), "refusal": self._refusal or None}
        usage = self._usage or {"prompt_tokens": read, "completion_tokens": len(self._text)}
        return json.dumps({"choices": [{"message": message, "finish_reason": self._ended}], "usage": usage}).encode()

    def _read(self, line: bytes) -> bool:
        """Take in one line; whether the answer will do with it."""
        if self._done or not line.startswith(b"data:"):
            return self._done
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return False
        try:
            self._event(cast("dict[str, Any]", json.loads(data)))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            self._broken = True
            return False
        if self._ended is None and self._text and self._enough("".join(self._text)):
            self._ended, self._done = PART, True
        return self._done

    def _event(self, event: Mapping[str, Any]) -> None:
        self._usage = event.get("usage") or self._usage
        choices = event["choices"]
        self._events += 1
        if not choices:
            return
        choice = choices[0]
        delta = choice.get("delta") or {}
        if said := delta.get("content"):
            self._text.append(str(said))
        self._refusal += str(delta.get("refusal") or "")
        if choice.get("finish_reason"):
            self._ended = str(choice["finish_reason"])
