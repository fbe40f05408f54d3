"""VideoAlign rows (Liu et al. 2025, arXiv 2501.13918): two videos of one prompt, compared under up to four criteria.

``path_A``, ``path_B``, ``prompt`` and any of ``VQ`` (visual quality), ``MQ`` (motion quality), ``TA`` (text alignment)
and ``Overall``: ``A``, ``B`` or ``same``, a tie; 22 and ``invalid`` mark a cell that says nothing. Usually a CSV file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.attachments import medium
from assay.records.formats.base import Format, Origin, context_of
from assay.records.problems import BadRowError
from assay.records.record import Preference, Record, Response, messages_of

CRITERIA = ("VQ", "MQ", "TA", "Overall")

_USED = frozenset({"id", "path_A", "path_B", "prompt", *CRITERIA})
_SILENT = ("", "22", "22.0", "invalid", "none", "nan")


def recognises(row: Any) -> bool:
    """``path_A``, ``path_B``, ``prompt`` and a criterion."""
    if not isinstance(row, dict):
        return False
    names = cast(Mapping[str, Any], row).keys()
    return {"path_A", "path_B", "prompt"} <= names and not names.isdisjoint(CRITERIA)


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """A preference for each criterion that says something."""
    found = [_preference(str(row[name]).strip(), name) for name in CRITERIA if name in row]
    responses = tuple([Response.of(medium("video", row[name], origin.root)) for name in ("path_A", "path_B")])
    return Record(
        origin.id(row, number),
        messages_of(row["prompt"], "user"),
        responses,
        tuple([preference for preference in found if preference is not None]),
        context_of(row, _USED),
    )


def _preference(cell: str, criterion: str) -> Preference | None:
    said = cell.lower()
    if said in _SILENT:
        return None
    if said == "same":
        return Preference(0, 1, probability=0.5, tie=True, criterion=criterion)
    if said not in ("a", "b"):
        raise BadRowError("bad_label", f"{criterion} {cell!r}", "give A, B, same or invalid")
    better, worse = (0, 1) if said == "a" else (1, 0)
    return Preference(better, worse, criterion=criterion)


FORMAT = Format("videoalign", '"path_A", "path_B", "prompt" and of "VQ", "MQ", "TA", "Overall"', recognises, to_record)
