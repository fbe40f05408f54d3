"""How sequences are laid out in rows: common prefixes, trees, token budgets, and the choice by estimated cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from assay.models.base import Batch, TokenSequence
from assay.models.families import Family

TOKEN_BUDGET = 16_384


@dataclass(frozen=True, slots=True)
class Tree:
    """Some sequences of one prompt: ``prefix`` tokens computed once, then a branch for each member.

    ``members`` index the batch's sequences in order over groups, shortest branch first; ``branches`` are the tokens of
    each after the prefix, 0 where a member ends with the prefix.
    """

    prefix: int
    members: tuple[int, ...]
    branches: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens computed."""
        return self.prefix + sum(self.branches)

    @property
    def longest(self) -> int:
        """Tokens of the longest member."""
        return self.prefix + self.branches[-1]


@dataclass(frozen=True, slots=True)
class Call:
    """One forward: trees one after another in one row, or single sequences as the rows of a padded batch."""

    trees: tuple[Tree, ...]
    packed: bool

    @property
    def tokens(self) -> int:
        """Tokens computed, padding included."""
        if self.packed:
            return sum(tree.tokens for tree in self.trees)
        return len(self.trees) * max(tree.longest for tree in self.trees)


@dataclass(frozen=True)
class Plan:
    """The layout of a batch, and why it was chosen.

    ``tokens`` are computed, ``tokens_alone`` are those of all sequences without sharing or padding; ``costs`` are the
    estimated seconds (up to a factor) of the layouts that were weighed.
    """

    layout: str
    reason: str
    calls: tuple[Call, ...]
    tokens_alone: int
    costs: Mapping[str, float]

    @property
    def tokens(self) -> int:
        """Tokens computed, padding included."""
        return sum(call.tokens for call in self.calls)

    def __str__(self) -> str:
        weighed = ", ".join(f"{name} {cost:.3g}" for name, cost in self.costs.items())
        return (
            f"{self.layout}: {len(self.calls)} forwards over {self.tokens} tokens for {self.tokens_alone} "
            f"({self.reason}{f'; estimated cost {weighed}' if weighed else ''})"
        )


Layout: TypeAlias = Callable[[Family, Batch, int], Plan]


def padded(family: Family, batch: Batch, token_budget: int = TOKEN_BUDGET) -> Plan:
    """Every sequence a row of its own, right-padded, rows of like length together."""
    lengths = [sequence.ids.numel() for sequence in flat(batch)]
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    calls: list[Call] = []
    row: list[Tree] = []
    for i in reversed(order):
        if row and (len(row) + 1) * row[0].longest > token_budget:
            calls.append(Call(tuple(row), packed=False))
            row = []
        row.append(Tree(lengths[i], (i,), (0,)))
    if row:
        calls.append(Call(tuple(row), packed=False))
    return Plan("padded", "a row for each response", tuple(calls), sum(lengths), {})


def flat(batch: Batch) -> list[TokenSequence]:
    """All sequences, in order over groups."""
    return [sequence for group in batch.groups for sequence in group]
