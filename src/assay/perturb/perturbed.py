"""Perturbed: records after a change, with which of them changed and why the others did not."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from assay.records import Record


@dataclass(frozen=True, slots=True)
class Perturbed:
    """Records after a perturbation: same number, order, ids and responses.

    ``changed[i]`` is False where the perturbation was impossible; record i is then the original and ``reasons[i]``
    says why (empty where changed). A comparison of scores must leave those rows out. ``note`` sums this up.
    """

    records: tuple[Record, ...]
    changed: tuple[bool, ...]
    note: str
    reasons: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[int, ...]:
        """The indices of the changed records."""
        return tuple(i for i, hit in enumerate(self.changed) if hit)


def each(records: Sequence[Record], change: Callable[[int, Record], Record | str], name: str) -> Perturbed:
    """Apply ``change`` to every record; a string it returns in place of a record is the reason why it could not."""
    done = [change(i, record) for i, record in enumerate(records)]
    reasons = tuple(item if isinstance(item, str) else "" for item in done)
    counted = Counter(reason for reason in reasons if reason)
    note = f"{name}: {len(done) - counted.total()} of {len(done)} records changed"
    if counted:
        note += "; left as they were: " + ", ".join(f"{count} ({reason})" for reason, count in sorted(counted.items()))
    return Perturbed(
        records=tuple(old if isinstance(new, str) else new for old, new in zip(records, done, strict=True)),
        changed=tuple(not reason for reason in reasons),
        note=note,
        reasons=reasons,
    )


def donors(contents: Sequence[frozenset[Hashable]], seed: int) -> list[int | None]:
    """For each row another row that shares no content with it; None where there is none (or the row is empty).

    Rows linked by shared content form groups. When no group is larger than half of the rows, rows are laid out group
    after group in random order and rotated by the size of the largest: a permutation, so that every content is used
    as often as before. Otherwise the rows that rotation leaves with their own content draw among those that differ.
    """
    rng = random.Random(seed)
    rows = [i for i, content in enumerate(contents) if content]
    groups = _linked(contents, rows)
    rng.shuffle(groups)
    layout: list[int] = []
    for group in groups:
        rng.shuffle(group)
        layout += group
    step = max((len(group) for group in groups), default=0)
    chosen: list[int | None] = [None] * len(contents)
    draws: dict[frozenset[Hashable], list[int]] = {}
    for place, row in enumerate(layout):
        donor = layout[(place + step) % len(layout)]
        if contents[row].isdisjoint(contents[donor]):
            chosen[row] = donor
            continue
        own = contents[row]
        if own not in draws:
            draws[own] = [other for other in rows if own.isdisjoint(contents[other])]
        chosen[row] = rng.choice(draws[own]) if draws[own] else None
    return chosen


def _linked(contents: Sequence[frozenset[Hashable]], rows: Sequence[int]) -> list[list[int]]:
    """Rows in groups: two rows that share content are in one group (union-find)."""
    parent = {row: row for row in rows}

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[Hashable, int] = {}
    for row in rows:
        for item in contents[row]:
            parent[root(row)] = root(first.setdefault(item, row))
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for row in rows:
        groups[root(row)].append(row)
    return list(groups.values())
