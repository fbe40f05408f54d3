"""Fault 4, training: a loss that is not finite. The step is skipped and counted, or the run stopped; never averaged."""

import math

import pytest
import torch

from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Record
from assay.testing import learned_reward
from assay.training.budgets import Epochs
from assay.training.evaluation import evaluate
from assay.training.loop import TrainingError, train
from assay.training.settings import Settings
from assay.training.supervision import supervise

RECORDS = [
    Record.of(f"Question {i}.", ["a good answer", f"bad {i}"], id=f"r{i}", feedback=[Preference(0, 1)])
    for i in range(16)
]
POISONED = [*RECORDS[:15], Record.of("Question.", ["teal", "bad"], id="poisoned", feedback=[Preference(0, 1)])]
SETTINGS = Settings(budget=Epochs(3), batch=4, learning_rate=1e-3, log_every=1)
BT = supervise(bradley_terry)


def poison(reward, word: str) -> None:
    """The embedding of a word that only one record has becomes infinite: a real overflow inside the model."""
    own = set(reward.backbone.tokenizer.encode(f" {word}") + reward.backbone.tokenizer.encode(word))
    others = {
        token
        for record in RECORDS
        for group in reward.prepare([record]).batch.groups
        for s in group
        for token in s.ids.tolist()
    }
    rare = sorted(own - others)
    assert rare
    with torch.no_grad():
        reward.backbone.module.get_input_embeddings().weight[rare] = math.inf


def test_one_bad_record_costs_its_own_steps_and_nothing_else() -> None:
    reward = learned_reward()
    poison(reward, "teal")
    result = train(reward, POISONED, BT, SETTINGS)
    assert sum(result.skipped.values()) == 3
    assert "not finite" in next(iter(result.skipped))
    assert all(math.isfinite(entry["loss"]) for entry in result.history)
    finite = [bool(weight.isfinite().all()) for name, weight in reward.model.named_parameters() if "embed" not in name]
    assert all(finite)
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_a_skipped_step_changes_no_weight() -> None:
    reward = learned_reward()
    poison(reward, "teal")
    before = {name: weight.clone() for name, weight in reward.model.state_dict().items()}
    result = train(reward, POISONED[-1:], BT, SETTINGS)
    assert sum(result.skipped.values()) == 3
    assert all(torch.equal(weight, before[name]) for name, weight in reward.model.state_dict().items())


def test_many_in_a_row_end_the_run_and_name_the_records() -> None:
    reward = learned_reward()
    with torch.no_grad():
        reward.head.linear.weight.fill_(math.nan)
    with pytest.raises(TrainingError, match=r"5 steps in a row.*not finite.*records r\d+"):
        train(reward, RECORDS, BT, SETTINGS)


def test_an_infinite_gradient_is_skipped_too() -> None:
    def steep(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(chosen - chosen.detach()) + 0.0 * rejected  # 0, with an infinite slope

    reward = learned_reward()
    before = {name: weight.clone() for name, weight in reward.model.state_dict().items()}
    with pytest.raises(TrainingError, match="gradient norm"):
        train(reward, RECORDS, supervise(steep), SETTINGS)
    assert all(torch.equal(weight, before[name]) for name, weight in reward.model.state_dict().items())


def test_an_evaluation_leaves_it_out_of_the_mean_and_counts_it() -> None:
    reward = learned_reward()
    poison(reward, "teal")
    assert evaluate(reward, POISONED, BT)["loss"] == pytest.approx(
        evaluate(reward, POISONED[:15], BT)["loss"], abs=1e-6
    )
