"""Responses split into steps: by lines, sentences, a separator, turns, or a rule of your own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from assay.media import Text
from assay.records.record import Message, Record, Response, StepEnd

Ends: TypeAlias = Callable[[str], list[int]]
"""A text to the characters at which its steps end, ascending."""
Split: TypeAlias = Callable[[Response], tuple[StepEnd, ...]]
"""A response to where its steps end."""

NOT_OWN = frozenset({"tool", "function", "environment", "observation", "user", "system"})
"""Roles whose messages in a response are answers to it, not its own text: no step ends in them."""

_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|Dr|Mr|Mrs|Ms|Prof|Fig|Eq|approx)|^\s*\d+)\.\Z", re.M)
_SENTENCE = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|[\u3002\uff01\uff1f]+")


def by(ends: Ends) -> Split:
    """Splits every text of the response's own messages. A picture, video or sound belongs to the step before it.

    A step that would hold nothing but white space is no step.
    """

    def split(response: Response) -> tuple[StepEnd, ...]:
        return tuple([end for number, message in _own(response) for end in _of_message(number, message, ends)])

    return split


def _own(response: Response) -> Iterator[tuple[int, Message]]:
    return ((number, message) for number, message in enumerate(response.messages) if message.role not in NOT_OWN)


def _of_message(number: int, message: Message, ends: Ends) -> list[StepEnd]:
    found: list[StepEnd] = []
    for place, part in enumerate(message.parts):
        if not isinstance(part, Text):
            found = [*found[:-1], StepEnd(number, place)]
            continue
        start = 0
        for end in ends(part.text):
            if part.text[start:end].strip():
                found.append(StepEnd(number, place, end))
            start = end
    return found


def _line_ends(text: str) -> list[int]:
    return [found.end() for found in re.finditer(r"[^\n]*\S", text)]


def _sentence_ends(text: str) -> list[int]:
    found = [match.end() for match in _SENTENCE.finditer(text) if not _ABBREVIATION.search(text, 0, match.end())]
    rest = len(text.rstrip())
    return found if not found or found[-1] >= rest else [*found, rest]


lines = by(_line_ends)
"""A step is a line that is not blank; it ends before the line break."""

sentences = by(lambda text: _sentence_ends(text) or [len(text.rstrip())])
"""A step is a sentence: up to ``.``, ``!``, ``?`` or their full-width forms, outside numbers and abbreviations."""


def separator(text: str, *, within: bool = False) -> Split:
    r"""A step is what stands between two occurrences of ``text`` (a blank line ``"\n\n"``, a special mark).

    With ``within`` a step ends behind its separator, not in front of it: rewards trained on separators read there.

    Raises:
        ValueError: ``text`` is empty.
    """
    if not text:
        raise ValueError("an empty separator splits nothing")

    def ends(whole: str) -> list[int]:
        found = [match.end() if within else match.start() for match in re.finditer(re.escape(text), whole)]
        return [*found, len(whole)]

    return by(ends)


def turns(response: Response) -> tuple[StepEnd, ...]:
    """A step is one message of the response's own: the turns of an agent between those of its tools."""
    return tuple([_message_end(number, message) for number, message in _own(response) if message.parts])


def _message_end(number: int, message: Message) -> StepEnd:
    last = message.parts[-1]
    return StepEnd(number, len(message.parts) - 1, len(last.text) if isinstance(last, Text) else None)


def split_steps(record: Record, split: Split = lines) -> Record:
    """The record with its responses' steps marked; a response that has marked steps keeps them and their labels."""
    responses = [
        response if response.step_ends else replace(response, step_ends=split(response))
        for response in record.responses
    ]
    return replace(record, responses=tuple(responses))


def own_steps(response: Response) -> tuple[bool, ...]:
    """Whether each step ends in a message of the response's own, not in what a tool or the environment says."""
    return tuple([response.messages[end.message].role not in NOT_OWN for end in response.step_ends])


def step_texts(response: Response) -> tuple[str, ...]:
    """The text of each step: from where the step before it ends, in the order of the messages, to its own end."""
    starts: dict[tuple[int, int], int] = {}
    length = 0
    for number, message in enumerate(response.messages):
        for place, part in enumerate(message.parts):
            starts[number, place] = length
            length += len(part.text) if isinstance(part, Text) else 0
    text, before, found = response.text, 0, list[str]()
    for end in response.step_ends:
        part = response.messages[end.message].parts[end.part]
        whole = len(part.text) if isinstance(part, Text) else 0
        stop = starts[end.message, end.part] + (whole if end.offset is None else end.offset)
        found.append(text[before:stop])
        before = stop
    return tuple(found)


def up_to_step(response: Response, step: int) -> Response:
    """The response cut where step ``step`` (0 the first) ends, with the steps up to it: the prefix it is judged by.

    Raises:
        IndexError: the response has no such step.
    """
    end = response.step_ends[step]
    cut = response.messages[end.message]
    last = cut.parts[end.part]
    part = Text(last.text[: end.offset]) if isinstance(last, Text) else last
    final = replace(cut, parts=(*cut.parts[: end.part], part))
    kept = response.step_ends[: step + 1 or None]
    return Response((*response.messages[: end.message], final), kept)


def begun(record: Record) -> Response:
    """What a record says so far, its last message the response's own and open to be gone on with.

    Raises:
        ValueError: the record has several responses.
    """
    if len(record.responses) > 1:
        raise ValueError(f"record {record.id}: a prefix is one response, or none, not {len(record.responses)}")
    said = record.responses[0] if record.responses else Response(())
    if not said.messages or not said.messages[-1].parts or said.messages[-1].role in NOT_OWN:
        said = replace(said, messages=(*said.messages, Message("assistant", (Text(""),))))
    return said


def gone_on(said: Response, text: str) -> Response:
    """The response with ``text`` behind its last message's; its marked steps stay."""
    last = said.messages[-1]
    final = last.parts[-1]
    parts = (*last.parts[:-1], Text(final.text + text)) if isinstance(final, Text) else (*last.parts, Text(text))
    return Response((*said.messages[:-1], replace(last, parts=parts)), said.step_ends)


def cut_at(response: Response, split: Split, step: int) -> tuple[Response, bool]:
    """The response, its steps marked by ``split``, up to the end of step ``step`` (0 the first), and whether that is
    all of it."""
    marked = replace(response, step_ends=split(response))
    if step >= len(marked.step_ends) - 1:
        return marked, True
    return up_to_step(marked, step), False
