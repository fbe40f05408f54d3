"""Several supervisions at once, and penalties on what a head says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from assay.models.outputs import Outputs, every
from assay.records import Record
from assay.training.supervision import Losses, Supervision


def together(*terms: tuple[Supervision, float]) -> Supervision:
    """The items of several supervisions, each times its weight: regression and pairs and a penalty, say.

    The loss of a step is the mean over all items of all terms, so a term counts by its weight and by how many items it
    has. A figure that two terms measure is the second term's under ``<name>_2`` (and so on). A record is silent when
    it is for every term, at most.

    Raises:
        ValueError: no term.
    """
    if not terms:
        raise ValueError("together needs at least one (supervision, weight)")

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        found = [supervision(outputs, records) for supervision, _ in terms]
        metrics: dict[str, tuple[float, float]] = {}
        for each in found:
            for name, pair in each.metrics.items():
                number = 1 + sum(known.split("_")[0] == name or known == name for known in metrics)
                metrics[name if number == 1 else f"{name}_{number}"] = pair
        return Losses(
            items=torch.cat([each.items * weight for each, (_, weight) in zip(found, terms, strict=True)]),
            metrics=metrics,
            excluded=sum(each.excluded for each in found),
            silent=min(each.silent for each in found),
        )

    return losses


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
