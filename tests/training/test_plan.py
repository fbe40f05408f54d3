"""A method's training as a value: a head, its stages, on whatever backbone it is given."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from assay.models.condition import Condition
from assay.models.heads import AttributeHead, ScalarHead
from assay.objectives import pairwise, pointwise
from assay.records import Preference, Rating, Record
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text
from assay.training.budgets import Constant, Steps
from assay.training.loop import TrainingError, train
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import on_pairs, on_ratings

FAST = Settings(budget=Steps(8), schedule=Constant(), batch=8, learning_rate=3e-3, head_learning_rate=3e-2, log_every=1)


def records(count: int = 16) -> list[Record]:
    said = [Rating(0, 2.0, criterion="help"), Rating(1, 0.0, criterion="help"), Preference(0, 1)]
    return [Record.of(f"question {n}", ["good", "bad"], id=str(n), feedback=said) for n in range(count)]


def test_stages_go_on_from_the_same_weights_and_the_last_is_saved(tmp_path: Path) -> None:
    seen: list[int] = []

    def first_half(rows: list[Record]) -> list[Record]:
        seen.append(len(rows))
        return rows[: len(rows) // 2]

    plan = Training(
        head=partial(AttributeHead, names=("help", "length")),
        stages=(
            Stage(on_ratings(pointwise.squared_error), FAST),
            Stage(on_pairs(pairwise.bradley_terry), FAST, curate=first_half),  # type: ignore[arg-type]
        ),
        options={"max_length": 200},
    )
    alone = replace(plan, stages=plan.stages[:1]).run(tiny_text(), records())
    both = plan.run(tiny_text(), records(), output=tmp_path / "rm")
    assert seen == [16]
    assert both.reward.max_length == 200
    assert both.history[0]["loss"] < 0.69  # the first stage had learned which is better
    assert not torch.equal(alone.reward(records()[:1]).values, both.reward(records()[:1]).values)
    assert torch.equal(LearnedReward.load(tmp_path / "rm")(records()).values, both.reward(records()).values)


def test_settings_of_every_stage_can_be_changed() -> None:
    plan = Training(ScalarHead, (Stage(on_pairs(pairwise.bradley_terry), FAST),) * 2)
    result = plan.run(tiny_text(), records(), change=lambda settings: replace(settings, budget=Steps(2)))
    assert result.steps == 2


def test_a_checkpoint_of_other_conditions_is_another_run(tmp_path: Path) -> None:
    def rows(who: str) -> list[Record]:
        return [replace(record, context={"who": who, "other": 1}) for record in records()]

    def reward() -> LearnedReward:
        return LearnedReward(
            tiny_text(), ScalarHead(64, condition=2), condition=Condition.of_names("who", "ab", abstains=False)
        )

    supervision = on_pairs(pairwise.bradley_terry)
    train(reward(), rows("a"), supervision, FAST, output=tmp_path / "rm")
    again = [replace(record, context={**record.context, "other": 2}) for record in rows("a")]
    assert train(reward(), again, supervision, FAST, output=tmp_path / "rm").resumed_from is not None
    with pytest.raises(TrainingError, match="another run"):
        train(reward(), rows("b"), supervision, FAST, output=tmp_path / "rm")
