"""Views of what was said of parts of responses: steps, and spans of their text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from assay.models.outputs import Outputs
from assay.objectives.stepwise import UNLABELLED
from assay.records import Record, Span, SpanLabels, StepLabels
from assay.training.feedback import Marks, Select, Weigh, alike, everything, span_labels_of, step_labels_of
from assay.training.supervision import Losses, Objective, Supervision, given, names_of

At: TypeAlias = Callable[[Span, Tensor, Tensor], Tensor]
"""``(span, starts [reads], ends [reads])``, the characters of each token, to ``[reads]`` bool: where its label goes."""


def on_steps(objective: Objective, *, select: Select = everything, weigh: Weigh = alike) -> Supervision:
    """Step labels through ``objective(steps, labels, *, mask)`` or, for a head with classes, ``(logits, labels, ...)``.

    Shapes: ``steps`` and ``labels`` ``[responses, longest]``, ``logits`` ``[responses, longest, classes]``. A label is
    0..1, NaN where there is none; as a class it is the nearest of as many steps from 0 to 1 as there are classes, and
    -100 where there is none. A step without a label gives no item and no gradient. The objective gives a loss a step
    ``[responses, longest]`` or a response ``[responses]``; weights multiply it. ``accuracy``: a label above one half is
    a right step; as a class, the likeliest one.

    Raises (when called):
        ValueError: the head gives no steps.
    """

    def labels(outputs: Outputs, marks: Marks) -> Tensor:
        return _padded([mark.labels for mark in marks.marks if isinstance(mark, StepLabels)])

    return _on_reads(
        objective, lambda records: step_labels_of(records, select=select, weigh=weigh), labels, spread=True
    )


def on_spans(
    objective: Objective,
    *,
    labels: Mapping[str, float] | None = None,
    outside: float | None = None,
    at: At | None = None,
    select: Select = everything,
    weigh: Weigh = alike,
) -> Supervision:
    """Labels of spans at the tokens (or steps) that were read, through objectives as in `on_steps`.

    A span's label is its own ``value``, or that of its name in ``labels``; a class is its number as it is. It goes
    where ``at`` says: to the token that ends it (`at_end`; Gunjal et al., 2023, arXiv 2308.06394), or to all of its
    tokens (`throughout`). Tokens in no span have the label ``outside``, or none.

    Raises (when called):
        ValueError: the head gives no steps, or the reward does not read where tokens end.
    """
    place = at or at_end

    def label(span: Span) -> float | None:
        return span.value if labels is None else labels.get(span.label)

    def found(outputs: Outputs, marks: Marks) -> Tensor:
        ends = given(outputs.ends, "ends (read=every_response_token)", objective).cpu()
        targets = torch.full((len(marks.marks), ends.shape[1]), torch.nan)
        for row, (index, mark) in enumerate(zip(marks.index.tolist(), marks.marks, strict=True)):
            own = ends[index][ends[index] >= 0]
            starts = torch.cat([own.new_zeros(min(1, own.numel())), own[:-1]])
            if outside is not None:
                targets[row, : own.numel()] = outside
            for span in mark.spans if isinstance(mark, SpanLabels) else ():
                value = label(span)
                if value is not None:
                    targets[row, : own.numel()][place(span, starts, own)] = value
        return targets

    return _on_reads(
        objective, lambda records: span_labels_of(records, select=select, weigh=weigh), found, spread=False
    )


def at_end(span: Span, starts: Tensor, ends: Tensor) -> Tensor:
    """The token that holds the last character of the span."""
    return (starts < span.end) & (ends >= span.end)


def throughout(span: Span, starts: Tensor, ends: Tensor) -> Tensor:
    """Every token that holds a character of the span."""
    return (starts < span.end) & (ends > span.start)


def _on_reads(
    objective: Objective,
    marks_in: Callable[[Sequence[Record]], Marks],
    labels_in: Callable[[Outputs, Marks], Tensor],
    *,
    spread: bool,
) -> Supervision:
    """``spread``: labels 0..1 are spread over the classes; otherwise they are their numbers."""
    named = names_of(objective)
    by_class = next(iter(inspect.signature(objective).parameters), "") == "logits"

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        marks = marks_in(records)
        if bool(outputs.values.detach().isnan().all()):
            return Losses(outputs.values[:0], excluded=sum(map(_said, marks.marks)), silent=marks.silent)
        steps = given(outputs.steps, "steps", objective)
        labels = labels_in(outputs, marks)
        index = marks.index.to(steps.device)
        width = max(steps.shape[1], labels.shape[1])
        labels = _wide(labels.to(steps.device), width)
        read = _wide(steps[index], width)
        said = ~labels.isnan()
        labelled = said & ~read.detach().isnan()
        labels = labels.where(labelled, torch.nan)
        extra = {"mask": labelled} if "mask" in named else {}
        if by_class:
            logits = _wide(given(outputs.step_logits, "step_logits (several classes)", objective)[index], width)
            classes = (labels * (logits.shape[-1] - 1) if spread else labels).round()
            targets = torch.where(labelled, classes, UNLABELLED).long()
            loss = objective(torch.where(labelled[..., None], logits, 0.0), targets, **extra)
            right = logits.detach().argmax(dim=-1) == targets
            decided = labelled
        else:
            loss = objective(torch.where(labelled, read, 0.0), labels, **extra)
            right = (read.detach() > 0) == (labels > 0.5)
            decided = labelled & (labels != 0.5)
        return Losses(
            items=_items(loss, labelled, marks.weight.to(loss)),
            metrics={"accuracy": (float(right[decided].sum()), float(decided.sum()))},
            excluded=int((said & ~labelled).sum()),
            silent=marks.silent,
        )

    return losses


def _said(mark: StepLabels | SpanLabels) -> int:
    if isinstance(mark, SpanLabels):
        return len(mark.spans)
    return sum(label is not None for label in mark.labels)


def _items(loss: Tensor, labelled: Tensor, weight: Tensor) -> Tensor:
    if loss.dim() == 2:
        return (loss * weight[:, None])[labelled]
    return (loss * weight)[labelled.any(dim=1)]


def _padded(rows: Sequence[Sequence[float | None]]) -> Tensor:
    found = torch.full((len(rows), max((len(row) for row in rows), default=0)), torch.nan)
    for place, row in enumerate(rows):
        found[place, : len(row)] = torch.tensor([torch.nan if label is None else label for label in row])
    return found


def _wide(rows: Tensor, width: int) -> Tensor:
    """``[rows, ...]`` padded with NaN to ``[rows, width, ...]``."""
    if rows.shape[1] == width:
        return rows
    more = rows.new_full((rows.shape[0], width - rows.shape[1], *rows.shape[2:]), torch.nan)
    return torch.cat([rows, more], dim=1)
