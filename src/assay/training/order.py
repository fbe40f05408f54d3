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
