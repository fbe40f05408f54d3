"""A process reward from end to end: trained or not, it scores steps in text and beside pictures, is aggregated, picks,
and its steps stand in the score file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from assay import testing
from assay.media import Image
from assay.models.heads import StepHead
from assay.models.heads.aggregate import minimum
from assay.models.reading import step_ends
from assay.records import Record, Response
from assay.records.steps import up_to_step
from assay.rewards.base import chain
from assay.rewards.learned import LearnedReward
from assay.runs.score import score_file
from assay.scores import Status
from assay.search.best_of_n import pick
from assay.transforms.aggregate import Aggregate
from assay.transforms.steps import aggregate_steps, last, mean, product
from assay.transforms.steps import minimum as lowest


def process_reward(**options: Any) -> LearnedReward:
    backbone = testing.tiny_qwen2_5_vl()
    return LearnedReward(backbone, StepHead(backbone.hidden_size, **options), read=step_ends)


def records(picture: Callable[..., Image]) -> list[Record]:
    first = [Response.from_steps(["it is red.", "so yes", "done"]), Response.from_steps(["it is blue.", "so no"])]
    return [
        Record.of([picture(64, 48), "is it red?"], first, id="seen"),
        Record.of(
            "one and one?", [Response.from_steps(["two"]), "no steps", Response.from_steps(["a", "b"])], id="sum"
        ),
    ]


def test_every_step_has_a_score_and_it_is_that_of_the_response_cut_there(picture: Callable[..., Image]) -> None:
    reward = process_reward()
    rows = records(picture)
    scores = reward(rows)
    assert scores.steps is not None
    assert [cells.numel() for cells in scores.steps] == [3, 2, 1, 0, 2]
    assert scores.status[3] is Status.INVALID
    assert "split_steps" in scores.messages[3]
    for step in range(3):
        cut = Record.of(rows[0].prompt, [up_to_step(rows[0].responses[0], step)])
        alone = reward([cut]).steps
        assert alone is not None
        torch.testing.assert_close(alone[0], scores.steps[0][: step + 1], rtol=0, atol=1e-5)
    torch.testing.assert_close(scores.values[0], scores.steps[0].prod(), rtol=0, atol=1e-6)
    lowest_of = process_reward(aggregate=minimum)(rows)
    torch.testing.assert_close(lowest_of.values[0], scores.steps[0].min(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("how", [product, lowest, last, mean])
def test_the_best_of_n_by_any_aggregate_of_steps(how: Aggregate, picture: Callable[..., Image]) -> None:
    reward = process_reward()
    rows = records(picture)
    steps = reward(rows).steps
    assert steps is not None
    picks = pick(chain(reward, aggregate_steps(how)), rows)
    assert picks.unjudged == ()
    for choice, cells in zip(picks, [steps[:2], steps[2:]], strict=True):
        made = [float(how(each[None], None, 1)) if each.numel() else -1.0 for each in cells]
        assert choice.index == made.index(max(made))
        assert choice.value == pytest.approx(max(made), abs=1e-6)
    assert list(picks)[1].values[1] is None


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_the_steps_stand_in_the_score_file(suffix: str, picture: Callable[..., Image], tmp_path: Path) -> None:
    reward = process_reward()
    rows = records(picture)
    output = tmp_path / f"scores{suffix}"
    score_file(chain(reward, aggregate_steps(lowest)), rows, output)
    found = (
        pq.read_table(output).to_pylist()
        if suffix == ".parquet"
        else [json.loads(line) for line in output.read_text().splitlines()]
    )
    steps = reward(rows).steps
    assert steps is not None
    for row, cells in zip(found, steps, strict=True):
        assert row["steps"] == pytest.approx(cells.tolist(), abs=1e-5)
    assert found[0]["value"] == pytest.approx(float(steps[0].min()), abs=1e-6)
    assert found[3]["value"] is None
    assert found[3]["steps"] == []


def test_a_saved_process_reward_scores_the_same_steps(picture: Callable[..., Image], tmp_path: Path) -> None:
    reward = process_reward()
    rows = records(picture)
    loaded = LearnedReward.load(reward.save(tmp_path / "prm"), device="cpu")
    before, after = reward(rows), loaded(rows)
    assert after.steps is not None
    assert before.steps is not None
    for one, other in zip(before.steps, after.steps, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert after.status == before.status
