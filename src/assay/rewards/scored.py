"""Scoring within the memory there is, and the outputs of a head as scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from assay.models.base import Batch, Pixels
from assay.models.outputs import Outputs, placed
from assay.records import Record
from assay.rewards.base import scores_of
from assay.scores import Scores, Status


@dataclass(frozen=True, slots=True)
class Cells:
    """What became of each response so far. ``gaps``: a value that is not a number lacks what it is of."""

    status: list[Status]
    messages: list[str]
    gaps: bool = False


def scores_from(records: Sequence[Record], outputs: Outputs, rows: Sequence[int], cells: Cells) -> Scores:
    """Scores of all responses from the outputs of some of them: ``rows`` are their places."""
    status, messages = list(cells.status), list(cells.messages)
    for row, value in zip(rows, outputs.values.tolist(), strict=True):
        if math.isnan(value) and cells.gaps:
            status[row], messages[row] = Status.MISSING_CONTEXT, "a modality that the head needs is missing"
        elif not math.isfinite(value):
            status[row], messages[row] = Status.NON_FINITE, f"the model computed {value}"
    spread = placed(outputs, rows, range(len(rows)), len(status))
    ok = torch.tensor([each is Status.OK for each in status], dtype=torch.bool)
    values = _finite(spread.values, ok)
    columns: dict[str, Any] = {}
    if spread.log_variance is not None:
        columns["std"] = _finite(torch.exp(0.5 * spread.log_variance), ok)
    if spread.attributes is not None:
        columns["attributes"] = {
            name: _finite(column, ok)
            for name, column in zip(outputs.names, spread.attributes.unbind(dim=-1), strict=True)
        }
    if outputs.steps is not None:
        columns["steps"] = _steps(spread, ok)
    return scores_of(records, values, status, messages, **columns)


def _finite(column: Tensor, ok: Tensor) -> Tensor:
    found = column.cpu()
    return torch.where(ok & found.isfinite(), found, torch.nan)


def _steps(spread: Outputs, ok: Tensor) -> tuple[Tensor, ...]:
    """Of each response the numbers of its own steps: padding is where not a number stands to the end."""
    steps = spread.extra.get("step_scores", spread.steps)
    assert steps is not None
    found: list[Tensor] = []
    for row, judged in zip(steps.cpu(), ok.tolist(), strict=True):
        held = (~row.isnan()).nonzero().flatten()
        length = int(held[-1]) + 1 if judged and held.numel() else 0
        found.append(torch.where(row[:length].isfinite(), row[:length], torch.nan))
    return tuple(found)


def states_within(
    batch: Batch, run: Callable[[Batch, int], list[Tensor]], budget: int
) -> tuple[list[Tensor | Status], int]:
    """States in order over groups, and the token budget that held: halved once when memory ran out."""
    groups = batch.groups
    if not groups:
        return [], budget
    order = sorted(range(len(groups)), key=lambda g: max(sequence.ids.numel() for sequence in groups[g]))
    found: list[list[Tensor | Status]] = [[] for _ in groups]
    try:
        flat: list[Tensor | Status] = list(_attempt(batch, order, run, budget))
    except torch.OutOfMemoryError:
        budget = max(1, budget // 2)
        flat = [states for group in order for states in _alone(batch, group, run, budget)]
    place = 0
    for group in order:
        found[group] = flat[place : place + len(groups[group])]
        place += len(groups[group])
    return [states for group in found for states in group], budget


def _alone(batch: Batch, group: int, run: Callable[[Batch, int], list[Tensor]], budget: int) -> list[Tensor | Status]:
    try:
        return list(_attempt(batch, [group], run, budget))
    except torch.OutOfMemoryError:
        return [Status.OUT_OF_MEMORY] * len(batch.groups[group])


def _attempt(
    batch: Batch, order: Sequence[int], run: Callable[[Batch, int], list[Tensor]], budget: int
) -> list[Tensor]:
    try:
        return run(_part(batch, order), budget)
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in text or "out of memory" in text:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            raise torch.OutOfMemoryError(text) from error
        raise


def _part(batch: Batch, order: Sequence[int]) -> Batch:
    groups = [batch.groups[group] for group in order]
    keys = {key for group in groups for sequence in group for key in sequence.images}
    pixels: dict[str, Pixels] = {key: batch.pixels[key] for key in keys}
    return Batch(groups, pixels)
