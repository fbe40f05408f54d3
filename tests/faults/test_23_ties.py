"""Fault 23: overflow in mixed precision, and exact ties counted as wins or losses."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from assay import metrics
from assay.benchmarks.audit import audit
from assay.benchmarks.variations import in_batches
from assay.cli.main import app
from assay.records import Preference, Record, write
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.testing import learned_reward, tiny_text


def records(count: int = 12) -> list[Record]:
    return [
        Record.of(f"question {i}", [f"answer {i}", f"reply {i}"], id=str(i), feedback=[Preference(i % 2, 1 - i % 2)])
        for i in range(count)
    ]


def in_dtype(dtype: torch.dtype) -> LearnedReward:
    backbone = tiny_text()
    where = replace(backbone.placement, dtype=dtype)
    module = copy.deepcopy(backbone.module).to(dtype)
    return LearnedReward.fresh(replace(backbone, module=module, placement=where))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_head_and_score_are_float32_whatever_the_backbone(dtype: torch.dtype):
    reward = in_dtype(dtype)
    assert {weight.dtype for weight in reward.head.parameters()} == {torch.float32}
    assert reward(records()).values.dtype == torch.float32


def test_an_overflow_is_an_abstention_and_not_a_number():
    reward = in_dtype(torch.float16)
    with torch.no_grad():
        for name, weight in reward.backbone.module.named_parameters():
            if "mlp" in name:
                weight.fill_(500.0)  # products pass 65504, the largest float16
    scores = reward(records())
    assert set(scores.status) == {Status.NON_FINITE}
    assert torch.isnan(scores.values).all()
    card_input = [replace(record, id=f"x{record.id}") for record in records()]
    card = audit(reward, card_input, probes=(), nulls={})
    assert card.statuses == {"non_finite": 24}
    assert card.accuracy.n == 0
    assert not card.passed


def test_exact_ties_are_half_in_every_figure_and_their_number_is_reported():
    found = metrics.pair_accuracy([1.0, 1.0, 2.0], [1.0, 1.0, 1.0])
    assert found.value == (0.5 + 0.5 + 1.0) / 3
    assert (found.ties, found.tie_rate) == (2, 2 / 3)


def test_a_head_computed_in_bf16_ties_what_the_float32_head_tells_apart():
    many = [Record.of("question", [f"number {i}" for i in range(60)], id="many")]
    reward = in_dtype(torch.bfloat16)
    kept = in_batches(1)(reward, many).values
    rounded = kept.to(torch.bfloat16).double()  # what a bf16 head would have returned
    first, second = torch.triu_indices(60, 60, 1)
    rates = {
        name: metrics.pair_accuracy(values[first], values[second]).tie_rate
        for name, values in (("float32 head", kept), ("bf16 head", rounded))
    }
    assert rates["bf16 head"] > 10 * rates["float32 head"]
    assert rates["bf16 head"] > 0.002


def test_the_audit_shows_the_tie_rate_and_fails_its_gate(tmp_path: Path):
    (tmp_path / "reward.py").write_text(
        "from assay.rewards.base import scores_of\n"
        "def coarse(records):\n"
        "    return scores_of(records, [float(len(r.text) // 8) for q in records for r in q.responses])\n"
    )
    write(records(40), tmp_path / "d.jsonl")
    page = tmp_path / "card.html"
    found = CliRunner().invoke(
        app, ["audit", f"{tmp_path / 'reward.py'}:coarse", str(tmp_path / "d.jsonl"), "-o", str(page), "--json"]
    )
    facts = json.loads(found.stdout)
    assert found.exit_code == 1
    ties = facts["pair_counts"]["ties"]
    assert ties > 0
    assert facts["accuracy"]["value"] == pytest.approx((facts["pair_counts"]["wins"] + ties / 2) / 40)
    assert not next(item for item in facts["verdicts"] if item["name"] == "Rarely ties")["passed"]
    assert "exact ties" in page.read_text()


def test_a_learned_reward_in_float32_has_no_ties():
    many = [Record.of("question", [f"number {i}" for i in range(60)])]
    values = learned_reward()(many).values
    assert values.unique().numel() == 60
