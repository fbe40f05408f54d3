"""Themis: a reward that reads a calculator's observation checks sums that it cannot check by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.fit import fit_at_best
from assay.claims.paired import values, world
from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.records import Message, Record
from assay.rewards.base import scores_of
from assay.rewards.toolbox import calculator
from assay.rewards.tools import ToolError, ToolReward, arithmetic, traced
from assay.scores import Scores, Status

_TRAIN, _TEST, _DIGITS = 800, 1000, 3
_TRAINED_TO, _TESTED_TO = 200, 400


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """Which of two stated sums is right: learned on numbers below 200, tested below 400. The reward reads the digits
    and the products of digits of one place; with the tool also those of the observation that the calculator gave in
    the trace. Nothing compares them for it. Both are stopped at their best.

    A calculator that is down must leave no score: every such response abstains. Sabotage: the calculator observes the
    sum of another question.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    with_tool, without, scored = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={"accuracy with the calculator": with_tool, "accuracy without": without},
        checks=(
            Check("accuracy with the calculator", with_tool, at_least=0.95),
            Check("accuracy without", without, at_most=0.65),
            Check("responses scored though the calculator was down", scored, at_most=0.0),
        ),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float]:
    generator = world(seed)
    learned = _questions(_TRAIN, _TRAINED_TO, generator)
    tested = _questions(_TEST, _TESTED_TO, generator)
    return _accuracy(learned, tested, seed, True, sabotage), _accuracy(learned, tested, seed, False), _failed(tested)


def _questions(count: int, below: int, generator: torch.Generator) -> list[Record]:
    """Sums with the right answer first and one of which a digit is wrong second."""
    numbers = torch.randint(0, below, (count, 2), generator=generator).tolist()
    sizes = torch.randint(1, 10, (count,), generator=generator)
    sizes = sizes * 10 ** torch.randint(0, 2, (count,), generator=generator)
    up = torch.rand(count, generator=generator) < 0.5
    slips = [
        size if more or a + b < size else -size
        for (a, b), size, more in zip(numbers, sizes.tolist(), up.tolist(), strict=True)
    ]
    return [
        Record.of(f"What is {a} + {b}?", [f"{a} + {b} = {a + b}", f"{a} + {b} = {a + b + slip}"], id=str(i))
        for i, ((a, b), slip) in enumerate(zip(numbers, slips, strict=True))
    ]


def _accuracy(learned: list[Record], tested: list[Record], seed: int, tool: bool, sabotage: bool = False) -> float:
    pairs, held_out = (_features(records, tool, sabotage) for records in (learned, tested))
    head = ScalarHead(pairs.shape[-1], seed=seed)

    def loss() -> Tensor:
        scores = values(head, pairs)
        return bradley_terry(scores[:, 0], scores[:, 1])

    def quality() -> float:
        scores = values(head, held_out)
        gap = scores[:, 0] - scores[:, 1]
        return float((gap > 0).float().mean() + 0.5 * (gap == 0).float().mean())

    return fit_at_best(head, loss, quality, steps=150)


def _features(records: Sequence[Record], tool: bool, sabotage: bool) -> Tensor:
    """``[records, 2, width]``: digits of the summands and of the stated sum, and, with the tool, of the observation,
    one-hot, and which digit of each stands over which of the stated sum."""
    trace = traced(records, arithmetic, {"calculator": calculator}).records
    shown = [[response.messages for response in record.responses] for record in trace]
    observed = [[_number(messages[-1].text.rsplit(" ", 1)[-1]) for messages in pair] for pair in shown]
    if sabotage:
        observed = observed[1:] + observed[:1]
    rows = [
        [_read(messages[0], seen if tool else None) for messages, seen in zip(pair, own, strict=True)]
        for pair, own in zip(shown, observed, strict=True)
    ]
    return torch.stack([torch.stack(pair) for pair in rows])


def _read(stated: Message, seen: Tensor | None) -> Tensor:
    left, total = stated.text.split(" = ")
    first, second = left.split(" + ")
    said = _number(total)
    others = [_number(first), _number(second), *([] if seen is None else [seen])]
    products = [(said.T @ other).flatten() for other in others]
    return torch.cat([said.flatten(), *(other.flatten() for other in others), *products])


def _number(text: str) -> Tensor:
    """The digits of a number, one-hot, ``[places, 10]``."""
    return torch.eye(10)[[int(digit) for digit in text.zfill(_DIGITS)[-_DIGITS:]]]


def _failed(records: Sequence[Record]) -> float:
    """The share of responses that a reward scored whose tool was down."""

    def down(text: str, record: Record) -> str:
        raise ToolError("the calculator is down", Status.UNAVAILABLE)

    def lengths(shown: Sequence[Record], /) -> Scores:
        return scores_of(shown, [float(len(r.text)) for record in shown for r in record.responses])

    found = ToolReward(lengths, arithmetic, {"calculator": down})(records)
    scored = [not math.isnan(value) for value in found.values.tolist()]
    return sum(scored) / len(scored)
