"""Tasks weighed by min-norm weights in the loop: the formula, the balance, and an exact resume."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from assay.models.heads import AttributeHead, ScalarHead
from assay.objectives import pairwise, pointwise
from assay.records import Preference, Rating, Record
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text
from assay.training.budgets import Constant, Epochs
from assay.training.feedback import of_criterion
from assay.training.gradients import by_norm, gradients_of, min_norm_weights
from assay.training.loop import train
from assay.training.min_norm import min_norm, where
from assay.training.settings import Settings
from assay.training.supervision import supervise


def source(record: Record) -> str:
    return str(record.context["source"])


def records(big: int = 12, small: int = 4) -> list[Record]:
    names = ["big"] * big + ["small"] * small
    return [
        Record.of(
            f"question {i}", [f"long answer {i}", "no"], id=f"r{i}", feedback=[Preference(i % 2, 1 - i % 2)], source=n
        )
        for i, n in enumerate(names)
    ]


BT = supervise(pairwise.bradley_terry)


def of_source(name: str):
    return where(partial(_is, name), BT)


def _is(name: str, record: Record) -> bool:
    return source(record) == name


TASKS = {"big": of_source("big"), "small": of_source("small")}


def outputs_of(reward, rows):
    return reward.outputs(reward.prepare(rows).batch)


def test_items_average_to_the_weighted_sum_of_the_tasks_means() -> None:
    reward, rows = LearnedReward.fresh(tiny_text()), records(5, 2)
    supervision = min_norm(TASKS, momentum=0.0, normalise=by_norm).bound_to(reward.head)
    outputs = outputs_of(reward, rows)
    found = supervision(outputs, rows)
    means = [task(outputs, rows).items.mean() for task in TASKS.values()]
    weights = min_norm_weights(gradients_of(means, list(reward.head.parameters())), by_norm)
    assert 0.01 < float(weights[0]) < 0.99
    torch.testing.assert_close(found.items.mean(), (weights * torch.stack(means)).sum())
    assert found.metrics["weight.big"] == (pytest.approx(float(weights[0])), 1.0)
    assert found.metrics["small.accuracy"][1] == 2
    found.items.mean().backward()
    assert any(weight.grad is not None for weight in reward.backbone.module.parameters())


def test_a_task_that_is_absent_has_no_weight_and_unbound_tasks_count_alike() -> None:
    reward = LearnedReward.fresh(tiny_text())
    rows = [record for record in records(5, 2) if source(record) == "big"]
    bound = min_norm(TASKS).bound_to(reward.head)(outputs_of(reward, rows), rows)
    assert len(bound.items) == 5
    assert bound.metrics["weight.big"] == (1.0, 1.0)
    assert "weight.small" not in bound.metrics
    both = records(5, 2)
    outputs = outputs_of(reward, both)
    unbound = min_norm(TASKS)(outputs, both)
    means = torch.stack([task(outputs, both).items.mean() for task in TASKS.values()])
    torch.testing.assert_close(unbound.items.mean(), means.mean())
    silent = [replace(record, feedback=()) for record in both]
    assert len(min_norm(TASKS)(outputs, silent).items) == 0
    with pytest.raises(ValueError, match="two or more"):
        min_norm({"one": BT})


def test_criteria_are_tasks_too() -> None:
    backbone = tiny_text()
    reward = LearnedReward(backbone, AttributeHead(backbone.hidden_size, ("a", "b")))
    rows = [
        Record.of(
            f"q{i}", ["x" * (i + 1)], feedback=[Rating(0, float(i), criterion="a"), Rating(0, 1.0, criterion="b")]
        )
        for i in range(4)
    ]
    terms = {name: supervise(pointwise.squared_error, select=of_criterion(name)) for name in ("a", "b")}
    found = min_norm(terms).bound_to(reward.head)(outputs_of(reward, rows), rows)
    assert len(found.items) == 8
    assert 0 < found.metrics["weight.b"][0] < 1


class Stopped(Exception):  # noqa: N818 - not an error, the end of a test
    pass


def stop_after_two(event) -> None:
    if event.step == 2 and event.stage == "training":
        raise Stopped


def test_a_balanced_run_under_min_norm_weights_resumes_bit_equal(tmp_path) -> None:
    settings = Settings(
        budget=Epochs(3),
        schedule=Constant(),
        batch=4,
        learning_rate=2e-3,
        log_every=1,
        checkpoint_every=1,
        balance=source,
    )

    def fresh() -> LearnedReward:
        backbone = tiny_text()
        return LearnedReward(backbone, ScalarHead(backbone.hidden_size))

    rows, supervision = records(), min_norm(TASKS, momentum=0.9)
    whole = fresh()
    expected = train(whole, rows, supervision, settings, output=tmp_path / "whole")
    assert len({entry["weight.small"] for entry in expected.history if 0 < entry["weight.small"] < 1}) > 2
    with pytest.raises(Stopped):
        train(fresh(), rows, supervision, settings, output=tmp_path / "cut", report=stop_after_two)
    again = fresh()
    result = train(again, rows, supervision, settings, output=tmp_path / "cut")
    assert result.resumed_from is not None
    assert [entry["weight.small"] for entry in result.history] == [entry["weight.small"] for entry in expected.history]
    ours, theirs = again.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_batches_by_picture_and_by_source_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="not both"):
        Settings(by_picture=True, balance=source)
