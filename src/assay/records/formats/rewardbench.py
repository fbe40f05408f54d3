"""RewardBench rows (Lambert et al. 2024, arXiv 2403.13787), and those of RewardBench 2 (Malik et al. 2025, 2506.01937).

Version 1: ``prompt``, ``chosen``, ``rejected``, ``chosen_model``, ``rejected_model``, ``subset``, ``id``: a preference.
Version 2: ``chosen`` and ``rejected`` are lists of answers; a `Ranking` puts the chosen ones at 0, the others at 1.
Further columns (``subset``, the models, ``additional_metadata``) are context. A ranking of three or more responses as
right (0) and wrong (1) is written in version 2, everything else in version 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.media import Text
from assay.records.chat import is_chat, to_chat
from assay.records.formats.base import Encode, Format, Origin, Row, Target, context_of, with_context
from assay.records.pairs import ordered_pairs
from assay.records.placeholders import MediaQueue, turns_of
from assay.records.problems import BadRowError
from assay.records.record import Message, Preference, Ranking, Record, Response

_USED = frozenset({"id", "prompt", "chosen", "rejected"})
_COUNTS = frozenset({"num_correct", "num_rejected", "total_completions"})


def recognises(row: Any) -> bool:
    """``subset`` beside chosen and rejected, with the models (version 1) or lists of answers (version 2)."""
    if not isinstance(row, dict):
        return False
    columns = cast(Mapping[str, Any], row)
    if not {"prompt", "chosen", "rejected", "subset"} <= columns.keys():
        return False
    return _is_list(columns["chosen"]) or "chosen_model" in columns


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and not is_chat(value)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """Chosen answers come first."""
    queue = MediaQueue({}, origin.root)
    prompt = turns_of(row["prompt"], "user", origin.root, queue)
    chosen, rejected = (row[name] if _is_list(row[name]) else [row[name]] for name in ("chosen", "rejected"))
    responses = tuple([Response(turns_of(a, "assistant", origin.root, queue)) for a in (*chosen, *rejected)])
    listed = _is_list(row["chosen"])
    feedback = Ranking((0,) * len(chosen) + (1,) * len(rejected)) if listed else Preference(0, 1)
    context = context_of(row, _USED | _COUNTS if listed else _USED)
    return Record(origin.id(row, number), prompt, responses, (feedback,), context)


def writer(_first: Sequence[Record], _target: Target) -> Encode:
    """Text only."""

    def encode(record: Record) -> list[Row]:
        ranks = next((found.ranks for found in record.feedback if isinstance(found, Ranking)), ())
        if len(ranks) > 2 and set(ranks) == {0, 1}:
            chosen = [_plain(record.responses[index].messages) for index, rank in enumerate(ranks) if rank == 0]
            rejected = [_plain(record.responses[index].messages) for index, rank in enumerate(ranks) if rank == 1]
            row: Row = {"id": record.id, "prompt": _plain(record.prompt), "chosen": chosen, "rejected": rejected}
            row |= {"num_correct": len(chosen), "num_rejected": len(rejected), "total_completions": len(ranks)}
            return [with_context(row, record, _USED | _COUNTS)]
        rows: list[Row] = []
        for name, preference in ordered_pairs(record):
            answers = [_plain(record.responses[n].messages) for n in (preference.better, preference.worse)]
            row = {"id": name, "prompt": _plain(record.prompt), "chosen": answers[0], "rejected": answers[1]}
            rows.append(with_context(row, record, _USED))
        return rows

    return encode


def _plain(messages: Sequence[Message]) -> Any:
    if any(not isinstance(part, Text) for message in messages for part in message.parts):
        raise BadRowError("unsupported_media", "RewardBench rows hold text only", "write another format")
    single = messages[0] if len(messages) == 1 else None
    if single is not None and single.role in ("user", "assistant") and len(single.parts) == 1:
        return single.text
    return to_chat(messages)


FORMAT = Format(
    "rewardbench",
    '"prompt", "chosen", "rejected", "subset" and "chosen_model" (or lists)',
    recognises,
    to_record,
    writer,
)
