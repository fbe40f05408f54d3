"""TRL preference rows: ``chosen`` and ``rejected`` with an explicit or implicit ``prompt``, text or messages.

``images`` (or one ``image``) fill the image placeholders of prompt, chosen and rejected, in that order; without
placeholders they stand before the first user text, as TRL puts them. ``margin`` is read and written. An implicit prompt
is what both answers begin with, messages or characters, cut where `trl.extract_prompt` cuts it.
Written rows are conversational; a Record holds the better response first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.media import Image, Part, Text
from assay.records.chat import is_chat, to_chat
from assay.records.formats.base import Encode, Format, Origin, Row, Target, context_of, with_context
from assay.records.pairs import ordered_pairs
from assay.records.placeholders import (
    MediaQueue,
    images_of,
    needs_typed_content,
    refuse_late_parts,
    turns_of,
    with_leading_images,
)
from assay.records.problems import BadRowError
from assay.records.record import Message, Preference, Record, Response

_USED = frozenset({"id", "prompt", "chosen", "rejected", "images", "image", "margin"})
_OTHERS = frozenset({"score_rejected", "rejected_trace", "rejected_reason", "video"})
_OTHER_PROMPTS = frozenset({"conversations", "messages", "instruction", "question", "query", "context"})


def recognises(row: Any) -> bool:
    """``chosen`` and ``rejected`` as text or messages, and no prompt under another name."""
    if not isinstance(row, dict):
        return False
    names = cast(Mapping[str, Any], row).keys()
    if not {"chosen", "rejected"} <= names or not (_is_answer(row["chosen"]) and _is_answer(row["rejected"])):
        return False
    if names & _OTHERS:
        return False
    if "prompt" in names:
        return not ("subset" in names and "chosen_model" in names)
    return not names & _OTHER_PROMPTS and not str(row["chosen"]).startswith("\n\nHuman:")


def _is_answer(value: Any) -> bool:
    return isinstance(value, str) or is_chat(value) or (isinstance(value, dict) and "role" in value)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """The better response is number 0."""
    if row.get("video") or row.get("videos"):
        cause = "a video, which TRL rows do not hold"
        raise BadRowError("unsupported_media", cause, "read the file with format='mm-rlhf'")
    prompt, chosen, rejected = _split(row.get("prompt"), row["chosen"], row["rejected"])
    images = images_of(row)
    if not images and isinstance(prompt, str) and isinstance(chosen, str) and isinstance(rejected, str):
        turns = (Message("user", (Text(prompt),)),)
        responses = tuple([Response((Message("assistant", (Text(text),)),)) for text in (chosen, rejected)])
    else:
        queue = MediaQueue({"image": images}, origin.root)
        turns = turns_of(prompt, "user", origin.root, queue)
        responses = tuple([Response(turns_of(a, "assistant", origin.root, queue)) for a in (chosen, rejected)])
        turns = with_leading_images(turns, queue)
        queue.finish()
    margin = row.get("margin")
    preference = Preference(0, 1, margin=None if margin is None else float(margin))
    return Record(origin.id(row, number), turns, responses, (preference,), context_of(row, _USED))


def _split(prompt: Any, chosen: Any, rejected: Any) -> tuple[Any, Any, Any]:
    if prompt is not None and not (isinstance(prompt, str) and is_chat(chosen) and is_chat(rejected)):
        return prompt, chosen, rejected
    if prompt is not None and not _repeats(prompt, chosen):
        return prompt, chosen, rejected
    cut = shared_prefix(chosen, rejected)
    return chosen[:cut], chosen[cut:], rejected[cut:]


def _repeats(prompt: str, chosen: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the messages of an answer begin with a user's: then they hold the prompt, and the column repeats it."""
    return len(chosen) > 1 and chosen[0].get("role") != "assistant"


def shared_prefix(chosen: Any, rejected: Any) -> int:
    """Where an implicit prompt ends: the first difference, before a space that precedes it; when one answer is the
    beginning of the other, one item before its end, so that something is left to answer."""
    shortest = min(len(chosen), len(rejected))
    if shortest == 0:
        raise BadRowError("empty_answer", "an empty answer and no prompt column", "give the prompt in its own column")
    cut = next((place for place in range(shortest) if chosen[place] != rejected[place]), shortest)
    if cut == shortest:
        return shortest - 1
    return cut - 1 if cut and chosen[cut - 1] == " " else cut


def writer(first: Sequence[Record], target: Target) -> Encode:
    """Conversational rows, one a preference; typed content throughout if a first record has more than text."""
    typed = any(needs_typed_content(record) for record in first)

    def encode(record: Record) -> list[Row]:
        return [_row(record, preference, name, target, typed) for name, preference in ordered_pairs(record)]

    return encode


def _row(record: Record, preference: Preference, name: str, target: Target, typed: bool) -> Row:
    images: list[Any] = []

    def put(part: Part) -> None:
        if not isinstance(part, Image):
            raise BadRowError("unsupported_media", "TRL rows hold images only", "write to the native format")
        images.append(target.put(part))

    chosen, rejected = record.responses[preference.better], record.responses[preference.worse]
    refuse_late_parts(record, typed)
    row: Row = {
        "id": name,
        "prompt": to_chat(record.prompt, put, typed=typed),
        "chosen": to_chat(chosen.messages, put, typed=typed),
        "rejected": to_chat(rejected.messages, put, typed=typed),
    }
    if typed:
        row["images"] = images
    if preference.margin is not None:
        row["margin"] = preference.margin
    return with_context(row, record, _USED)


FORMAT = Format(
    "trl", '"chosen" and "rejected" [, "prompt", "images", "margin"], text or messages', recognises, to_record, writer
)
