"""Somebody new is added to a reward for people by a few choices, and nobody else's scores change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from assay.models.condition import Condition
from assay.models.heads import ScalarHead
from assay.models.heads.ideal_point import IdealPointHead
from assay.records import Preference, Record
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text
from assay.training.chosen import chosen_states, with_person

PEOPLE = ("ann", "bob")


def people(*, from_prompt: bool = False) -> LearnedReward:
    """A reward of two people who each want what one prototype stands for."""
    backbone = tiny_text()
    head = IdealPointHead(backbone.hidden_size, 2, width=8, from_prompt=from_prompt)
    head.users.data = torch.tensor([[6.0, 0.0], [0.0, 6.0]])
    return LearnedReward(backbone, head, condition=Condition.of_names("rater", PEOPLE, abstains=False))


def asked(rater: str, count: int = 12) -> list[Record]:
    return [Record.of(f"question {n}", [f"red {n * n}", f"a blue answer {n}"], rater=rater) for n in range(count)]


@pytest.mark.parametrize("from_prompt", [False, True])
def test_somebody_new_is_like_whom_they_choose_like(from_prompt: bool, tmp_path: Path) -> None:
    reward = people(from_prompt=from_prompt)
    before = reward(asked("bob")).values
    wanted = before.reshape(-1, 2).argmax(1).tolist()
    choices = [
        Record.of(record.prompt, record.responses, feedback=[Preference(best, 1 - best)])
        for record, best in zip(asked("cem"), wanted, strict=True)
    ]
    wider = with_person(reward, "cem", choices)
    assert torch.equal(wider(asked("bob")).values, before)
    assert torch.equal(reward(asked("bob")).values, before)
    found = wider(asked("cem")).values.reshape(-1, 2).argmax(1)
    assert int((found == torch.tensor(wanted)).sum()) >= 11
    again = LearnedReward.load(wider.save(tmp_path / "reward"))
    assert torch.equal(again(asked("cem")).values, wider(asked("cem")).values)


def test_only_certain_choices_count() -> None:
    feedback = [Preference(0, 1), Preference(0, 1, tie=True), Preference(1, 2, probability=0.5), Preference(2, 0, 0.1)]
    record = Record.of("prompt", ["a", "b", "c"], feedback=feedback)
    reward = people()
    chosen, rejected = chosen_states(reward, [record])
    states = [each[-1] for each in reward.model.states(reward.prepare([record.view()]).batch)]
    assert torch.equal(chosen.hidden, torch.stack([states[0], states[0]]))
    assert torch.equal(rejected.hidden, torch.stack([states[1], states[2]]))


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match="known already"):
        with_person(people(), "ann", [])
    with pytest.raises(ValueError, match="no certain choice"):
        with_person(people(), "cem", asked("cem"))
    backbone = tiny_text()
    with pytest.raises(TypeError, match="IdealPointHead"):
        with_person(LearnedReward(backbone, ScalarHead(backbone.hidden_size)), "cem", [])
