"""Why a run had nothing to learn from, and what to do about it."""

from __future__ import annotations

from assay.media import Image
from assay.scores import Status
from assay.training.inputs import Inputs
from assay.training.result import State


def nothing_learned(inputs: Inputs, state: State) -> str:
    """The message for a run none of whose records gave an item: causes with counts, the rows' own reason, a remedy."""
    causes: list[str] = []
    if state.silent:
        causes.append(f"{_all(state.silent, 'record', not state.excluded)} no feedback of the objective's shape")
    if state.excluded:
        counts = ", ".join(_with_reason(inputs, status, count) for status, count in inputs.status.items())
        causes.append(f"{_all(state.excluded, 'item', True)} a response that cannot be scored (responses: {counts})")
    causes = causes or ["the objective made no item of them"]
    remedy = "Choose an objective for the feedback that the records have." if state.silent else ""
    if "image" not in inputs.reward.backbone.modalities and _holds_unread_pictures(inputs):
        remedy += (
            " Give a backbone that reads pictures: `assay new picture` makes one, or a vision-language checkpoint."
        )
    remedy += " `assay train --dry-run` shows the counts without training."
    return f"nothing to learn from in {len(inputs)} records: {', and '.join(causes)}. {remedy.strip()}"


def _all(count: int, noun: str, whole: bool) -> str:
    if count == 1:
        return f"the one {noun} has" if whole else f"1 {noun} has"
    return f"{'all ' if whole else ''}{count} {noun}s{' tried' if whole else ''} have"


def _with_reason(inputs: Inputs, status: Status, count: int) -> str:
    reason = inputs.reasons.get(status)
    return f"{count} {status}: {reason}" if reason else f"{count} {status}"


def _holds_unread_pictures(inputs: Inputs) -> bool:
    unread = inputs.status.get(Status.UNSUPPORTED_MODALITY, 0)
    return bool(unread) and any(isinstance(part, Image) for record in inputs.records for part in record.parts())
