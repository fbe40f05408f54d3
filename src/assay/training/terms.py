"""Several supervisions at once, and penalties on what a head says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from assay.models.outputs import Outputs, every
from assay.records import Record
from assay.training.supervision import Losses, Supervision


def together(*terms: tuple[Supervision, float]) -> Supervision:
    """The items of several supervisions, each times its weight: regression and pairs and a penalty, say.

    The loss of a step is the mean over all items of all terms, so a term counts by its weight and by how many items it
    has; `sum_of_means` counts terms by their weights alone. A figure that two terms measure is the second term's under
    ``<name>_2`` (and so on). A record is silent when it is for every term, at most.

    Raises:
        ValueError: no term.
    """
    if not terms:
        raise ValueError("together needs at least one (supervision, weight)")

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        found = [supervision(outputs, records) for supervision, _ in terms]
        return _joined(found, [weight for _, weight in terms], _numbered(found))

    return losses


@final
@dataclass(frozen=True)
class SumOfMeans:
    """See `sum_of_means`. Called by itself it takes the items of the call for all there are; the loop, which spreads a
    step over micro-batches and processes, tells it how many each term has in all (`over`)."""

    terms: tuple[tuple[Supervision, float], ...]

    def __call__(self, outputs: Outputs, records: Sequence[Record]) -> Losses:
        """The items of all terms, scaled so that their mean is the weighted sum of the terms' means."""
        found = self._found(outputs, records)
        return self._scaled(found, [len(each.items) for each in found])

    def counts(self, outputs: Outputs, records: Sequence[Record]) -> Tensor:
        """``[terms]`` int64: the items of each."""
        return torch.tensor([len(each.items) for each in self._found(outputs, records)])

    def over(self, counts: Tensor) -> Supervision:
        """The same where each term has so many items in all, of which a call sees some."""
        return lambda outputs, records: self._scaled(self._found(outputs, records), counts.tolist())

    def counted(self, metrics: Mapping[str, tuple[float, float]]) -> Tensor:
        """``[terms]`` int64: the items of each that summed metrics tell of."""
        return torch.tensor([round(metrics.get(name, (0.0, 0.0))[1]) for name in self._names])

    def loss(self, metrics: Mapping[str, tuple[float, float]]) -> float:
        """The weighted sum of the terms' means that summed metrics tell of; a term without an item adds nothing."""
        pairs = [
            (metrics.get(name, (0.0, 0.0)), weight) for name, (_, weight) in zip(self._names, self.terms, strict=True)
        ]
        return sum(weight * total / count for (total, count), weight in pairs if count)

    @property
    def _names(self) -> list[str]:
        return [f"term_{number}" for number in range(1, len(self.terms) + 1)]

    def _found(self, outputs: Outputs, records: Sequence[Record]) -> list[Losses]:
        return [supervision(outputs, records) for supervision, _ in self.terms]

    def _scaled(self, found: Sequence[Losses], counts: Sequence[int]) -> Losses:
        factors = [weight * sum(counts) / max(1, n) for (_, weight), n in zip(self.terms, counts, strict=True)]
        own = {
            name: (float(each.items.detach().double().sum()), float(len(each.items)))
            for name, each in zip(self._names, found, strict=True)
        }
        return _joined(found, factors, {**_numbered(found), **own})


def sum_of_means(*terms: tuple[Supervision, float]) -> SumOfMeans:
    """``sum_k weight_k mean_k``, the mean of each supervision's own items: what papers write as ``L_1 + 0.5 L_2``.

    Exact however a step is spread over micro-batches and processes: the items of each term are counted before the
    step, from feedback and what abstains; should the model abstain from more, the step is computed once more with the
    counts that were found. ``term_1``, ``term_2``, ... report the means. Other figures as in `together`.

    Raises:
        ValueError: no term.
    """
    if not terms:
        raise ValueError("sum_of_means needs at least one (supervision, weight)")
    return SumOfMeans(tuple(terms))


def _numbered(found: Sequence[Losses]) -> dict[str, tuple[float, float]]:
    """The figures of all terms; one that was there before gets a number."""
    metrics: dict[str, tuple[float, float]] = {}
    for each in found:
        for name, pair in each.metrics.items():
            number = 1 + sum(known.split("_")[0] == name or known == name for known in metrics)
            metrics[name if number == 1 else f"{name}_{number}"] = pair
    return metrics


def _joined(found: Sequence[Losses], factors: Sequence[float], metrics: Mapping[str, tuple[float, float]]) -> Losses:
    return Losses(
        items=torch.cat([each.items * factor for each, factor in zip(found, factors, strict=True)]),
        metrics=metrics,
        excluded=sum(each.excluded for each in found),
        silent=min(each.silent for each in found),
    )


def penalty(name: str, function: Callable[[Outputs], Tensor]) -> Supervision:
    """``function`` of the outputs of the responses that were judged: one number a response, or one for all of them.

    It looks at no feedback; the mean is reported as ``name``.
    """

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        judged = ~outputs.values.detach().isnan()
        count = int(judged.sum())
        if not count:
            return Losses(outputs.values[:0], silent=len(records))
        items = function(every(outputs, lambda tensor: tensor[judged])).expand(count)
        return Losses(items, {name: (float(items.detach().sum()), float(count))})

    return losses
