"""A method's training as a value: a head, its stages, on whatever backbone it is given."""

from __future__ import annotations

from collections.abc import Sequence
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
from assay.training.plan import Curate, Stage, Training
from assay.training.result import Event
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


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop", [(1, 4), (1, 8), (2, 0), (2, 4)], ids=str)
def test_a_training_of_stages_goes_on_where_it_was_stopped(tmp_path: Path, stop: tuple[int, int]) -> None:
    settings = replace(FAST, checkpoint_every=2)
    plan = Training(
        partial(AttributeHead, names=("help", "length")),
        (Stage(on_ratings(pointwise.squared_error), settings), Stage(on_pairs(pairwise.bradley_terry), settings)),
    )
    whole = plan.run(tiny_text(), records(), output=tmp_path / "whole")
    started: list[tuple[str, int]] = []

    def until(event: Event) -> None:
        started.append((event.part, event.step))
        if (event.part, event.step) == (f"stage-{stop[0]}", max(1, stop[1])):
            raise StoppedError

    with pytest.raises(StoppedError):
        plan.run(tiny_text(), records(), output=tmp_path / "rm", report=until)
    assert not (tmp_path / "rm").exists()
    seen: list[tuple[str, int]] = []
    again = plan.run(
        tiny_text(), records(), output=tmp_path / "rm", report=lambda event: seen.append((event.part, event.step))
    )
    kept = max(0, stop[1] - 2 if stop[1] % 2 == 0 else stop[1])
    after = [(f"stage-{stop[0]}", step) for step in range(kept + 1, 9)]
    after += [("stage-2", step) for step in range(1, 9)] if stop[0] == 1 else []
    assert seen == after
    assert torch.equal(again.reward(records()).values, whole.reward(records()).values)
    assert again.reward.card["stages"] == whole.reward.card["stages"]
    done = plan.run(tiny_text(), records(), output=tmp_path / "rm")
    assert done.resumed_from is not None
    assert torch.equal(done.reward(records()).values, whole.reward(records()).values)


def test_held_out_records_are_presented_but_not_curated() -> None:
    seen: dict[str, list[int]] = {"present": [], "curate": []}

    def noted(name: str) -> Curate:
        def change(rows: Sequence[Record]) -> Sequence[Record]:
            seen[name].append(len(rows))
            return rows

        return change

    stage = Stage(on_pairs(pairwise.bradley_terry), FAST, curate=noted("curate"), present=noted("present"))
    Training(ScalarHead, (stage,)).run(tiny_text(), records(8), evaluate=records(4))
    assert seen == {"curate": [8], "present": [8, 4]}


def test_a_training_has_a_stage() -> None:
    with pytest.raises(ValueError, match="at least one stage"):
        Training(ScalarHead, ())
