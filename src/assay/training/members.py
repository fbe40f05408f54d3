"""Supervision of an ensemble's members, each on its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch

from assay.models.outputs import Outputs
from assay.records import Record
from assay.training.supervision import Losses, Supervision


def each_member(supervision: Supervision, *, share: float = 1.0, seed: int = 0) -> Supervision:
    """The items of a supervision of every member of an `EnsembleHead`, one after another; metrics are of them all.

    A member learns from a ``share`` of the records, drawn once for each from the seed and the record's id, so that the
    members come to differ. Feedback speaks of the overall score: its criterion must be no member's name.

    Raises:
        ValueError: a share outside 0..1 (0 excluded); when called, the head has no members.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; a member learns from more than none and at most all records")

    def losses(outputs: Outputs, records: Sequence[Record]) -> Losses:
        names = [name for name in outputs.names if name.startswith("member_")]
        if outputs.attributes is None or not names:
            raise ValueError("each_member trains the members of an EnsembleHead; this head has none")
        rows = [place for place, record in enumerate(records) for _ in record.responses]
        found: list[Losses] = []
        for column, name in enumerate(outputs.names):
            if name not in names:
                continue
            kept = [share == 1.0 or _chance(f"{seed}/{name}/{record.id}") < share for record in records]
            mask = torch.tensor([kept[place] for place in rows], dtype=torch.bool, device=outputs.values.device)
            values = torch.where(mask, outputs.attributes[:, column], torch.nan)
            own = replace(outputs, values=values, attributes=None, names=(), log_variance=None)
            given = [
                record if keep else replace(record, feedback=()) for record, keep in zip(records, kept, strict=True)
            ]
            found.append(supervision(own, given))
        metrics: dict[str, tuple[float, float]] = {}
        for each in found:
            for name, (total, count) in each.metrics.items():
                before = metrics.get(name, (0.0, 0.0))
                metrics[name] = (before[0] + total, before[1] + count)
        return Losses(
            items=torch.cat([each.items for each in found]),
            metrics=metrics,
            excluded=sum(each.excluded for each in found),
            silent=min(each.silent for each in found),
        )

    return losses


def _chance(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
