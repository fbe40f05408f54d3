"""Rewards that keep prompts between calls, and sessions: the scores of whole calls, with less computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch

import assay
from assay import testing
from assay.media import Image
from assay.records import Record
from assay.rewards.base import Reward, fingerprint, spec_of
from assay.rewards.learned import LearnedReward
from assay.rewards.parts import keeping_prefixes, with_learned
from assay.rewards.rules import length
from assay.transforms import combine as by
from assay.transforms import shape

LONG = "tell me why the sky is blue, and do so at length, please, as if to a child who asks a third time"
SAID = ["because", "because light scatters", "because light scatters on the air, and blue does most", "no"]


def asked(picture: Callable[..., Image] | None = None) -> Record:
    return Record.of([picture(64, 64, seed=1), LONG] if picture else LONG, SAID, id="r")


def separate(record: Record) -> list[list[Record]]:
    return [[replace(record, id=f"{i}", responses=(each,))] for i, each in enumerate(record.responses)]


@pytest.mark.parametrize("seen", [False, True], ids=["text", "picture"])
def test_separate_calls_score_as_one_and_read_the_prompt_once(seen: bool, picture: Callable[..., Image]) -> None:
    plain = testing.learned_reward(testing.tiny_qwen3_vl() if seen else testing.tiny_text())
    record = asked(picture if seen else None)
    keeping = plain.keeping()
    found = torch.cat([assay.score(keeping, each).values for each in separate(record)])
    torch.testing.assert_close(found, assay.score(plain, [record]).values, rtol=0, atol=1e-5)
    store = keeping.prefixes
    assert store is not None
    prompt = min(len(each.ids) for each in plain.prepare([record]).batch.groups[0]) - 20
    assert store.found >= 3 * prompt
    assert fingerprint(keeping) == fingerprint(plain)
    assert plain.prefixes is None


def test_a_session_scores_what_comes_as_a_whole_call_would() -> None:
    plain = testing.learned_reward()
    session = plain.session(asked())
    first, second = session.extend(asked().responses[:2]), session.extend(asked().responses[2:])
    whole = assay.score(plain, [asked()])
    torch.testing.assert_close(torch.cat([first.values, second.values]), whole.values, rtol=0, atol=1e-5)
    store = session.reward.prefixes
    assert store is not None
    before = store.read
    longer = replace(asked(), prompt=(*asked().prompt, *asked().responses[0].messages, *asked().prompt))
    forked = session.fork(longer).extend(asked().responses[:1])
    expected = assay.score(plain, [replace(longer, responses=asked().responses[:1])])
    torch.testing.assert_close(forked.values, expected.values, rtol=0, atol=1e-5)
    alone = sum(len(each.ids) for each in plain.prepare([longer]).batch.groups[0][:1])
    assert store.read - before < alone
    session.close()
    assert store.bytes == 0


def test_training_through_a_reward_that_keeps_has_the_gradients_of_one_that_does_not() -> None:
    keeping = testing.learned_reward().keeping()
    batch = keeping.prepare([asked()]).batch
    keeping.values(batch).sum().backward()
    assert all(weight.grad is not None for weight in keeping.head.parameters())


def test_every_learned_reward_of_a_composition_is_reached() -> None:
    learned = testing.learned_reward()
    composed = assay.combine(
        assay.chain(learned, shape.scale(2.0, 1.0)), length(per_words=9), by=by.weighted_sum(1.0, 0.1)
    )
    kept = keeping_prefixes(composed, 2**20)
    assert spec_of(kept) == spec_of(composed)
    reached: list[LearnedReward] = []

    def note(each: LearnedReward) -> LearnedReward:
        reached.append(each)
        return each

    assert with_learned(kept, note) is kept
    assert [each.prefixes is not None for each in reached] == [True]
    torch.testing.assert_close(
        assay.score(kept, [asked()]).values, assay.score(composed, [asked()]).values, rtol=0, atol=1e-5
    )


@dataclass(frozen=True)
class Held:
    rewards: dict[str, Reward]

    def __call__(self, records: list[Record]) -> assay.Scores:
        return assay.score(self.rewards["only"], records)


def test_rewards_in_mappings_are_reached_too() -> None:
    kept = with_learned(Held({"only": testing.learned_reward()}), lambda each: each.keeping())
    assert isinstance(kept, Held)
    only = kept.rewards["only"]
    assert isinstance(only, LearnedReward)
    assert only.prefixes is not None
