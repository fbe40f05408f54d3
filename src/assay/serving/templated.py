"""A conversation that a trainer sends as one templated string, as the turns that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from assay.media import Text
from assay.records import Message, Record, Response

Untemplate: TypeAlias = Callable[[str], tuple[Message, ...] | None]
"""The turns of a templated text; None for one that no template explains."""


def whole_text(text: str) -> tuple[Message, ...] | None:
    """No template is known: no text is split."""
    del text


def record_of_text(text: str, untemplate: Untemplate, id: str, context: Mapping[str, Any] | None = None) -> Record:
    """A templated conversation as a record: its last turn, the assistant's, is what is judged.

    A text that ``untemplate`` cannot split is one response to an empty prompt.
    """
    return _of_turns(untemplate(text), id, context) or Record(
        id, _said("user", ""), (_answer(text),), (), context or {}
    )


def record_of_pair(
    prompt: str, response: str, untemplate: Untemplate, id: str, context: Mapping[str, Any] | None = None
) -> Record:
    """A prompt and the text that follows it, as a record.

    Where ``untemplate`` splits the two together, by their turns; else the prompt is the user's one turn, as it is.
    """
    found = _of_turns(untemplate(prompt + response), id, context)
    return found or Record(id, _said("user", prompt), (_answer(response),), (), context or {})


def _of_turns(turns: tuple[Message, ...] | None, id: str, context: Mapping[str, Any] | None) -> Record | None:
    if not turns or turns[-1].role != "assistant":
        return None
    return Record(id, turns[:-1], (Response(turns[-1:]),), (), context or {})


def _said(role: str, text: str) -> tuple[Message, ...]:
    return (Message(role, (Text(text),)),)


def _answer(text: str) -> Response:
    return Response(_said("assistant", text))
