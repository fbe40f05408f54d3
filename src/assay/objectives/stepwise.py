"""Objectives of steps, tokens and spans: a number or class scores at each, and what a rater said of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.objectives import pointwise

UNLABELLED = -100
"""The class label of a position about which nothing was said."""


def binary_cross_entropy(steps: Tensor, labels: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """``-t log sigmoid(s) - (1 - t) log sigmoid(-s)`` of each step, ``[...]``, in nats: steps in logits, labels 0..1.

    A soft label is a success rate, as Monte-Carlo completions give. A label of NaN says nothing: loss 0, no gradient,
    also where the step itself is NaN (padding). Shapes: all ``[items]`` or ``[responses, steps]``.

    Raises:
        ValueError: a label lies outside 0..1.

    Sources: Lightman et al., 2023, arXiv 2305.20050; soft labels: Wang et al. (Math-Shepherd), 2023, arXiv 2312.08935.
    """
    return pointwise.binary_cross_entropy(steps, labels, weight=weight)


def squared_error(steps: Tensor, labels: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """``(sigmoid(step) - label)^2`` of each step, ``[...]``, in squared probabilities: regression on success rates.

    Shapes, and labels that say nothing, as in `binary_cross_entropy`.

    Source: ViLBench / ViLPRM, 2025.
    """
    values = torch.sigmoid(torch.where(labels.isnan(), 0.0, steps))
    return pointwise.squared_error(values, labels, weight=weight)


def classification(
    logits: Tensor, labels: Tensor, *, class_weight: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy of each labelled position, ``[...]``, in nats; 0 where the label is `UNLABELLED` (-100).

    ``L = -class_weight[c] log softmax(logits)[c]``. Shapes: ``logits`` ``[..., classes]``, ``labels`` int64 ``[...]``,
    ``class_weight`` ``[classes]``. Nothing flows back from unlabelled positions, also where their logits are NaN.

    Raises:
        ValueError: a label that is no class.

    Source: of steps right, neutral or wrong: Lightman et al., 2023, arXiv 2305.20050.
    """
    labelled = labels != UNLABELLED
    wrong = labelled & ((labels < 0) | (labels >= logits.shape[-1]))
    if bool(wrong.any()):
        raise ValueError(
            f"label {int(labels[wrong][0])} is no class of {logits.shape[-1]}; {UNLABELLED} marks a position without"
        )
    rows = torch.where(labelled.unsqueeze(-1), logits, 0.0)
    target = torch.where(labelled, labels, 0)
    loss = -F.log_softmax(rows, dim=-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
    if class_weight is not None:
        loss = loss * class_weight.to(loss)[target]
    loss = torch.where(labelled, loss, 0.0)
    return loss if weight is None else loss * weight


def token_classification(
    logits: Tensor, labels: Tensor, *, class_weight: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """`classification` averaged over the labelled positions of each response, ``[responses]``, in nats; 0 where none
    is.

    Shapes: ``logits`` ``[responses, tokens, classes]``, ``labels`` ``[responses, tokens]``, ``weight``
    ``[responses]``. With labels from `segment_end_labels` one token speaks for each segment.

    Sources: Gunjal et al. (M-HalDetect), 2023, arXiv 2308.06394; FGAIF, 2024, arXiv 2404.05046.
    """
    count = (labels != UNLABELLED).sum(dim=-1).clamp(min=1)
    loss = classification(logits, labels, class_weight=class_weight).sum(dim=-1) / count
    return loss if weight is None else loss * weight


def segment_end_labels(spans: Sequence[tuple[int, int]], labels: Sequence[int], length: int) -> Tensor:
    """``[length]`` int64: the label of each span ``[start, end)`` at its last position, `UNLABELLED` elsewhere.

    Raises:
        ValueError: another number of labels than spans, a span that is empty or outside ``0..length``, or two spans
            with one end.
    """
    if len(spans) != len(labels):
        raise ValueError(f"{len(spans)} spans but {len(labels)} labels")
    found = torch.full((length,), UNLABELLED, dtype=torch.long)
    for (start, end), label in zip(spans, labels, strict=True):
        if not 0 <= start < end <= length:
            raise ValueError(f"span {start}..{end} is empty or outside of 0..{length}")
        if int(found[end - 1]) != UNLABELLED:
            raise ValueError(f"two spans end at {end}")
        found[end - 1] = label
    return found
