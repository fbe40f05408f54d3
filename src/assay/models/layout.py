"""How sequences are laid out in rows: common prefixes, trees, token budgets, and the choice by estimated cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor

from assay.models.base import Batch, Pixels, TokenSequence
from assay.models.capability import Shape
from assay.models.families import Family

TOKEN_BUDGET = 16_384


@dataclass(frozen=True, slots=True)
class Tree:
    """Some sequences with a common prefix, computed once, and a branch for each.

    ``members`` index the batch's sequences in order over groups, shortest branch first; ``branches`` are the tokens of
    each after the prefix, 0 where a member ends with the prefix. A prefix of 0 puts unrelated sequences side by side.
    The first ``kept`` tokens of the prefix are known from an earlier call.
    """

    prefix: int
    members: tuple[int, ...]
    branches: tuple[int, ...]
    kept: int = 0

    @property
    def tokens(self) -> int:
        """Tokens computed."""
        return self.prefix - self.kept + sum(self.branches)

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

    ``tokens_alone`` counts the tokens of all sequences without sharing or padding; ``costs`` are the estimated costs
    of the layouts that were weighed, in multiply-adds of matrix products.
    """

    layout: str
    reason: str
    calls: tuple[Call, ...]
    tokens_alone: int
    costs: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def tokens(self) -> int:
        """Tokens computed, padding included."""
        return sum(call.tokens for call in self.calls)

    @property
    def shares(self) -> bool:
        """Whether any token is computed for several sequences at once."""
        return any(tree.prefix and len(tree.members) > 1 for call in self.calls for tree in call.trees)

    def __str__(self) -> str:
        calls = "1 forward" if len(self.calls) == 1 else f"{len(self.calls)} forwards"
        weighed = ", ".join(f"{name} {cost:.3g}" for name, cost in self.costs.items())
        return (
            f"{self.layout}: {calls} over {self.tokens} tokens for {self.tokens_alone} "
            f"({self.reason}{f'; estimated cost {weighed}' if weighed else ''})"
        )


Layout: TypeAlias = Callable[[Family, Batch, int], Plan]


def padded(family: Family, batch: Batch, token_budget: int = TOKEN_BUDGET) -> Plan:
    """Every sequence a row of its own, right-padded; rows of like length go together."""
    lengths = [sequence.ids.numel() for sequence in flat(batch)]
    rows = [Tree(lengths[i], (i,), (0,)) for i in sorted(range(len(lengths)), key=lambda i: -lengths[i])]
    calls = _filled(rows, token_budget, lambda held, row: (len(held) + 1) * held[0].longest, packed=False)
    return Plan("padded", "each response in a row of its own", calls, sum(lengths))


def shared(
    family: Family, batch: Batch, token_budget: int = TOKEN_BUDGET, /, *, kept: Sequence[int] | None = None
) -> Plan:
    """Each group's common prefix once, its responses behind it, several groups in one row up to the token budget.

    ``kept`` says for each group how many tokens of its prefix are known from an earlier call.

    Raises:
        ValueError: the model cannot share (`Family.why_not`).
    """
    if not family.shares:
        raise ValueError(f"{family.name} cannot share a prompt: {family.why_not}")
    trees: list[Tree] = []
    singles: list[tuple[int, int]] = []
    first = 0
    for group, known in zip(batch.groups, kept or [0] * len(batch.groups), strict=True):
        prefix = common_prefix(family, group, batch.pixels) if len(group) > 1 else known
        branches = sorted((sequence.ids.numel() - prefix, first + i) for i, sequence in enumerate(group))
        first += len(group)
        if prefix:
            trees += _split(prefix, branches, token_budget, known)
        else:
            singles += branches
    trees.sort(key=lambda tree: (tree.prefix, tree.branches))
    trees += _split(0, sorted(singles), token_budget)
    calls = _filled(
        trees, token_budget, lambda held, tree: sum(each.tokens for each in held) + tree.tokens, packed=True
    )
    alone = sum(sequence.ids.numel() for sequence in flat(batch))
    return Plan("shared", "each prompt once, responses behind it", calls, alone)


def cheapest(family: Family, batch: Batch, token_budget: int = TOKEN_BUDGET) -> Plan:
    """The layout with the lower estimated cost; padded rows where the model cannot share."""
    rows = padded(family, batch, token_budget)
    if not family.shares:
        return replace(rows, reason=f"cannot share: {family.why_not}")
    if len(flat(batch)) < 2:
        return replace(rows, reason="a single sequence")
    trees = shared(family, batch, token_budget)
    costs = {plan.layout: cost(family.shape, plan.calls) for plan in (trees, rows)}
    best = min((trees, rows), key=lambda plan: costs[plan.layout])
    return replace(best, costs=costs)


def flat(batch: Batch) -> list[TokenSequence]:
    """All sequences, in order over groups."""
    return [sequence for group in batch.groups for sequence in group]


def distinct(group: Sequence[TokenSequence]) -> tuple[tuple[TokenSequence, ...], tuple[int, ...]]:
    """The different sequences of a group, and for each sequence which of them it equals.

    Equal responses are computed once: side by side in a row they would differ in the last bits, and a tie would be
    decided by where they stand.
    """
    places: dict[tuple[bytes, bytes, bytes | None, tuple[str, ...]], int] = {}
    kept: list[TokenSequence] = []
    which: list[int] = []
    for sequence in group:
        types = None if sequence.types is None else sequence.types.numpy().tobytes()
        key = (sequence.ids.numpy().tobytes(), sequence.reads.numpy().tobytes(), types, sequence.images)
        if key not in places:
            places[key] = len(kept)
            kept.append(sequence)
        which.append(places[key])
    return tuple(kept), tuple(which)


def common_prefix(family: Family, group: Sequence[TokenSequence], pixels: Mapping[str, Pixels]) -> int:
    """How many leading tokens all sequences of a group have in common, in ids, types and pictures.

    Never ends inside a picture's placeholders or inside a bidirectional block of any sequence.
    """
    shortest = min(sequence.ids.numel() for sequence in group)
    first = group[0]
    common = min(_agreement([sequence.ids[:shortest] for sequence in group]), _types_agreement(family, group, shortest))
    spans = picture_spans(family, first, pixels)
    for number, (start, _) in enumerate(spans):
        keys = {sequence.images[number] if number < len(sequence.images) else None for sequence in group}
        if len(keys) > 1:
            common = min(common, start)
            break
    return uncut(common, [*spans, *(span for sequence in group for span in block_spans(family, sequence))])


def uncut(tokens: int, spans: Sequence[tuple[int, int]]) -> int:
    """The largest number of leading tokens, ``tokens`` at most, that ends inside none of the spans."""
    while cut := [start for start, end in spans if start < tokens < end]:
        tokens = min(cut)
    return tokens


def picture_spans(family: Family, sequence: TokenSequence, pixels: Mapping[str, Pixels]) -> list[tuple[int, int]]:
    """First and one-past-last placeholder of each picture of a sequence."""
    if not sequence.images:
        return []
    places: list[int] = (sequence.ids == family.placeholder).nonzero().flatten().tolist()
    spans: list[tuple[int, int]] = []
    done = 0
    for key in sequence.images:
        tokens = pixels[key].tokens
        spans.append((places[done], places[done + tokens - 1] + 1))
        done += tokens
    return spans


def block_spans(family: Family, sequence: TokenSequence) -> list[tuple[int, int]]:
    """First and one-past-last token of each block that is read in both directions."""
    types = family.types(sequence)
    if family.blocks is None or types is None:
        return []
    blocks = family.blocks(types)
    values, counts = torch.unique_consecutive(blocks, return_counts=True)
    ends = counts.cumsum(0)
    edges: list[tuple[int, int, int]] = torch.stack([values, ends - counts, ends], 1).tolist()
    return [(start, end) for value, start, end in edges if value >= 0]


def _agreement(rows: Sequence[Tensor]) -> int:
    if not rows[0].numel():
        return 0
    stacked = torch.stack(list(rows))
    differs = (stacked != stacked[0]).any(0).nonzero()
    return int(differs[0]) if differs.numel() else stacked.shape[1]


def _types_agreement(family: Family, group: Sequence[TokenSequence], shortest: int) -> int:
    found = [family.types(sequence) for sequence in group]
    rows = [types[:shortest] for types in found if types is not None]
    if not rows:
        return shortest
    return _agreement(rows) if len(rows) == len(group) else 0


def _split(prefix: int, branches: Sequence[tuple[int, int]], token_budget: int, kept: int = 0) -> list[Tree]:
    """Trees of at most ``token_budget`` tokens, one branch at least; ``branches`` are (length, member), ascending."""
    trees: list[Tree] = []
    held: list[tuple[int, int]] = []
    tokens = prefix - kept
    for branch in branches:
        if held and tokens + branch[0] > token_budget:
            trees.append(_tree(prefix, held, kept))
            held, tokens = [], prefix - kept
        held.append(branch)
        tokens += branch[0]
    return [*trees, _tree(prefix, held, kept)] if held else trees


def _tree(prefix: int, branches: Iterable[tuple[int, int]], kept: int) -> Tree:
    lengths, members = zip(*branches, strict=True)
    return Tree(prefix, members, lengths, kept)


def _filled(
    trees: Sequence[Tree], token_budget: int, tokens_with: Callable[[Sequence[Tree], Tree], int], *, packed: bool
) -> tuple[Call, ...]:
    calls: list[Call] = []
    held: list[Tree] = []
    for tree in trees:
        if held and tokens_with(held, tree) > token_budget:
            calls.append(Call(tuple(held), packed))
            held = []
        held.append(tree)
    return (*calls, Call(tuple(held), packed)) if held else tuple(calls)


_ATTENTION = 1.6
"""Multiply-adds of a matrix product that take as long as one of attention; measured on CPU, conservative on a GPU."""
_CAUSAL = 0.7
"""Time of causal attention without a mask over that of attention with a mask."""
_LAUNCH = {"cpu": 1.5e6, "cuda": 3e9}
"""Multiply-adds in the time that one attention call costs beyond its arithmetic."""


def cost(shape: Shape, calls: Sequence[Call]) -> float:
    """Estimated cost of a plan in multiply-adds: weights · tokens + attention pairs + calls of the kernel.

    Only ratios between layouts of the same batch mean something.
    """
    launch = _LAUNCH.get(shape.device, _LAUNCH["cuda"])
    pairs = sum(_pairs(call) for call in calls)
    tokens = sum(call.tokens for call in calls)
    kernels = sum(_kernels(call) for call in calls)
    return shape.weights * tokens + shape.layers * (2 * shape.width * _ATTENTION * pairs + launch * kernels)


def _pairs(call: Call) -> float:
    if not call.packed:
        longest = max(tree.longest for tree in call.trees)
        even = all(tree.longest == longest for tree in call.trees)
        return len(call.trees) * longest**2 * (_CAUSAL if even else 1.0)
    total = 0.0
    for tree in call.trees:
        total += _CAUSAL * tree.prefix**2
        total += sum(
            length * (tree.prefix + length) if tree.prefix else _CAUSAL * length**2 for length in tree.branches
        )
    return total


def _kernels(call: Call) -> int:
    if not call.packed:
        return 1
    distinct = {(tree.prefix, tree.branches) for tree in call.trees}
    return sum(bool(prefix) + len(set(branches) - {0}) for prefix, branches in distinct)
