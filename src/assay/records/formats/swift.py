"""ms-swift rows: ``messages`` that end in the better answer, and the worse one as ``rejected_response`` (text) or
``rejected_messages`` (a whole conversation), each with its own media list; or ``messages`` with a true/false ``label``.

``images``, ``videos`` and ``audios`` fill the tags of ``messages``, ``rejected_images`` and so on those of the rejected
conversation (without them both share one list). Images without any tag stand before the first user text. ``margin`` is
read and written. The better response is number 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from assay.media import Part, Text
from assay.records.attachments import KINDS, Kind
from assay.records.chat import parts_of
from assay.records.formats.base import Encode, Format, Origin, Row, Target, context_of, with_context
from assay.records.pairs import ordered_pairs
from assay.records.placeholders import MediaQueue, media_columns, tagged, untagged, with_leading_images
from assay.records.problems import BadRowError
from assay.records.record import Message, Preference, Rating, Record, Response

_REJECTED = frozenset({"rejected_response", "rejected_messages", *(f"rejected_{kind}s" for kind in KINDS)})
_USED = frozenset({"id", "messages", "margin", "label", *(f"{kind}s" for kind in KINDS)}) | _REJECTED


def recognises(row: Any) -> bool:
    """``messages``, with a rejected answer or a label."""
    if not isinstance(row, dict):
        return False
    names = cast(Mapping[str, Any], row).keys()
    return "messages" in names and "chosen" not in names and bool(names & (_REJECTED | {"label"}))


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """Split where the two conversations part."""
    context = context_of(row, _USED)
    chosen = _conversation(row["messages"], media_columns(row), origin.root)
    if not any(row.get(name) is not None for name in _REJECTED):
        if row["label"] not in (0, 1):
            raise BadRowError("bad_label", f"label {row['label']!r}", "give true or false")
        response, rating = Response(chosen[-1:]), Rating(0, float(row["label"]))
        return Record(origin.id(row, number), chosen[:-1], (response,), (rating,), context)
    turns, media = _rejected(row)
    rejected = _conversation(turns, media, origin.root)
    cut = _shared(row, turns, media)
    margin = row.get("margin")
    preference = Preference(0, 1, margin=None if margin is None else float(margin))
    responses = (Response(chosen[cut:]), Response(rejected[cut:]))
    return Record(origin.id(row, number), chosen[:cut], responses, (preference,), context)


def _rejected(row: Mapping[str, Any]) -> tuple[list[Row], dict[Kind, list[Any]]]:
    media = media_columns(row) | media_columns(row, "rejected_")
    if row.get("rejected_messages") is not None:
        return list(row["rejected_messages"]), media
    turns = list(row["messages"])
    if row.get("rejected_response") is not None:
        turns[-1] = {**turns[-1], "content": row["rejected_response"]}
    return turns, media


def _shared(row: Mapping[str, Any], turns: Sequence[Row], media: Mapping[Kind, Sequence[Any]]) -> int:
    """How many messages both begin with, media included; at least one is left to each."""
    messages, own = row["messages"], media_columns(row)
    most = min(len(messages), len(turns)) - 1
    cut = next((n for n in range(most) if dict(messages[n]) != dict(turns[n])), most)
    while cut > 0 and any(_first_media(own, messages, cut, k) != _first_media(media, turns, cut, k) for k in KINDS):
        cut -= 1
    return cut


def _first_media(media: Mapping[Kind, Sequence[Any]], turns: Sequence[Row], cut: int, kind: Kind) -> list[Any]:
    """The media that the first ``cut`` messages show; all of them where no message has a tag (they lead the prompt)."""
    tags = [str(turn["content"]).count(f"<{kind}>") for turn in turns]
    return list(media.get(kind, ()))[: sum(tags[:cut]) if any(tags) else None]


def _conversation(messages: Sequence[Row], media: Mapping[Kind, Sequence[Any]], root: Path) -> tuple[Message, ...]:
    if not messages:
        raise BadRowError("bad_message", "no messages", "give the prompt and the answer")
    queue = MediaQueue(media, root)
    turns: list[Message] = []
    for message in messages:
        content = message["content"]
        parts = untagged(content, queue.take) if isinstance(content, str) else parts_of(content, root, queue.take)
        turns.append(Message(message["role"], parts))
    found = with_leading_images(tuple(turns), queue)
    queue.finish()
    return found


def writer(_first: Sequence[Record], target: Target) -> Encode:
    """One row a preference, or one a rating of 0 or 1 where nothing is preferred."""

    def encode(record: Record) -> list[Row]:
        ratings = [feedback for feedback in record.feedback if isinstance(feedback, Rating)]
        if len(record.responses) == 1 and len(ratings) == 1 and ratings[0].value in (0, 1):
            row = {"id": record.id, **_written((*record.prompt, *record.responses[0].messages), target)}
            return [with_context(row | {"label": ratings[0].value == 1}, record, _USED)]
        return [_row(record, preference, name, target) for name, preference in ordered_pairs(record)]

    return encode


def _row(record: Record, preference: Preference, name: str, target: Target) -> Row:
    better = record.responses[preference.better].messages
    worse = record.responses[preference.worse].messages
    row: Row = {"id": name, **_written((*record.prompt, *better), target)}
    simple = len(better) == len(worse) == 1 and better[0].role == worse[0].role
    if simple and all(isinstance(part, Text) for part in (*better[0].parts, *worse[0].parts)):
        row["rejected_response"] = tagged(worse[0].parts, _no_media)
    else:
        none: Row = {f"rejected_{kind}s": [] for kind in KINDS if f"{kind}s" in row}
        row |= none | _written((*record.prompt, *worse), target, "rejected_")
    if preference.margin is not None:
        row["margin"] = preference.margin
    return with_context(row, record, _USED)


def _no_media(kind: Kind, part: Part) -> None:
    raise AssertionError(f"{kind} {part} in a text")


def _written(messages: Sequence[Message], target: Target, prefix: str = "") -> Row:
    media: dict[Kind, list[Any]] = {}

    def put(kind: Kind, part: Part) -> None:
        media.setdefault(kind, []).append(target.put(part))

    if any(message.tool_calls for message in messages):
        cause = "tool calls, which ms-swift keeps as messages of role tool_call"
        raise BadRowError("unsupported_tools", cause, "write them so, or write to the trl or native format")
    turns = [{"role": message.role, "content": tagged(message.parts, put)} for message in messages]
    return {f"{prefix}messages": turns} | {f"{prefix}{kind}s": values for kind, values in media.items()}


FORMAT = Format(
    "ms-swift", '"messages" with "rejected_response", "rejected_messages" or "label"', recognises, to_record, writer
)
