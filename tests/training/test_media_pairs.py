"""Pairs whose media differ: the responses are pictures, films or tunes, and a reward learns which is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from assay.media import Text
from assay.models.frames import Frames
from assay.models.heads import ScalarHead
from assay.models.hf import Backbone
from assay.models.pictures import Pictures
from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Record, Response
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.testing import tiny_llava, tiny_qwen2_audio
from assay.training.budgets import Constant, Steps
from assay.training.evaluation import evaluate
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.supervision import supervise
from assay.worlds.films import PITCHES, film_video, sample_film, tune

PAIRS = supervise(bradley_terry)


def record(name: str, asked: str, good: Any, bad: Any, generator: np.random.Generator) -> Record:
    better = int(generator.integers(2))
    answers = [Response.of([part, Text("this")]) for part in ((good, bad) if better == 0 else (bad, good))]
    return Record.of(asked, answers, id=name, feedback=[Preference(better, 1 - better)])


def films(count: int, seed: int) -> list[Record]:
    """The film that ends with more shapes than the other."""
    generator = np.random.default_rng([seed, 1])
    made: list[Record] = []
    while len(made) < count:
        one, other = (sample_film(generator) for _ in range(2))
        ends = [len(each.scenes[-1].things) for each in (one, other)]
        if abs(ends[0] - ends[1]) == 2:
            good, bad = (one, other) if ends[0] > ends[1] else (other, one)
            name = f"films-{seed}-{len(made)}"
            made.append(record(name, "Which ends full?", film_video(good, 8), film_video(bad, 8), generator))
    return made


def pictures(count: int, seed: int) -> list[Record]:
    """The last picture of such a film."""
    found: list[Record] = []
    for each in films(count, seed):
        stills = [Response.of([answer.messages[0].parts[0].frames[-1], Text("this")]) for answer in each.responses]
        found.append(replace(each, responses=tuple(stills)))
    return found


def tunes(count: int, seed: int) -> list[Record]:
    """The tune whose beeps are higher than those of the other."""
    generator = np.random.default_rng([seed, 2])
    names = list(PITCHES)
    made: list[Record] = []
    for number in range(count):
        low, high = sorted(generator.permutation(3)[:2].tolist())
        good, bad = (tune([names[pitch]] * int(generator.integers(1, 4))) for pitch in (high, low))
        made.append(record(f"tunes-{seed}-{number}", "Which is higher?", good, bad, generator))
    return made


def looking() -> Backbone:
    """The tiny LLaVA with weights as its class initialises them, shown two frames of a film."""
    backbone = initialised(tiny_llava(image_size=32))
    assert backbone.pictures is not None
    shown = Pictures(backbone.pictures.processor, backbone.pictures.layout, frames=Frames(count=2))
    return replace(backbone, pictures=shown)


def hearing() -> Backbone:
    return initialised(tiny_qwen2_audio(seconds=1))


def initialised(backbone: Backbone) -> Backbone:
    config = backbone.config
    for part in (config, *(getattr(config, name, config) for name in ("text_config", "vision_config", "audio_config"))):
        part.initializer_range = 0.1
    torch.manual_seed(0)
    return backbone.with_module(type(backbone.module)(config).eval())


@dataclass(frozen=True)
class World:
    backbone: Callable[[], Backbone]
    records: Callable[[int, int], list[Record]]
    steps: int


@pytest.mark.parametrize(
    "world",
    [World(looking, pictures, 30), World(looking, films, 30), World(hearing, tunes, 30)],
    ids=["pictures", "films", "tunes"],
)
def test_a_reward_learns_pairs_that_differ_in_their_media(world: World) -> None:
    records, held_out = world.records(64, 0), world.records(48, 1)
    reward = LearnedReward(world.backbone(), ScalarHead(64, norm=True))
    before = evaluate(reward, held_out, PAIRS)
    settings = Settings(budget=Steps(world.steps), batch=16, learning_rate=2e-3, schedule=Constant())
    result = train(reward, records, PAIRS, settings)
    after = evaluate(reward, held_out, PAIRS)
    assert set(result.status) == {Status.OK}
    assert after["accuracy"] > max(0.85, before["accuracy"] + 0.1)
    assert after["loss"] < before["loss"] - 0.1
