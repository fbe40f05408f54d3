"""Rapidata comparisons (huggingface.co/Rapidata): two videos or images of a ``prompt``, with weighted votes.

``weighted_results1_NAME`` and ``weighted_results2_NAME`` are the votes for the first and the second under a criterion;
the share of the better one is the preference's ``probability``, equal votes are a tie. The media are ``file_name1`` and
``file_name2`` (local names of videos), else ``video1`` and ``video2``, else ``image1`` and ``image2``;
``prompt_asset`` is a picture that the prompt begins with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.media import Text
from assay.records.attachments import Kind, medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Message, Preference, Record, Response

_FIRST, _SECOND = "weighted_results1_", "weighted_results2_"
_MEDIA: tuple[tuple[str, Kind], ...] = (("file_name", "video"), ("video", "video"), ("image", "image"))


def recognises(row: Any) -> bool:
    """``prompt``, a pair of media and of weighted votes."""
    if not isinstance(row, dict):
        return False
    columns = cast(Mapping[str, Any], row)
    voted = any(str(name).startswith(_FIRST) for name in columns)
    return voted and "prompt" in columns and any(f"{name}1" in columns for name, _ in _MEDIA)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A preference for each criterion that has votes."""
    found = next((pair for pair in _MEDIA if row.get(f"{pair[0]}1")), None)
    if found is None:
        raise BadRowError("missing_media", "no video or image", "give video1 and video2, or image1 and image2")
    name, kind = found
    media = tuple([Response.of(medium(kind, row[f"{name}{place}"], origin.root)) for place in (1, 2)])
    criteria = [column.removeprefix(_FIRST) for column in row if column.startswith(_FIRST)]
    votes = [(criterion, row[_FIRST + criterion], row[_SECOND + criterion]) for criterion in criteria]
    heard = [_preference(float(a), float(b), said) for said, a, b in votes if a is not None and b is not None]
    asset = row.get("prompt_asset")
    shown = () if asset is None else (medium("image", asset, origin.root),)
    used = {"id", "prompt", "prompt_asset", *(f"{column}{place}" for column, _ in _MEDIA for place in (1, 2))}
    used |= {prefix + criterion for prefix in (_FIRST, _SECOND) for criterion in criteria}
    return Record(
        origin.id(row, number),
        (Message("user", (*shown, Text(row["prompt"]))),),
        media,
        tuple([preference for preference in heard if preference is not None]),
        context_of(row, frozenset(used)),
    )


def _preference(first: float, second: float, criterion: str) -> Preference | None:
    if first + second <= 0:
        return None
    if first == second:
        return Preference(0, 1, probability=0.5, tie=True, criterion=criterion)
    better, worse = (0, 1) if first > second else (1, 0)
    return Preference(better, worse, probability=max(first, second) / (first + second), criterion=criterion)


FORMAT = Format(
    "rapidata", '"prompt", "video1" or "image1" or "file_name1", and "weighted_results1_..."', recognises, to_record
)
