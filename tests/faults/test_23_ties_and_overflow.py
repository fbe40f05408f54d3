"""Fault 23, training: overflow in low precision is detected, head and loss stay in float32, exact ties count half."""

import math

import torch

from assay.objectives.listwise import top_one
from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Ranking, Record
from assay.testing import learned_reward
from assay.training.budgets import Constant, Epochs, Steps
from assay.training.evaluation import evaluate
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.step import OVERFLOW
from assay.training.supervision import supervise

RECORDS = [
    Record.of(f"Question {i}.", ["a good answer", f"bad {i}"], id=f"r{i}", feedback=[Preference(0, 1)])
    for i in range(16)
]
BT = supervise(bradley_terry)


def test_float16_overflow_is_detected_skipped_and_recovered_from() -> None:
    """The loss scale starts so high that gradients overflow; it is lowered until they fit, and no weight is spoiled."""
    reward = learned_reward()
    settings = Settings(
        budget=Steps(40), batch=8, learning_rate=1e-3, schedule=Constant(), autocast=torch.float16, log_every=1
    )
    with torch.no_grad():
        reward.head.linear.weight.mul_(300.0)
    result = train(reward, RECORDS, BT, settings)
    assert result.skipped[OVERFLOW] >= 1
    assert sum(result.skipped.values()) < 40
    assert all(bool(weight.isfinite().all()) for weight in reward.parameters())
    assert all(math.isfinite(entry["loss"]) for entry in result.history)


def test_head_and_loss_are_float32_under_low_precision() -> None:
    reward = learned_reward()
    seen: list[torch.dtype] = []

    def recording(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
        loss = bradley_terry(chosen, rejected)
        seen.extend([chosen.dtype, loss.dtype])
        return loss

    settings = Settings(budget=Epochs(1), batch=8, learning_rate=1e-3, autocast=torch.bfloat16)
    train(reward, RECORDS, supervise(recording), settings)
    assert set(seen) == {torch.float32}


def test_exact_ties_count_half_and_are_reported() -> None:
    """A dead head scores everything 0: half right, all tied; `chosen > rejected` would say 0 %."""
    reward = learned_reward()
    with torch.no_grad():
        reward.head.linear.weight.zero_()
    figures = evaluate(reward, RECORDS, BT)
    assert (figures["accuracy"], figures["tied"]) == (0.5, 1.0)
    ranked = [Record(r.id, r.prompt, r.responses, (Ranking((0, 1)),)) for r in RECORDS]
    assert evaluate(reward, ranked, supervise(top_one))["first"] == 0.5


def test_identical_responses_are_an_exact_tie_not_a_coin() -> None:
    same = [Record.of("Question.", ["the same", "the same"], id="s", feedback=[Preference(0, 1)])]
    assert evaluate(learned_reward(), same, BT)["accuracy"] == 0.5
