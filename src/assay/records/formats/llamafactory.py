"""LLaMA-Factory ranking rows: sharegpt ``conversations`` with ``chosen`` and ``rejected``, and alpaca rows.

``images``, ``videos`` and ``audios`` are one list each over conversations, chosen and rejected: the n-th tag in that
order is the n-th medium, so answers may show different pictures. Messages in role and content form are read too, and
alpaca ``instruction``, ``input``, ``system``, ``chosen``, ``rejected``. Written: sharegpt, and an entry in the
``dataset_info.json`` beside the file. The better response is number 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from assay.media import Part, Text
from assay.records.attachments import KINDS, Kind, kind_of
from assay.records.formats.base import Encode, Format, Origin, Row, Target, context_of, with_context
from assay.records.pairs import ordered_pairs
from assay.records.placeholders import MediaQueue, media_columns, tagged, untagged
from assay.records.problems import BadRowError, FormatError, Problem
from assay.records.record import Message, Preference, Record, Response
from assay.records.sources import rows_of

_MEDIA = frozenset(f"{kind}s" for kind in KINDS)
_USED = frozenset({"id", "conversations", "chosen", "rejected"}) | _MEDIA
_ALPACA = frozenset({"id", "instruction", "input", "system", "chosen", "rejected"}) | _MEDIA
_ROLES = {"human": "user", "gpt": "assistant", "observation": "tool", "function_call": "assistant", "system": "system"}
_NAMES = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}


def recognises(row: Any) -> bool:
    """``chosen`` and ``rejected`` beside ``conversations``, ``messages`` or ``instruction``."""
    if not isinstance(row, dict):
        return False
    names = cast(Mapping[str, Any], row).keys()
    scored = {"score_chosen", "score_rejected"} <= names
    return {"chosen", "rejected"} <= names and bool(names & {"conversations", "messages", "instruction"}) and not scored


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """Tags take media in the order conversations, chosen, rejected."""
    queue = MediaQueue(media_columns(row), origin.root)
    if "instruction" in row:
        turns, used = _alpaca(row), _ALPACA
    else:
        name = "conversations" if "conversations" in row else "messages"
        turns, used = row[name], _USED | {name}
    prompt = tuple([_message(turn, queue.take) for turn in turns])
    responses = tuple([Response(_answer(row[name], queue.take)) for name in ("chosen", "rejected")])
    queue.finish()
    return Record(origin.id(row, number), prompt, responses, (Preference(0, 1),), context_of(row, used))


def _alpaca(row: Mapping[str, Any]) -> list[Row]:
    said = [text for text in (row["instruction"], row.get("input")) if text]
    system = [{"from": "system", "value": row["system"]}] if row.get("system") else []
    return [*system, {"from": "human", "value": "\n".join(said)}]


def _answer(value: Any, take: Callable[[Kind], Part]) -> tuple[Message, ...]:
    turns: list[Any] = value if isinstance(value, list) else [value]
    return tuple([_message({"from": "gpt", "value": turn} if isinstance(turn, str) else turn, take) for turn in turns])


def _message(turn: Mapping[str, Any], take: Callable[[Kind], Part]) -> Message:
    speaker = cast(str, turn["from"] if "from" in turn else turn["role"])
    value = turn["value"] if "value" in turn else turn["content"]
    if speaker == "function_call":
        calls = json.loads(value)
        listed = cast(list[Row], calls if isinstance(calls, list) else [calls])
        return Message("assistant", (), tool_calls=tuple({"type": "function", "function": call} for call in listed))
    return Message(_ROLES.get(speaker, speaker), untagged(value, take))


def writer(first: Sequence[Record], target: Target) -> Encode:
    """One row a preference; every row has the media columns that the first records need."""
    kinds: set[Kind] = {kind for record in first for part in record.parts() if (kind := kind_of(part)) is not None}

    def encode(record: Record) -> list[Row]:
        return [_row(record, preference, name, target, kinds) for name, preference in ordered_pairs(record)]

    return encode


def _row(record: Record, preference: Preference, name: str, target: Target, kinds: set[Kind]) -> Row:
    media: dict[Kind, list[Any]] = {kind: [] for kind in KINDS if kind in kinds}

    def put(kind: Kind, part: Part) -> None:
        if kind not in media:
            cause = f"the first {kind} comes after 1,000 records without; the columns would change"
            raise BadRowError("late_media", cause, f"put a record with {kind}s first")
        media[kind].append(target.put(part))

    row: Row = {"id": name, "conversations": [_turn(message, put) for message in record.prompt]}
    for column, index in (("chosen", preference.better), ("rejected", preference.worse)):
        messages = record.responses[index].messages
        if len(messages) != 1:
            raise BadRowError("unsupported_message", "a response of several messages", "write another format")
        row[column] = _turn(messages[0], put)
    row |= {f"{kind}s": values for kind, values in media.items()}
    return with_context(row, record, _USED)


def _turn(message: Message, put: Callable[[Kind, Part], None]) -> Row:
    if message.tool_calls:
        if any(part != Text("") for part in message.parts):
            cause = "a message with text and tool calls"
            raise BadRowError("unsupported_message", cause, "put the calls in a message of their own")
        calls = [call.get("function", call) for call in message.tool_calls]
        return {"from": "function_call", "value": json.dumps(calls[0] if len(calls) == 1 else calls)}
    return {"from": _NAMES.get(message.role, message.role), "value": tagged(message.parts, put)}


def describe_beside(path: Path) -> None:
    """Enter the written file in ``dataset_info.json`` beside it, keeping the other entries.

    Raises:
        FormatError: the file that is there is not a JSON object.
    """
    info = path.with_name("dataset_info.json")
    entries: Any = {}
    if info.exists():
        try:
            entries = json.loads(info.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FormatError(f"{info}: not JSON ({error}); mend it and write again") from error
        if not isinstance(entries, dict):
            raise FormatError(f"{info}: not a JSON object; mend it and write again")
    first = next(iter(rows_of(path)), None)
    present = cast(Row, first[1]) if first is not None and not isinstance(first, Problem) else {}
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    columns |= {name: name for name in sorted(_MEDIA) if name in present}
    entry = {"file_name": path.name, "ranking": True, "formatting": "sharegpt", "columns": columns}
    partial = info.with_name(info.name + ".partial")
    text = json.dumps({**entries, path.name.split(".")[0]: entry}, indent=2, ensure_ascii=False)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(info)


FORMAT = Format(
    "llama-factory",
    '"conversations" (or "messages", or alpaca "instruction") with "chosen" and "rejected" [, "images"]',
    recognises,
    to_record,
    writer,
    beside=describe_beside,
)
