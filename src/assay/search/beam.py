"""Step beam search: after every step the beginnings that a reward scores best are gone on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from assay.models.base import Generator
from assay.records import Record, Response
from assay.records.steps import Split, lines
from assay.rewards.base import Reward
from assay.search.growing import Desk, Found, Tokens, words


@final
@dataclass(frozen=True, slots=True)
class Beginning:
    """A beginning of ``steps`` steps, ``whole`` where the response ends there, with the reward's value, higher
    better."""

    response: Response | None
    steps: int
    whole: bool
    value: float


def step_beam(
    record: Record,
    generator: Generator,
    reward: Reward,
    *,
    width: int = 4,
    expand: int = 4,
    depth: int = 32,
    split: Split = lines,
    tokens: Tokens = words,
    seed: int = 0,
) -> Found:
    """Keeps the ``width`` best beginnings of solutions, step by step.

    At each step every beginning that is not whole is gone on with ``expand`` times (the first, from nothing,
    ``width expand`` times) and cut after its next step; the reward scores each new beginning once, and of these and the
    whole ones the best ``width`` stay, the earlier of equals, each text once. It ends when all that stay are whole, or
    after ``depth`` steps, where each beginning is finished once. Responses that the record has are not read.

    Any reward guides it: it is asked of beginnings, marked with their steps. For a process reward chain
    `transforms.steps.aggregate_steps` (``last``, ``minimum``). A beginning that it cannot judge is dropped. A
    `StepGenerator` stops where the step ends; any other writes whole responses, and what is cut off counts as written.

    Raises:
        ValueError: ``width``, ``expand`` or ``depth`` is below 1.

    Source: Snell et al. (beam search against a process reward), 2024, arXiv 2408.03314.
    """
    if min(width, expand, depth) < 1:
        raise ValueError(f"need at least 1, got {width=}, {expand=}, {depth=}")
    desk = Desk(record, generator, reward, split, tokens, seed)
    beam: list[Beginning] = [Beginning(None, 0, False, 0.0)]
    taken = 0
    while taken < depth and any(not each.whole for each in beam):
        count = expand if taken else width * expand
        new = [found for each in beam if not each.whole for found in _gone_on(desk, each, count)]
        whole = [each for each in beam if each.whole]
        beam = sorted([*whole, *_judged(desk, new, taken + 1)], key=lambda each: -each.value)[:width]
        taken += 1
    ends = [
        end
        for each in beam
        if each.response is not None
        for end in ([each.response] if each.whole else desk.go_on(each.response, 1, "finish"))
    ]
    return desk.found(ends, how="beam", width=width, expand=expand, steps=taken, stopped=_why(beam))


def _gone_on(desk: Desk, beginning: Beginning, count: int) -> list[tuple[Response, bool]]:
    drawn = desk.one_step(beginning.response, count, beginning.steps, "beam", beginning.steps)
    return [each for each in drawn if each is not None]


def _judged(desk: Desk, new: list[tuple[Response, bool]], steps: int) -> list[Beginning]:
    """The new beginnings that the reward can judge, each text once; a whole response stands for its beginning."""
    once: dict[tuple[str, bool], Response] = {}
    for response, whole in new:
        once.setdefault((response.text, whole), response)
    values = desk.values(list(once.values()))
    return [
        Beginning(response, steps, whole, value)
        for ((_, whole), response), value in zip(once.items(), values, strict=True)
        if value is not None
    ]


def _why(beam: list[Beginning]) -> str:
    if not beam:
        return "nothing judged"
    return "whole" if all(each.whole for each in beam) else "depth"
