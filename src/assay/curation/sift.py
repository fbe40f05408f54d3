"""Pairs from a judge: who wins drawn comparisons, and of those the ones that its scores set furthest apart."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from assay.records import Preference, Record
from assay.rewards.base import Reward, score

Compare: TypeAlias = Callable[[Record, int, int], int | None]
"""A record and the indices of two of its responses, in the order they are shown, to the index of the better one; None
for a tie, and for an answer that cannot be read."""

_VERDICT = re.compile(r"\b(?:answer|response)\s*(?P<named>[12])\b(?P<rest>[^.\n]*\bbetter\b)", re.IGNORECASE)


def verdict(text: str) -> int | None:
    """Which of two a judge names: 0 for ``Answer 1 is better``, 1 for ``Answer 2 is better`` (or ``Response``).

    None where it names neither or both. A text that cannot be read never counts for the response shown first.
    """
    named = {int(found["named"]) - 1 for found in _VERDICT.finditer(text) if " not " not in f"{found['rest']} "}
    return named.pop() if len(named) == 1 else None


def judged(write: Callable[[Record, int, int], str]) -> Compare:
    """A comparison from a function that gives a judge's text about two responses, by `verdict`."""

    def compare(record: Record, first: int, second: int) -> int | None:
        named = verdict(write(record, first, second))
        return None if named is None else (first, second)[named]

    return compare


def rank_and_sift(
    compare: Compare, point: Reward, *, rounds: int = 5, seed: int = 0
) -> Callable[[Sequence[Record]], list[Record]]:
    """One preference a record: ``rounds`` comparisons of two responses drawn at random, then the winner of the highest
    score over the loser of the lowest. A record stays out where no round was decided, or where the winner's score is
    not above the loser's; a response that the reward cannot judge is neither. Records need two responses.

    The responses, whose order a judge may favour, are shown in drawn order. In trials with a noisy judge the sifting by
    rounds was no better than taking the highest and the lowest score alone.

    Raises:
        ValueError: ``rounds`` is below 1.

    Source: Wang et al. (UnifiedReward), 2025, arXiv 2503.05236.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; at least one comparison is needed")

    def curate(records: Sequence[Record]) -> list[Record]:
        wide = [record for record in records if len(record.responses) > 1]
        scores = score(point, wide)
        rows = iter(scores.values.tolist())
        numbers = [[next(rows) for _ in record.responses] for record in wide]
        sifted = [_sifted(record, compare, own, rounds, seed) for record, own in zip(wide, numbers, strict=True)]
        return [record for record in sifted if record is not None]

    return curate


def _sifted(record: Record, compare: Compare, numbers: Sequence[float], rounds: int, seed: int) -> Record | None:
    draw = random.Random(f"{seed}/{record.id}")
    won: list[int] = []
    lost: list[int] = []
    for _ in range(rounds):
        first, second = draw.sample(range(len(record.responses)), 2)
        better = compare(record, first, second)
        if better is not None and numbers[first] == numbers[first] and numbers[second] == numbers[second]:
            won.append(better)
            lost.append(second if better == first else first)
    if not won:
        return None
    best, worst = max(won, key=lambda i: numbers[i]), min(lost, key=lambda i: numbers[i])
    if numbers[best] <= numbers[worst]:
        return None
    margin = numbers[best] - numbers[worst]
    return replace(record, feedback=(Preference(best, worst, strength=margin),))
