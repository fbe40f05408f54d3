"""A weighted sum of the terms' own means, exactly, however a step is spread."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from assay.models.heads import AttributeHead
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import squared_error
from assay.records import Preference, Rating, Record
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text
from assay.training.budgets import Constant, Steps
from assay.training.evaluation import evaluate
from assay.training.inputs import Inputs
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.step import Processes, Stepper
from assay.training.supervision import Supervision, on_pairs, on_ratings
from assay.training.terms import penalty, sum_of_means, together

PAIRS, RATINGS = on_pairs(bradley_terry), on_ratings(squared_error)
SIZE = penalty("size", lambda outputs: outputs.values**2)


def records() -> list[Record]:
    """Many ratings, few pairs, and a response that cannot be scored among them."""
    rows = [
        Record.of(f"question {n}", ["good", "bad", "so so"], id=str(n), feedback=[Rating(i, 2.0 - i) for i in range(3)])
        for n in range(5)
    ]
    rows[1] = replace(rows[1], feedback=(*rows[1].feedback, Preference(0, 1)))
    return [*rows, Record.of("long " * 400, ["good", "bad"], id="long", feedback=[Rating(0, 1.0), Preference(1, 0)])]


def reward() -> LearnedReward:
    backbone = tiny_text()
    return LearnedReward(backbone, AttributeHead(backbone.hidden_size, ("help",)), max_length=64)


def gradients(supervision: Supervision, budget: int) -> list[Tensor]:
    """Of one step, before the optimiser; the norm is not clipped."""
    made = reward()
    inputs = Inputs(made, records())
    settings = Settings(token_budget=budget, max_grad_norm=0.0)
    stepper = Stepper(made, inputs, supervision, settings, Processes(torch.device("cpu")), None)
    before = [weight.detach().clone() for weight in stepper.weights]
    outcome = stepper.step(range(6), 0.0)
    assert not outcome.skipped
    assert all(torch.equal(old, new) for old, new in zip(before, stepper.weights, strict=True))
    return [weight.grad.clone() for weight in stepper.weights if weight.grad is not None]


def test_the_gradient_is_that_of_the_weighted_sum_of_means() -> None:
    made = reward()
    inputs = Inputs(made, records())
    outputs = inputs.outputs(range(6))
    loss = 1.0 * RATINGS(outputs, records()).items.mean() + 0.5 * PAIRS(outputs, records()).items.mean()
    loss.backward()
    expected = [weight.grad for weight in made.parameters() if weight.grad is not None]
    terms = sum_of_means((RATINGS, 1.0), (PAIRS, 0.5))
    for budget in (10_000, 20, 1):
        for found, wanted in zip(gradients(terms, budget), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    other = gradients(together((RATINGS, 1.0), (PAIRS, 0.5)), 10_000)
    assert not all(torch.allclose(a, b, rtol=1e-2) for a, b in zip(other, expected, strict=True))


def test_a_model_that_abstains_from_more_than_was_counted_changes_nothing_in_this() -> None:
    calls: list[int] = []

    def shy(outputs: object, rows: object) -> object:
        """Ratings, less the first whenever the model really spoke."""
        found = RATINGS(outputs, rows)  # type: ignore[arg-type]
        calls.append(len(found.items))
        return replace(found, items=found.items[1:]) if found.items.requires_grad else found

    made = reward()
    outputs = Inputs(made, records()).outputs(range(6))
    (RATINGS(outputs, records()).items[1:].mean() + PAIRS(outputs, records()).items.mean()).backward()
    expected = [weight.grad for weight in made.parameters() if weight.grad is not None]
    found = gradients(sum_of_means((shy, 1.0), (PAIRS, 1.0)), 10_000)  # type: ignore[arg-type]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert len(calls) == 3  # counted, then computed, and once more


def test_an_evaluation_is_the_same_however_it_is_cut() -> None:
    terms = sum_of_means((RATINGS, 1.0), (PAIRS, 0.5), (SIZE, 0.1))
    made = reward()
    found = [evaluate(made, records(), terms, token_budget=budget) for budget in (10_000, 1)]
    assert found[0]["loss"] == pytest.approx(found[1]["loss"], rel=1e-5)
    first = found[0]
    assert first["loss"] == pytest.approx(first["term_1"] + 0.5 * first["term_2"] + 0.1 * first["term_3"])
    assert first["term_3"] == pytest.approx(first["size"])


def test_terms_are_trained_and_reported() -> None:
    settings = Settings(budget=Steps(20), schedule=Constant(), batch=6, learning_rate=3e-3, head_learning_rate=3e-2)
    result = train(reward(), records(), sum_of_means((RATINGS, 1.0), (PAIRS, 0.5)), settings)
    figures = result.history[-1]
    assert figures["loss"] == pytest.approx(figures["term_1"] + 0.5 * figures["term_2"], rel=1e-3)
    assert figures["loss"] < result.history[0]["loss"]


def test_no_term_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sum_of_means()
