"""A score does not depend on what it was computed with, for a real model, and equal prompts are computed once."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
import torch

from assay.models.hf import Backbone
from assay.records import Record
from assay.rewards.base import Reward, fingerprint, score
from assay.rewards.learned import LearnedReward
from assay.serving.service import Entry, QueueLimits, Service
from assay.testing import learned_reward, tiny_text

WORDS = ["quick", "brown", "fox", "people", "write", "long", "letters", "to", "their", "friends"]


def text(chance: random.Random, most: int) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randrange(1, most)))


@pytest.mark.parametrize("budget", [256, 16_384])
def test_a_needle_scores_the_same_whatever_it_is_batched_with(budget: int):
    reward = learned_reward()
    chance = random.Random(0)
    needle = Record.of("what colour is the shape in this picture?", ["the shape is red", "the shape is teal"], id="n")
    offline = score(reward, [needle]).values
    prompts = [needle.prompt[0].text, *(text(chance, 60) for _ in range(4))]
    worst: list[float] = []

    async def main() -> None:
        service = Service([Entry("lm", lambda: reward)], limits=QueueLimits(batch_tokens=budget))
        await service.start()
        for _ in range(6):
            hay = [
                [Record.of(chance.choice(prompts), [text(chance, 80) for _ in range(chance.randrange(1, 5))], id="n")]
                for _ in range(chance.randrange(2, 10))
            ]
            hay.insert(chance.randrange(len(hay)), [needle])
            answers = await asyncio.gather(*(service.score(None, each) for each in hay))
            for asked, answered in zip(hay, answers, strict=True):
                wanted = offline if asked[0] is needle else score(reward, asked).values
                worst.append(float((answered.scores.values - wanted).abs().max()))
        await service.drain(5)

    asyncio.run(main())
    assert max(worst) <= 1e-5


def test_pictures_are_grouped_by_content_and_score_as_offline(picture: Any):
    from assay.testing import tiny_llava

    reward = LearnedReward.fresh(tiny_llava())
    asked = [
        [Record.of([picture(seed=seed), "what colour is it?"], [f"answer {i} of {seed}"], id=f"{seed}/{i}")]
        for seed in range(2)
        for i in range(3)
    ]

    async def main() -> None:
        service = Service([Entry("vlm", lambda: reward)], limits=QueueLimits(wait=0.2))
        await service.start()
        answers = await asyncio.gather(*(service.score(None, each) for each in asked))
        for each, answered in zip(asked, answers, strict=True):
            assert answered.scores.values.item() == pytest.approx(score(reward, each).values.item(), abs=1e-5)
        text = service.exposition().decode()
        assert next(line for line in text.splitlines() if line.startswith("assay_grouped_rows_total{")).endswith(" 6.0")
        await service.drain(5)

    asyncio.run(main())


def forwards_of(backbone: Backbone) -> list[int]:
    """How many tokens each forward of the backbone was given, as they come."""
    tokens: list[int] = []

    def count(_module: Any, _args: Any, given: dict[str, Any]) -> None:
        found = given.get("input_ids") if given.get("input_ids") is not None else given.get("inputs_embeds")
        assert isinstance(found, torch.Tensor)
        tokens.append(found.shape[0] * found.shape[1])

    backbone.module.register_forward_pre_hook(count, with_kwargs=True)
    return tokens


def test_eight_requests_of_one_long_prompt_compute_it_once_and_the_estimate_learns():
    backbone = tiny_text()  # never used before: its self-check must not fall into the first request
    reward: Reward = LearnedReward.fresh(backbone)
    long = " ".join(WORDS * 25)
    asked = [[Record.of(long, [f"answer {i}"])] for i in range(8)]
    size = len(backbone.tokenizer.encode(long))
    offline = [score(reward, each).values.item() for each in asked]
    tokens = forwards_of(backbone)

    async def main() -> None:
        service = Service([Entry("lm", lambda: reward)], limits=QueueLimits(wait=0.2))
        await service.start()
        assert sum(tokens), "what a model does on first use is done before it is ready"
        tokens.clear()
        first = service.tokens(None, asked[0])
        answers = await asyncio.gather(*(service.score(None, each) for each in asked))
        values = [answered.scores.values.item() for answered in answers]
        assert values == pytest.approx(offline, abs=1e-5)
        assert size < sum(tokens) < 2 * size
        later = service.tokens(None, asked[0])
        assert abs(later - size) < abs(first - size)
        assert later == pytest.approx(size, rel=0.1)
        await service.drain(5)

    asyncio.run(main())


@pytest.mark.parametrize("kept", [True, False])
def test_a_prompt_is_kept_for_the_requests_that_come_later(kept: bool):
    backbone = tiny_text()
    reward = LearnedReward.fresh(backbone)
    long = " ".join(WORDS * 25)
    asked = [[Record.of(long, [f"answer {i}"])] for i in range(6)]
    size = len(backbone.tokenizer.encode(long))
    offline = [score(reward, each).values.item() for each in asked]
    tokens = forwards_of(backbone)

    async def main() -> None:
        options = {} if kept else {"prefix_bytes": 0}
        service = Service([Entry("lm", lambda: reward, **options)], limits=QueueLimits(wait=0.0))
        await service.start()
        assert service.named(None).fingerprint == fingerprint(reward)
        values = [(await service.score(None, each)).scores.values.item() for each in asked]
        assert values == pytest.approx(offline, abs=1e-5)
        tokens.clear()
        await service.score(None, [Record.of(long, ["one more"])])
        assert (sum(tokens) < size / 2) is kept
        await service.drain(5)

    asyncio.run(main())


def test_a_slow_model_is_given_no_more_at_once_than_it_can_soon_do():
    reward = learned_reward()
    asked = [[Record.of(f"prompt {i} " + " ".join(WORDS * 4), ["an answer"])] for i in range(60)]

    async def largest(limits: QueueLimits) -> int:
        service = Service([Entry("lm", lambda: reward)], limits=limits)
        await service.start()
        await service.score(None, asked[0])
        await asyncio.gather(*(service.score(None, each) for each in asked))
        lines = [line for line in service.exposition().decode().splitlines() if "batch_tokens_bucket" in line]
        await service.drain(5)
        return next(
            int(float(line.split('le="')[1].split('"')[0])) for line in lines if line.endswith(lines[-1].split()[-1])
        )

    assert asyncio.run(largest(QueueLimits(batch_seconds=1e-6))) == 1024
    assert asyncio.run(largest(QueueLimits(batch_seconds=100.0))) > 2048
