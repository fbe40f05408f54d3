"""Supervision of gates: which aspects matter to a record, or which category it belongs to, says its context."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from assay.models.heads.gated import gate_entropy, gate_penalty
from assay.models.outputs import Outputs
from assay.records import Record
from assay.rewards.base import group_index
from assay.training.supervision import Losses, Supervision


def on_relevance(column: str) -> Supervision:
    """`gate_penalty` of a `GatedHead`, an item a response, by what context ``column`` says matters.

    The column holds the names of the aspects that matter (the others do not), or a mapping of aspects to 0..1, in
    which a missing aspect is not known. A record without the column gives no item. ``idle_weight`` is the mean weight
    left on aspects that do not matter.

    Raises (when called):
        ValueError: the head has no gates, or a record names an aspect that the head does not have.
    """

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        gates, aspects = _gates(outputs, "gates")
        rows = [_relevance(record, column, aspects) for record in records]
        relevant = torch.tensor([row or [math.nan] * len(aspects) for row in rows]).to(gates)
        kept, chosen = _kept(outputs, records, [row is not None for row in rows])
        idle = (1.0 - relevant[chosen]).nan_to_num(0.0) * gates[kept].detach()
        return Losses(
            items=gate_penalty(gates[kept], relevant[chosen]),
            metrics={"idle_weight": (float(idle.sum()), float(len(chosen)))},
            silent=sum(row is None for row in rows),
        )

    return losses


def on_category(column: str) -> Supervision:
    """`gate_entropy` of a `GatedHead`, an item a response, by the category that context ``column`` names.

    A record without the column gives no item. ``routed`` is the share sent to their own category.

    Raises (when called):
        ValueError: the head has no gates, or a record names a category that the head does not have.
    """

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        logits, aspects = _gates(outputs, "gate_logits")
        places = [
            _place(record, record.context[column], aspects) if column in record.context else -1 for record in records
        ]
        kept, chosen = _kept(outputs, records, [place >= 0 for place in places])
        category = torch.tensor(places, device=logits.device)[chosen]
        right = (logits[kept].argmax(-1) == category).sum() if len(chosen) else 0
        return Losses(
            items=gate_entropy(logits[kept], category),
            metrics={"routed": (float(right), float(len(chosen)))},
            silent=sum(place < 0 for place in places),
        )

    return losses


def _gates(outputs: Outputs, name: str) -> tuple[Tensor, Sequence[str]]:
    if name not in outputs.extra:
        raise ValueError(f"this head has no {name}: use assay.models.heads.gated.GatedHead")
    gates = outputs.extra[name]
    return gates, outputs.names[-gates.shape[1] :]


def _kept(outputs: Outputs, records: Sequence[Record], said: Sequence[bool]) -> tuple[Tensor, Tensor]:
    """The responses that were judged, of records that say something; and the record of each."""
    group = group_index(records).to(outputs.values.device)
    judged = ~outputs.values.detach().isnan() & torch.tensor(said, device=group.device)[group]
    kept = judged.nonzero().flatten()
    return kept, group[kept]


def _relevance(record: Record, column: str, aspects: Sequence[str]) -> list[float] | None:
    value: Any = record.context.get(column)
    if value is None:
        return None
    if isinstance(value, Mapping):
        weights = cast("Mapping[str, float]", value)
        given = {_place(record, name, aspects): float(weight) for name, weight in weights.items()}
        return [given.get(place, math.nan) for place in range(len(aspects))]
    named = cast("Sequence[str]", [value] if isinstance(value, str) else value)
    matters = {_place(record, name, aspects) for name in named}
    return [float(place in matters) for place in range(len(aspects))]


def _place(record: Record, name: str, aspects: Sequence[str]) -> int:
    if name not in aspects:
        raise ValueError(f"record {record.id} names {name!r}, which is none of the head's {list(aspects)}")
    return list(aspects).index(name)
