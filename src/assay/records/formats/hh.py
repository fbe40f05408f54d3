"""hh-rlhf transcripts (Bai et al. 2022, arXiv 2204.05862): ``chosen`` and ``rejected``, each a whole conversation.

Turns begin with two line ends and ``Human:`` or ``Assistant:``. The prompt is the longest run of turns that both begin
with, so that each answer begins with an assistant's turn; where the conversations part earlier, answers have several
turns. The better response is number 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.media import Text
from assay.records.formats.base import Encode, Format, Origin, Row, Target, context_of, with_context
from assay.records.pairs import ordered_pairs
from assay.records.problems import BadRowError
from assay.records.record import Message, Preference, Record, Response

_USED = frozenset({"id", "chosen", "rejected"})
_TURN = re.compile("\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}
_NAMES = {role: name for name, role in _ROLES.items()}


def recognises(row: Any) -> bool:
    """``chosen`` and ``rejected``, both transcripts, and no prompt."""
    if not isinstance(row, dict):
        return False
    columns = cast(Mapping[str, Any], row)
    answers = (columns.get("chosen"), columns.get("rejected"))
    return "prompt" not in columns and all(isinstance(a, str) and a.startswith("\n\nHuman:") for a in answers)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The shared turns are the prompt."""
    chosen, rejected = _turns(row["chosen"]), _turns(row["rejected"])
    shared = next((n for n, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), None)
    cut = min(len(chosen), len(rejected)) - 1 if shared is None else shared
    while cut > 0 and not (chosen[cut].role == rejected[cut].role == "assistant"):
        cut -= 1
    responses = (Response(chosen[cut:]), Response(rejected[cut:]))
    return Record(origin.id(row, number), chosen[:cut], responses, (Preference(0, 1),), context_of(row, _USED))


def _turns(transcript: str) -> tuple[Message, ...]:
    before, *pieces = _TURN.split(transcript)
    if before or not pieces:
        raise BadRowError("bad_transcript", "no turn at the beginning", "begin with two line ends and 'Human:'")
    speakers = zip(pieces[::2], pieces[1::2], strict=True)
    return tuple([Message(_ROLES[name], (Text(text.removeprefix(" ")),)) for name, text in speakers])


def writer(_first: Sequence[Record], _target: Target) -> Encode:
    """One row a preference; text of user and assistant only."""

    def encode(record: Record) -> list[Row]:
        return [
            with_context(
                {
                    "id": name,
                    "chosen": _transcript((*record.prompt, *record.responses[preference.better].messages)),
                    "rejected": _transcript((*record.prompt, *record.responses[preference.worse].messages)),
                },
                record,
                _USED,
            )
            for name, preference in ordered_pairs(record)
        ]

    return encode


def _transcript(messages: Sequence[Message]) -> str:
    text = ""
    for message in messages:
        plain = all(isinstance(part, Text) for part in message.parts)
        if message.role not in _NAMES or not plain or message.tool_calls:
            raise BadRowError("unsupported_message", "more than text of user and assistant", "write another format")
        if _TURN.search(message.text):
            raise BadRowError("literal_turn", "the text itself holds the mark of a turn", "write another format")
        text += f"\n\n{_NAMES[message.role]}: {message.text}"
    return text


FORMAT = Format("hh-rlhf", '"chosen" and "rejected", transcripts "\\n\\nHuman: ..."', recognises, to_record, writer)
