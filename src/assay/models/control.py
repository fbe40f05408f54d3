"""Text that cannot forge control tokens: special tokens and placeholders in a message stay plain text to the model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from assay.models.pictures import PictureLayout

_MARKS = tuple(chr(code) for code in range(0xE000, 0xE020))


class TemplateError(ValueError):
    """A dialogue that this backbone's template cannot write; the message says why."""


def control_tokens(tokenizer: Any, layout: PictureLayout | None) -> re.Pattern[str]:
    """Matches every token that a message must not be able to write: special tokens and picture placeholders."""
    return any_of(control_ids(tokenizer, layout))


def control_ids(tokenizer: Any, layout: PictureLayout | None) -> dict[str, int]:
    """The id of each control token by its text."""
    added = cast("Mapping[int, Any]", tokenizer.added_tokens_decoder)
    found = {str(token.content): int(index) for index, token in added.items() if token.special}
    for token in (*tokenizer.all_special_tokens, *((layout.placeholder, layout.token) if layout else ())):
        found.setdefault(str(token), int(tokenizer.convert_tokens_to_ids(token)))
    return {token: index for token, index in found.items() if token}


def any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    """Matches the longest of the tokens that stands at a place; nothing when there are none."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(re.escape(token) for token in longest_first) or r"(?!)")


def free_mark(contents: object) -> str:
    """A character that stands nowhere in the contents.

    Raises:
        TemplateError: every candidate character is taken.
    """
    text = json.dumps(contents, ensure_ascii=False, default=str)
    for mark in _MARKS:
        if mark not in text:
            return mark
    raise TemplateError("the dialogue uses every private-use character from U+E000 to U+E01F")


def guard(value: object, control: re.Pattern[str], mark: str) -> object:
    """The same value with ``mark`` set behind the first character of every control token in its strings."""
    if isinstance(value, str):
        return control.sub(lambda found: found[0][0] + mark + found[0][1:], value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value)
        return {key: item if key == "type" else guard(item, control, mark) for key, item in pairs.items()}
    if isinstance(value, list | tuple):
        return [guard(item, control, mark) for item in cast("Sequence[object]", value)]
    return value


def unmark(text: str, mark: str) -> tuple[str, tuple[int, ...]]:
    """The text without marks, and the offsets in it of the control tokens that were marked."""
    if not mark or mark not in text:
        return text, ()
    pieces = text.split(mark)
    ends: list[int] = []
    length = 0
    for piece in pieces[:-1]:
        length += len(piece)
        ends.append(length - 1)
    return "".join(pieces), tuple(ends)
