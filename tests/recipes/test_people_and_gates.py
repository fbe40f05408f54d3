"""Recipes for people, contexts, gates and fused modalities train on a real backbone, are saved, and score the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.media import Image, Text
from assay.models.towers import Tower, Towers, of_prompt, of_response, towers_from
from assay.recipes.carm import carm
from assay.recipes.dmoerm import dmoerm
from assay.recipes.mj_video import mj_video
from assay.recipes.multimodn import multimodn
from assay.recipes.pal import pal
from assay.recipes.social_reward import social_reward
from assay.recipes.word_of_mouth import word_of_mouth
from assay.records import Preference, Rating, Record
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_clip, tiny_text
from assay.training.budgets import Steps
from assay.training.plan import Training
from assay.training.settings import Settings

PEOPLE = ("ann", "bob")


def short(settings: Settings) -> Settings:
    return replace(settings, budget=Steps(2), batch=4, learning_rate=1e-3)


def pairs(**context: Sequence[object]) -> list[Record]:
    """Four pairs; each column of the context gives them its values in turn."""
    feedback = (
        Preference(0, 1),
        Preference(0, 1, criterion="motion"),
        Rating(0, 1.0, criterion="motion/smooth"),
        Rating(1, 0.0, criterion="match"),
    )
    made = [Record.of(f"prompt {n}", ["a kind answer", "a rude one"], feedback=feedback) for n in range(4)]
    return [
        replace(record, context={name: values[n % len(values)] for name, values in context.items()})
        for n, record in enumerate(made)
    ]


CASES: dict[str, tuple[Training, list[Record]]] = {
    "mj_video": (
        mj_video({"motion": ("smooth", "steady"), "match": ("objects",)}),
        pairs(relevant=[["motion"], ["match"]]),
    ),
    "dmoerm": (dmoerm({"code": ("right", "brief"), "chat": ("kind",)}), pairs(category=["code", "chat"])),
    "pal": (pal(PEOPLE, width=8), pairs(rater=PEOPLE)),
    "pal of the prompt": (pal(PEOPLE, width=8, from_prompt=True), pairs(rater=PEOPLE)),
    "carm": (carm(["brief", "long"]), pairs(context=["brief", "long"])),
    "word_of_mouth": (word_of_mouth(2), pairs(profile=[[0.0, 1.0], [1.0, 0.0]])),
}


@pytest.mark.parametrize("name", CASES)
def test_it_trains_and_is_saved(name: str, tmp_path: Path) -> None:
    training, records = CASES[name]
    fresh = training.reward(tiny_text())(records).values
    reward = training.run(tiny_text(), records, change=short).reward
    found = reward(records)
    assert torch.isfinite(found.values).all()
    assert not torch.equal(found.values, fresh)
    again = LearnedReward.load(reward.save(tmp_path / "reward"))
    assert torch.equal(again(records).values, found.values)


def test_somebody_unknown_has_the_population_value_with_its_spread_or_abstains() -> None:
    records = [Record.of("prompt", ["a kind answer", "a rude one"], rater=name) for name in (*PEOPLE, "zoe")]
    found = pal(PEOPLE, width=8).reward(tiny_text())(records)
    values = found.values.reshape(3, 2)
    assert torch.allclose(values[2], values[:2].mean(0), atol=1e-5)
    assert found.std is not None
    assert torch.isfinite(found.std[4:]).all()
    assert pal(PEOPLE, width=8, abstains=True).reward(tiny_text())(records).values[4:].isnan().all()


def clip() -> Towers:
    """What was asked for and the picture, in one space."""
    towers = [Tower("asked", "clip", Text, of_prompt), Tower("seen", "clip", Image, of_response)]
    return towers_from({"clip": tiny_clip()}, towers)


def picture(seed: int) -> Image:
    return Image.from_array(np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8))


def test_pictures_taken_up_are_learned_from_those_shown_as_often(tmp_path: Path) -> None:
    records = [
        Record.of(
            f"a picture of {n}",
            [picture(3 * n), picture(3 * n + 1), picture(3 * n + 2)],
            feedback=[Preference(0, 1), Preference(0, 2)],
            exposure=[1.0, 1.1, 5.0],
        )
        for n in range(4)
    ]
    training = social_reward()
    kept = training.stages[0].curate(records)
    assert [record.feedback for record in kept] == [(Preference(0, 1),)] * 4
    reward = training.run(clip(), records, change=short).reward
    found = reward(records)
    assert bool((found.values.abs() <= 1.0 + 1e-6).all())
    again = LearnedReward.load(reward.save(tmp_path / "reward"))
    assert torch.equal(again(records).values, found.values)


def test_a_missing_modality_is_skipped_and_every_step_learns(tmp_path: Path) -> None:
    records = [
        Record.of(f"a picture of {n}", [picture(n), "no picture"], feedback=[Rating(0, 1.0), Rating(1, 0.0)])
        for n in range(4)
    ]
    training = multimodn(2)
    reward = training.run(clip(), records, change=short).reward
    found = reward(records)
    assert torch.isfinite(found.values).all()
    outputs = reward.outputs(reward.prepare(records).batch)
    predictions = outputs.extra["predictions"]
    assert torch.equal(predictions[1::2, 1], predictions[1::2, 2])
    assert not torch.equal(predictions[0::2, 1], predictions[0::2, 2])
    losses = training.stages[0].supervision(outputs, records)
    assert losses.items.numel() == 4 * len(records) * 2
    again = LearnedReward.load(reward.save(tmp_path / "reward"))
    assert torch.equal(again(records).values, found.values)
