"""Several tasks at once, their weights chosen so that what one gains costs no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn

from assay.models.outputs import Outputs
from assay.records import Record
from assay.training.gradients import MinNorm, Normalise, gradients_of
from assay.training.supervision import Losses, Supervision


def where(keep: Callable[[Record], bool], supervision: Supervision) -> Supervision:
    """The supervision of some records alone: of one source, say. The others are silent."""

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        return supervision(outputs, [r if keep(r) else replace(r, feedback=()) for r in records])

    return losses


@final
@dataclass(frozen=True)
class MinNormTerms:
    """A supervision of several tasks, each with its own items. The loop binds it to the head it trains (`bound_to`);
    unbound, as in an evaluation, every task counts alike."""

    terms: Mapping[str, Supervision]
    momentum: float
    normalise: Normalise | None

    def __call__(self, outputs: Outputs, records: Sequence[Record]) -> Losses:
        """The items of all tasks, each task's mean counting the same."""
        found = self.losses_of(outputs, records)
        present = torch.tensor([bool(len(each.items)) for each in found.values()])
        return _weighed(found, present / present.sum().clamp(min=1))

    def bound_to(self, head: nn.Module) -> _Bound:
        """The same with weights from the gradients of the tasks' mean losses in the head's weights."""
        return _Bound(self, head)

    def losses_of(self, outputs: Outputs, records: Sequence[Record]) -> dict[str, Losses]:
        """What each task says of the records."""
        return {name: term(outputs, records) for name, term in self.terms.items()}


@final
class _Bound:
    def __init__(self, terms: MinNormTerms, head: nn.Module) -> None:
        self.terms, self.head = terms, head
        self.solver = MinNorm(terms.momentum, terms.normalise)

    def __call__(self, outputs: Outputs, records: Sequence[Record]) -> Losses:
        found = self.terms.losses_of(outputs, records)
        sizes = [len(each.items) for each in found.values()]
        means = [each.items.float().mean() if len(each.items) else torch.zeros(()) for each in found.values()]
        trained = [weight for weight in self.head.parameters() if weight.requires_grad]
        gradients = gradients_of(means, trained)
        present = torch.tensor([size > 0 for size in sizes])
        if bool(torch.isfinite(gradients).all()):
            return _weighed(found, self.solver(gradients, present).cpu())
        return _weighed(found, present / present.sum().clamp(min=1))

    def state_dict(self) -> dict[str, Any]:
        """The running means of the gradients."""
        return self.solver.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.solver.load_state_dict(state)


def min_norm(
    terms: Mapping[str, Supervision], *, momentum: float = 0.01, normalise: Normalise | None = None
) -> MinNormTerms:
    """Tasks (criteria, sources, kinds of feedback) learned together under weights of least norm.

    With ``L_k`` the mean loss of task k in a micro-batch and ``m_k`` the running mean of its gradient in the head's
    weights, ``loss = sum_k lambda_k L_k`` with ``lambda = argmin |sum_k lambda_k m_k|`` on the simplex
    (`gradients.min_norm_weights`). ``normalise`` makes gradients comparable first (`gradients.by_norm`). A task
    without an item in the micro-batch has weight 0 there. Give each batch records of every task by
    ``Settings.balance``: in trials the balance gave the gain, and the weights nothing over equal ones.

    The weights of several processes are each process's own. ``weight.<task>`` is reported with the tasks' own figures.

    Raises:
        ValueError: fewer than two tasks, or a momentum outside 0..1.

    Source: Zeng et al. (MORE), 2023, arXiv 2312.07401.
    """
    if len(terms) < 2:
        raise ValueError(f"min_norm weighs two or more tasks, got {sorted(terms)}")
    MinNorm(momentum)
    return MinNormTerms(dict(terms), momentum, normalise)


def _weighed(found: Mapping[str, Losses], weights: Tensor) -> Losses:
    """All items, scaled so that their mean is ``sum_k weight_k mean_k``."""
    count = sum(len(each.items) for each in found.values())
    items: list[Tensor] = []
    metrics: dict[str, tuple[float, float]] = {}
    for (name, each), weight in zip(found.items(), weights.tolist(), strict=True):
        own = len(each.items)
        items.append(each.items * (weight * count / max(1, own)))
        metrics |= {f"{name}.{figure}": pair for figure, pair in each.metrics.items()}
        if own:
            metrics[f"weight.{name}"] = (weight, 1.0)
    return Losses(
        items=torch.cat(items),
        metrics=metrics,
        excluded=sum(each.excluded for each in found.values()),
        silent=min(each.silent for each in found.values()),
    )
