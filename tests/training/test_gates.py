"""What a record's context says of gates: relevance, categories, who is silent, who abstained."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from assay.models.heads.gated import GatedHead
from assay.models.outputs import Outputs, States
from assay.records import Record
from assay.training.gates import on_category, on_relevance

GROUPS = {"motion": ("smooth",), "match": ("objects",)}


def outputs(rows: int = 6, abstained: int | None = None) -> Outputs:
    hidden = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))
    if abstained is not None:
        hidden[abstained] = torch.nan
    return GatedHead(4, GROUPS)(States(hidden, (1,) * rows))


def records(*values: object, column: str = "relevant") -> list[Record]:
    said: list[dict[str, Any]] = [{} if value is None else {column: value} for value in values]
    return [replace(Record.of("prompt", ["a", "b"], id=str(n)), context=each) for n, each in enumerate(said)]


def test_relevance_closes_the_gates_of_what_does_not_matter() -> None:
    said = outputs(8)
    gates = said.extra["gates"].detach()
    found = on_relevance("relevant")(said, records(["match"], None, {"motion": 0.25}, "motion"))
    first, third, last = (
        -torch.log(1 - gates[:2, 0]),
        -0.75 * torch.log(1 - gates[4:6, 0]),
        -torch.log(1 - gates[6:, 1]),
    )
    assert torch.allclose(found.items, torch.cat([first, third, last]), atol=1e-5)
    assert found.silent == 1
    idle = gates[:2, 0].sum() + 0.75 * gates[4:6, 0].sum() + gates[6:, 1].sum()
    assert found.metrics["idle_weight"] == pytest.approx((float(idle), 6.0))


def test_a_category_teaches_the_router() -> None:
    said = outputs(6, abstained=1)
    found = on_category("kind")(said, records("motion", None, "match", column="kind"))
    logits = said.extra["gate_logits"]
    expected = [-logits[0].log_softmax(-1)[0], -logits[4].log_softmax(-1)[1], -logits[5].log_softmax(-1)[1]]
    assert torch.allclose(found.items, torch.stack(expected))
    right = int(logits[0].argmax() == 0) + int((logits[4:].argmax(-1) == 1).sum())
    assert found.metrics["routed"] == (float(right), 3.0)
    found.items.sum().backward()


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match="none of the head's"):
        on_relevance("relevant")(outputs(2), records(["sound"]))
    with pytest.raises(ValueError, match="none of the head's"):
        on_category("kind")(outputs(2), records("sound", column="kind"))
    with pytest.raises(ValueError, match="GatedHead"):
        on_category("kind")(Outputs(torch.zeros(2)), records("motion", column="kind"))


def test_records_that_say_nothing_give_no_item() -> None:
    for supervision in (on_relevance("relevant"), on_category("kind")):
        found = supervision(outputs(2), records(None))
        assert found.items.numel() == 0
        assert found.silent == 1
        assert all(math.isfinite(total) for total, _ in found.metrics.values())
