"""Supervision: an objective applied to what the records' feedback says. The loop knows no shapes; these views do.

Feedback under a criterion is about the head's attribute of that name, where it has one, and else about the overall
score. Views of steps and spans are in `stepwise`, sums of several terms in `terms`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from assay.models.outputs import Outputs
from assay.records import Record
from assay.training.feedback import (
    NO_RANK,
    Ratings,
    Reduce,
    Select,
    Weigh,
    alike,
    everything,
    lists_of,
    outcomes_of,
    pairs_of,
    ratings_of,
)

Objective: TypeAlias = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss of each item (pair, list or rating) of a batch, and what was measured on the way.

    ``metrics`` holds (sum, count) of each figure, so that batches add up. ``excluded`` are items dropped because a
    response they need abstained; ``silent`` are records without feedback of the shape.
    """

    items: Tensor
    metrics: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    excluded: int = 0
    silent: int = 0


Supervision: TypeAlias = Callable[[Outputs, Sequence[Record]], Losses]
"""``(outputs of all responses, records) -> Losses``; NaN in ``values`` marks a response that abstained."""


def supervise(objective: Objective, *, select: Select = everything, weigh: Weigh = alike) -> Supervision:
    """The view that an objective needs, read off the names of its arguments.

    ``(chosen, rejected, ...)`` is `on_pairs`, ``(scores, ranks, mask, ...)`` is `on_lists`, ``(values, targets, ...)``
    and ``(logits, targets, ...)`` are `on_ratings`, ``(steps, labels, ...)`` and, of steps with classes,
    ``(logits, labels, ...)`` are `stepwise.on_steps`.

    Raises:
        TypeError: the names fit none of them.
    """
    from assay.training.stepwise import on_steps

    names = list(inspect.signature(objective).parameters)
    views = {
        ("chosen", "rejected"): on_pairs,
        ("scores", "ranks"): on_lists,
        ("values", "targets"): on_ratings,
        ("logits", "targets"): on_ratings,
        ("steps", "labels"): on_steps,
        ("logits", "labels"): on_steps,
    }
    view = views.get((names[0], names[1])) if len(names) > 1 else None
    if view is None:
        raise TypeError(
            f"{getattr(objective, '__name__', objective)}({', '.join(names)}) is no objective that a reward can be "
            "trained with: it begins with (chosen, rejected), (scores, ranks, mask), (values, targets), "
            "(logits, targets), (steps, labels) or (logits, labels)"
        )
    return view(objective, select=select, weigh=weigh)


def on_pairs(objective: Objective, *, select: Select = everything, weigh: Weigh = alike) -> Supervision:
    """Pairs of the records through ``objective(chosen, rejected, *, margin, probability, tie, weight)``.

    The objective is given those further tensors that it names; a pair without a margin has the default that the
    objective gives its ``margin``, or 0. ``accuracy`` counts equal scores as half and leaves out
    ties and even soft labels; ``tied`` is the share of exactly equal scores.

    Raises (when called):
        ValueError: the pairs hold ties or soft labels and the objective names no such tensor: it would take either
            side for the certain winner.
    """
    named = names_of(objective)
    usual = _usual_margin(objective)

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        pairs = pairs_of(records, select=select, weigh=weigh)
        _refuse_unused(objective, named, tie=pairs.tie, probability=pairs.probability < 1.0)
        chosen = _cells(outputs, pairs.better, pairs.criterion)
        rejected = _cells(outputs, pairs.worse, pairs.criterion)
        judged = ~(chosen.detach().isnan() | rejected.detach().isnan())
        columns = {n: getattr(pairs, n).to(chosen.device)[judged] for n in ("margin", "probability", "tie", "weight")}
        chosen, rejected = chosen[judged], rejected[judged]
        columns["margin"] = columns["margin"].nan_to_num(usual)
        items = objective(chosen, rejected, **{name: column for name, column in columns.items() if name in named})
        gap = (chosen - rejected).detach() * torch.where(columns["probability"] < 0.5, -1.0, 1.0)
        decided = ~columns["tie"] & (columns["probability"] != 0.5)
        return Losses(
            items=items,
            metrics={"accuracy": _right(gap[decided]), "tied": (float((gap == 0).sum()), float(gap.numel()))},
            excluded=int((~judged).sum()),
            silent=pairs.silent,
        )

    return losses


def on_lists(objective: Objective, *, select: Select = everything, weigh: Weigh = alike) -> Supervision:
    """Lists of the records through ``objective(scores, ranks, mask, *, weight)``.

    Abstained responses are masked; a list left with fewer than two ranks is excluded. ``accuracy`` is over all pairs of
    different rank, equal scores half; ``first`` is the share of lists whose highest score is one of the best (a shared
    highest score counts in part).
    """
    named = names_of(objective)

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        lists = lists_of(records, select=select, weigh=weigh)
        scores = _cells(outputs, lists.index, lists.criterion)
        device = scores.device
        ranks, mask = lists.ranks.to(device), lists.mask.to(device)
        mask = mask & ~scores.detach().isnan()
        ranks = torch.where(mask, ranks, NO_RANK)
        best = ranks.amin(dim=1, keepdim=True)
        useful = (mask & (ranks > best)).any(dim=1)
        scores, ranks, mask, best = scores[useful], ranks[useful], mask[useful], best[useful]
        extra = {"weight": lists.weight.to(device)[useful]} if "weight" in named else {}
        above = mask[:, :, None] & mask[:, None, :] & (ranks[:, :, None] < ranks[:, None, :])
        detached = scores.detach()
        gap = (detached[:, :, None] - detached[:, None, :])[above]
        top = mask & (detached == detached.where(mask, -torch.inf).amax(dim=1, keepdim=True))
        first = (top & (ranks == best)).sum(dim=1) / top.sum(dim=1)
        return Losses(
            items=objective(scores, ranks, mask, **extra),
            metrics={"accuracy": _right(gap), "first": (float(first.sum()), float(first.numel()))},
            excluded=int((~useful).sum()),
            silent=lists.silent,
        )

    return losses


def on_ratings(objective: Objective, *, select: Select = everything, weigh: Weigh = alike) -> Supervision:
    """Ratings of the records through ``objective(values, targets, *, weight, log_variance)``, or, of an ordinal head,
    through ``objective(logits, targets, *, weight)``; measures ``absolute_error``.

    Raises (when called):
        ValueError: the objective names logits or a log variance, and the head gives none.
    """
    return _on_targets(objective, lambda records: ratings_of(records, select=select, weigh=weigh))


def on_outcomes(
    objective: Objective, reduce: Reduce, *, select: Select = everything, weigh: Weigh = alike
) -> Supervision:
    """Step labels as one target a response, for a head that scores it as a whole: ``reduce`` says which.

    `models.heads.aggregate.product` of hard labels is 1 where every labelled step is right, ``minimum`` the worst step,
    ``mean`` the share of right steps; unlabelled steps are left out. Otherwise as `on_ratings`.
    """
    return _on_targets(objective, lambda records: outcomes_of(records, reduce, select=select, weigh=weigh))


def _on_targets(objective: Objective, ratings_in: Callable[[Sequence[Record]], Ratings]) -> Supervision:
    named = names_of(objective)
    by_logits = "logits" in named

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        ratings = ratings_in(records)
        rated = _cells(outputs, ratings.index, ratings.criterion)
        judged = ~rated.detach().isnan()
        if not bool(judged.any()):
            return Losses(rated[judged], excluded=rated.numel(), silent=ratings.silent)
        index, targets = ratings.index.to(rated.device)[judged], ratings.targets.to(rated)[judged]
        rated = rated[judged]
        extra = {"weight": ratings.weight.to(rated)[judged]} if "weight" in named else {}
        if "log_variance" in named:
            extra["log_variance"] = given(outputs.log_variance, "log_variance", objective)[index]
        first = given(outputs.logits, "logits", objective)[index] if by_logits else rated
        return Losses(
            items=objective(first, targets, **extra),
            metrics={"absolute_error": (float((rated.detach() - targets).abs().sum()), float(rated.numel()))},
            excluded=int((~judged).sum()),
            silent=ratings.silent,
        )

    return losses


def given(tensor: Tensor | None, name: str, objective: Objective) -> Tensor:
    """What a head gives, for an objective that needs it.

    Raises:
        ValueError: this head does not give it.
    """
    if tensor is None:
        heads = {"log_variance": "GaussianHead", "logits": "OrdinalHead"}
        raise ValueError(
            f"{getattr(objective, '__name__', objective)} needs the {name} of a head, and this head gives none: "
            f"use a {heads.get(name, 'StepHead')} of assay.models.heads"
        )
    return tensor


def _cells(outputs: Outputs, index: Tensor, criterion: Sequence[str | None]) -> Tensor:
    """The numbers of responses ``index`` ``[items, ...]``, each item by its criterion."""
    index = index.to(outputs.values.device)
    if outputs.attributes is None:
        return outputs.values[index]
    columns = torch.cat([outputs.values[:, None], outputs.attributes], dim=1)
    places = {name: place + 1 for place, name in enumerate(outputs.names)}
    column = torch.tensor([places.get(name, 0) if name else 0 for name in criterion], device=index.device)
    return columns[index, column.long().reshape(-1, *(1,) * (index.dim() - 1))]


def names_of(objective: Objective) -> frozenset[str]:
    """The keyword tensors an objective names. Arguments already bound (``functools.partial``) are not overwritten."""
    bound: Mapping[str, Any] = getattr(objective, "keywords", {})
    return frozenset(inspect.signature(objective).parameters) - frozenset(bound)


def _usual_margin(objective: Objective) -> float:
    parameter = inspect.signature(objective).parameters.get("margin")
    return float(parameter.default) if parameter and isinstance(parameter.default, int | float) else 0.0


def _refuse_unused(objective: Objective, named: frozenset[str], **marked: Tensor) -> None:
    for name, rows in marked.items():
        if name not in named and bool(rows.any()):
            raise ValueError(
                f"{int(rows.sum())} of {rows.numel()} pairs carry a {name}, which {objective!r} does not take: use "
                "pairwise.bradley_terry, or select only certain preferences"
            )


def _right(gap: Tensor) -> tuple[float, float]:
    """(right answers, pairs): a positive gap is right, a zero gap half."""
    return float((gap > 0).sum()) + 0.5 * float((gap == 0).sum()), float(gap.numel())
