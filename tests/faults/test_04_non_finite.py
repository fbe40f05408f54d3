"""Fault 4: a reward gives NaN or infinity. The row says `non_finite`, has no value, and is in no mean."""

import json
import math

import pytest
import torch

from assay import transforms
from assay.records import Record
from assay.rewards.base import chain, combine, score, scores_of
from assay.runs.score import score_file
from assay.scores import Status
from assay.search.best_of_n import pick
from assay.testing import learned_reward

RECORDS = [Record.of("q", ["a", "b", "c", "d"], id="r")]


def odd(records):
    return scores_of(records, [1.0, math.nan, math.inf, 3.0])


def test_a_result_file_has_no_value_and_says_why(tmp_path):
    summary = score_file(odd, RECORDS, tmp_path / "scores.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [row["value"] for row in rows] == [1.0, None, None, 3.0]
    assert [row["status"] for row in rows] == ["ok", "non_finite", "non_finite", "ok"]
    assert summary.mean == (1.0 + 3.0) / 2
    assert summary.counts == {"ok": 2, "non_finite": 2}
    assert summary.failures == 2


def test_no_composition_turns_it_into_a_score():
    for reward in (
        chain(odd, transforms.clip(0, 2)),
        chain(odd, transforms.log_sigmoid()),
        combine(odd, odd, by=transforms.worst_case()),
        combine(odd, odd, by=transforms.weighted_sum(1.0, 0.0)),
    ):
        status = score(reward, RECORDS).status
        assert status == (Status.OK, Status.NON_FINITE, Status.NON_FINITE, Status.OK), reward


def test_it_is_never_picked():
    assert pick(odd, RECORDS).picks[0].index == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_learned_reward_with_a_broken_weight_abstains(bad):
    reward = learned_reward()
    with torch.no_grad():
        next(iter(reward.model.head.parameters())).fill_(bad)
    scores = score(reward, RECORDS)
    assert set(scores.status) == {Status.NON_FINITE}
    assert bool(scores.values.isnan().all())
