"""What the service gains by computing requests together, and what it costs around a reward; without HTTP."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence

import torch

from assay.models.hf import backbone_from
from assay.models.scratch import subword_tokenizer
from assay.records import Record
from assay.rewards.base import Reward, score, scores_of
from assay.rewards.learned import LearnedReward
from assay.scores import Scores
from assay.serving.service import Entry, QueueLimits, Service
from measure import Row, interleaved, medians, ratio
from models import smollm2

WORDS = ["the", "red", "model", "reward", "picture", "answer", "is", "not", "of", "in", "on", "it", "that", "very"]
PROMPT, SHORT = 512, 24
BASELINE = "one forward a request"


class Served:
    """A service of one reward and the loop it lives in."""

    def __init__(self, reward: Reward, **entry: int) -> None:
        self._runner = asyncio.Runner()
        self._service = Service([Entry("one", lambda: reward, **entry)], limits=QueueLimits(tokens=10**7))
        self._runner.run(self._service.start())

    def at_once(self, asked: Sequence[Sequence[Record]]) -> list[float]:
        """The values of requests that come together."""

        async def ask() -> list[float]:
            answers = await asyncio.gather(*(self._service.score(None, each) for each in asked))
            return [value for answered in answers for value in answered.scores.values.tolist()]

        return self._runner.run(ask())

    def in_turn(self, asked: Sequence[Sequence[Record]]) -> list[float]:
        """The values of requests that come one after another."""
        return [value for each in asked for value in self.at_once([each])]

    def close(self) -> None:
        """End it."""
        self._runner.run(self._service.drain(10.0))
        self._runner.close()


def alone(reward: Reward, asked: Sequence[Sequence[Record]]) -> list[float]:
    """The values of requests, each by a call of its own."""
    return [value for each in asked for value in score(reward, each).values.tolist()]


def one_each(records: Sequence[Record]) -> list[list[Record]]:
    """Every response as a request of its own."""
    return [[Record(f"{record.id}", record.prompt, (one,))] for record in records for one in record.responses]


def rows(quick: bool) -> list[Row]:
    """Prompts are new in every round, so that nothing is known of them but where the row says so."""
    chance = random.Random(0)

    def text(count: int) -> str:
        return " ".join(chance.choices(WORDS, k=count))

    layers, repeats = (2, 2) if quick else (6, 5)
    reward = LearnedReward.fresh(backbone_from(smollm2(layers), subword_tokenizer([text(2000)], 2000)))
    fresh = Served(reward, prefix_bytes=0)
    keeping = Served(reward)
    numbers = itertools.count()

    def family() -> list[Record]:
        return [Record.of(f"{next(numbers)} {text(PROMPT)}", [text(random.randint(24, 48)) for _ in range(8)])]

    def unrelated() -> list[Record]:
        return [Record.of(f"{next(numbers)} {text(SHORT)}", [text(16)]) for _ in range(16)]

    def compared(
        cell: str, goal: float | None, make: Callable[[], list[Record]], ask: Callable[..., list[float]]
    ) -> Row:
        own = interleaved({"service": lambda: ask(make()), "alone": lambda: alone(reward, one_each(make()))}, repeats)
        records = make()
        pairs = zip(ask(records), alone(reward, one_each(records)), strict=True)
        return Row(
            benchmark="service",
            cell=cell,
            baseline=BASELINE,
            ratio=ratio(own, "service", "alone"),
            goal=goal,
            difference=max(abs(one - other) for one, other in pairs),
            difference_goal=1e-5,
            seconds=medians(own),
            note=f"{layers} of 30 layers",
        )

    found = [
        compared(
            f"8 responses to {PROMPT} words as 8 requests at once", 3.0, family, lambda r: fresh.at_once(one_each(r))
        ),
        compared(f"8 responses to {PROMPT} words as one request", 3.3, family, lambda r: fresh.at_once([r])),
        compared(
            f"8 responses to {PROMPT} words as 8 requests one after another, the prompt kept",
            3.0,
            family,
            lambda r: keeping.in_turn(one_each(r)),
        ),
        compared("16 unrelated short requests at once", None, unrelated, lambda r: fresh.at_once(one_each(r))),
        around(256, 1, repeats),
        around(32, 64, repeats),
    ]
    fresh.close()
    keeping.close()
    return found


def around(requests: int, responses: int, repeats: int) -> Row:
    """CPU seconds of a row around a reward that does nothing, in the service and called directly."""
    numbers = itertools.count()

    def make() -> list[list[Record]]:
        return [[Record.of(f"{next(numbers)}", [f"answer {i}" for i in range(responses)])] for _ in range(requests)]

    served = Served(nothing)
    asked = iter([make() for _ in range(2 * (repeats + 1))])
    seconds = interleaved(
        {"service": lambda: served.at_once(next(asked)), "direct": lambda: alone(nothing, next(asked))}, repeats
    )
    served.close()
    each = {name: spent / (requests * responses) for name, spent in medians(seconds).items()}
    return Row(
        benchmark="service",
        cell=f"around a reward that does nothing, {requests} requests of {responses}",
        baseline="called directly",
        seconds=each,
        note=f"{1e6 * each['service']:.0f} against {1e6 * each['direct']:.0f} microseconds a response",
    )


def nothing(records: Sequence[Record]) -> Scores:
    """A number for each response."""
    return scores_of(records, torch.zeros(sum(len(record.responses) for record in records)))
