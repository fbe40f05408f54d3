"""People who want opposite things, known by a few choices: told apart, scored, saved; unknown ones averaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from assay.models.heads.latent_user import LatentUserHead
from assay.records import Preference, Record
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text
from assay.training.latent_users import LatentUsers, learn_latent_users


def choices(person: int, count: int, seed: int) -> list[Record]:
    """Even people choose what is red, odd ones what is blue."""
    chance = random.Random(1000 * person + seed)
    made: list[Record] = []
    for number in range(count):
        words = [f"{colour} {chance.choice(['shape', 'answer', 'picture'])}" for colour in ("red", "blue")]
        better = person % 2
        made.append(
            Record.of(f"which {number % 3}?", words, feedback=[Preference(better, 1 - better)], rater=f"p{person}")
        )
    return made


@pytest.fixture(scope="module")
def learned() -> LatentUsers:
    records = [record for person in range(8) for record in choices(person, 6, 0)]
    return learn_latent_users(tiny_text(), records, latent=2, width=16, known=4, steps=150, learning_rate=0.01)


def test_new_people_are_told_apart_by_a_few_choices(learned: LatentUsers) -> None:
    right = 0
    for person in (10, 11, 12, 13):
        who = learned.person(choices(person, 4, 1))
        asked = choices(person, 5, 2)
        values = learned.reward(learned.told(asked, who)).values.reshape(-1, 2)
        right += int((values[:, person % 2] > values[:, 1 - person % 2]).sum())
    assert right >= 18
    assert learned.active >= 1


def test_somebody_unknown_has_the_mean_of_the_prior_and_its_spread(learned: LatentUsers) -> None:
    found = learned.reward(choices(0, 1, 3))
    head = learned.reward.head
    assert isinstance(head, LatentUserHead)
    each = torch.stack([learned.reward(learned.told(choices(0, 1, 3), who.tolist())).values for who in head.people])
    assert torch.allclose(found.values, each.mean(0), atol=1e-4)
    assert found.std is not None
    assert torch.allclose(found.std, each.std(0, correction=0), atol=1e-4)
    assert learned.person([]) == [0.0, 0.0]


def test_the_reward_is_saved(learned: LatentUsers, tmp_path: Path) -> None:
    records = learned.told(choices(1, 2, 4), [1.0, -1.0])
    again = LearnedReward.load(learned.reward.save(tmp_path / "reward"))
    assert torch.equal(again(records).values, learned.reward(records).values)


def test_one_person_is_not_enough() -> None:
    with pytest.raises(ValueError, match="at least two"):
        learn_latent_users(tiny_text(), choices(0, 3, 0))
