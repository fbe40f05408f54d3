"""Pairs matched in what must not decide: length, exposure, or any other number a response has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from assay.records import Preference, Ranking, Rating, Record
from assay.records.pairs import preferences_of

Key: TypeAlias = Callable[[Record, int], float | None]
"""A record and the index of one of its responses to a number; None where it is not known."""


def words(record: Record, response: int) -> float:
    """The number of words of a response's text."""
    return float(len(record.responses[response].text.split()))


def characters(record: Record, response: int) -> float:
    """The number of characters of a response's text."""
    return float(len(record.responses[response].text))


def column(name: str) -> Key:
    """The number that the context column ``name``, one entry a response, gives: exposure or a log-probability, say."""

    def key(record: Record, response: int) -> float | None:
        cells = record.context.get(name)
        if not isinstance(cells, Sequence) or isinstance(cells, str) or len(cells) != len(record.responses):
            return None
        cell = cells[response]
        return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else None

    return key


def matched(key: Key, tolerance: float, *, relative: bool = False) -> Callable[[Sequence[Record]], list[Record]]:
    """Keeps the pairs whose two responses differ in ``key`` by at most ``tolerance``: what is equal cannot be learned.

    With ``relative`` the difference is divided by the larger of the two sizes. Pairs are those of
    `records.pairs.preferences_of`, so rankings and ratings become preferences; a pair with an unknown key goes. Records
    left without a pair are left out; other kinds of feedback stay.

    Raises:
        ValueError: ``tolerance`` is negative.

    Sources: lengths: InternLM-XComposer2.5-Reward, 2025, arXiv 2501.12368; exposure: Social Reward, 2024, arXiv
    2402.09872.
    """
    if tolerance < 0:
        raise ValueError(f"tolerance is {tolerance}; it must not be negative")

    def near(record: Record, item: Preference) -> bool:
        first, second = key(record, item.better), key(record, item.worse)
        if first is None or second is None:
            return False
        size = max(abs(first), abs(second)) if relative else 1.0
        return abs(first - second) <= tolerance * size

    return _keeping(near)


def not_longer(key: Key = words, ratio: float = 1.5) -> Callable[[Sequence[Record]], list[Record]]:
    """Keeps the pairs whose preferred response is at most ``ratio`` times as long as the other (by ``key``).

    Records left without a pair are left out. Source: InternLM-XComposer2.5-Reward, 2025, arXiv 2501.12368.

    Raises:
        ValueError: ``ratio`` is not positive.
    """
    if not ratio > 0:
        raise ValueError(f"ratio is {ratio}; it must be positive")

    def short(record: Record, item: Preference) -> bool:
        better, worse = key(record, item.better), key(record, item.worse)
        return better is not None and worse is not None and better <= ratio * worse

    return _keeping(short)


def _keeping(keep: Callable[[Record, Preference], bool]) -> Callable[[Sequence[Record]], list[Record]]:
    def curate(records: Sequence[Record]) -> list[Record]:
        found: list[Record] = []
        for record in records:
            pairs = [item for item in preferences_of(record) if keep(record, item)]
            if pairs:
                others = [item for item in record.feedback if not isinstance(item, Preference | Ranking | Rating)]
                found.append(replace(record, feedback=(*pairs, *others)))
        return found

    return curate
