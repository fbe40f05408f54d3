"""Rows of step values from tree search, as ViLReward-73K has them (Tu et al. 2025, arXiv 2503.20271).

``image``, ``question``, ``process`` (the steps up to here, as text or as a list) and ``value``, the share of rollouts
from here that reached the right answer: the label of the last step; those before it are unlabelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from assay.records.formats.base import Format, Origin, context_of
from assay.records.formats.rlaifv import asked
from assay.records.problems import BadRowError
from assay.records.record import Record, Response, StepLabels

_USED = frozenset({"id", "image", "question", "process", "value"})


def recognises(row: Any) -> bool:
    """``image``, ``question``, ``process`` and ``value``."""
    return isinstance(row, dict) and {"image", "question", "process", "value"} <= cast(Mapping[str, Any], row).keys()


def to_record(row: Mapping[str, Any], number: int, origin: Origin) -> Record:
    """One response, the steps so far."""
    value = row["value"]
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadRowError("bad_label", f"value {value!r}", "give a share from 0 to 1")
    steps = [row["process"]] if isinstance(row["process"], str) else list(row["process"])
    labels = (*([None] * (len(steps) - 1)), float(value))
    prompt = (asked(row["question"], row["image"], origin.root),)
    responses = (Response.from_steps(steps),)
    return Record(origin.id(row, number), prompt, responses, (StepLabels(0, labels),), context_of(row, _USED))


FORMAT = Format("vilreward", '"image", "question", "process", "value"', recognises, to_record)
