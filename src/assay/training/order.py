"""The order in which a run sees its records: a pure function of seed and epoch, so resuming is exact."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence


def batches(count: int, size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """The records ``0..count-1`` shuffled and cut into batches of ``size``; the last one may be smaller."""
    order = list(range(count))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return [order[first : first + size] for first in range(0, count, size)]


def batches_by_key(keys: Sequence[Hashable], size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """Records of equal key side by side: groups are shuffled, then filled into batches of at most ``size``.

    A group is cut only if it is larger than a batch.
    """
    chance = random.Random(f"{seed}:{epoch}")
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    shuffled = list(groups.values())
    chance.shuffle(shuffled)
    found: list[list[int]] = [[]]
    for group in shuffled:
        chance.shuffle(group)
        for first in range(0, len(group), size):
            part = group[first : first + size]
            if len(found[-1]) + len(part) > size:
                found.append([])
            found[-1] += part
    return [batch for batch in found if batch]


def batches_balanced(keys: Sequence[Hashable], size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """As many batches as `batches` gives, each with equally many records of every key, up to one.

    The records of a key are shuffled and drawn in turn, anew when they are used up: small sources repeat, large ones
    are seen in part. The keys that get one record more than others take turns. With one record a key and batch this is
    the sampling that MORE trains with (2023, arXiv 2312.07401).

    Raises:
        ValueError: there are more keys than places in a batch.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    if len(groups) > size:
        raise ValueError(f"{len(groups)} sources do not fit a batch of {size}; take a batch of at least {len(groups)}")
    chance = random.Random(f"{seed}:{epoch}")
    names = list(groups)
    supply: dict[Hashable, list[int]] = {name: [] for name in names}
    turn = 0
    found: list[list[int]] = []
    left = len(keys)
    while left > 0:
        batch: list[int] = []
        for _ in range(min(size, left)):
            name = names[turn % len(names)]
            turn += 1
            if not supply[name]:
                supply[name] = chance.sample(groups[name], len(groups[name]))
            batch.append(supply[name].pop())
        found.append(batch)
        left -= len(batch)
    return found
