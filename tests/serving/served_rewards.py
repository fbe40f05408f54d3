"""Rewards that say how they were called, for the tests of the service; importable by a process of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from assay.records import Record
from assay.rewards.base import Reward, scores_of
from assay.scores import Scores
from assay.spec import Spec


def length(text: str) -> float:
    return float(len(text))


@dataclass
class Told:
    """A reward of the text of a response (and of its prompt), that writes down each call and does what a text asks."""

    spec: Spec = field(default_factory=Spec)
    seconds: float = 0.0
    gate: threading.Event | None = None
    calls: list[list[Record]] = field(default_factory=list[list[Record]])

    def fingerprint(self) -> str:
        return f"told {self.spec}"

    def __call__(self, records: Sequence[Record], /) -> Scores:
        self.calls.append(list(records))
        if self.gate is not None:
            assert self.gate.wait(20)
        if self.seconds:
            time.sleep(self.seconds)
        texts = [response.text for record in records for response in record.responses]
        for text in texts:
            if text == "raise":
                raise RuntimeError("it was asked to raise")
        prompts = [record.prompt[0].text for record in records for _ in record.responses]
        values = [len(text) + len(prompt) / 1000 for text, prompt in zip(texts, prompts, strict=True)]
        return scores_of(records, torch.tensor(values, dtype=torch.float64))


def dying(records: Sequence[Record]) -> Scores:
    """The length of a response; ``die`` kills the process, ``segfault`` and ``exit`` end it, ``hang`` never ends."""
    for record in records:
        for response in record.responses:
            match response.text:
                case "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "segfault":
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "exit":
                    os._exit(3)
                case "hang":
                    time.sleep(600)
                case "pid":
                    return scores_of(records, [float(os.getpid())] * sum(len(r.responses) for r in records))
                case _:
                    pass
    return scores_of(records, [length(response.text) for record in records for response in record.responses])


def make_dying() -> Reward:
    return dying


def fails_to_load() -> Reward:
    raise FileNotFoundError("no weights here")


def dies_loading() -> Reward:
    os._exit(7)


@dataclass(frozen=True)
class Versioned:
    """A reward that adds a number, of which a file may be the origin."""

    plus: float

    def __call__(self, records: Sequence[Record], /) -> Scores:
        texts = [response.text for record in records for response in record.responses]
        if "die" in texts:
            os.kill(os.getpid(), signal.SIGKILL)
        return scores_of(records, [length(text) + self.plus for text in texts])


def versioned(plus: float) -> Callable[[], Reward]:
    return partial(Versioned, plus)


def from_number(path: str) -> Reward:
    with open(path, encoding="utf-8") as file:
        return Versioned(float(file.read()))


def threads_of_arithmetic(records: Sequence[Record]) -> Scores:
    """How many threads torch computes with."""
    return scores_of(records, torch.full((sum(len(r.responses) for r in records),), float(torch.get_num_threads())))


def counting_threads() -> Reward:
    """The reward above."""
    return threads_of_arithmetic
