"""Prompts kept between calls: the attention states of what was read before, so that a later call computes what is new.

A store is a tree of token runs. Sequences that begin alike hold their common beginning once; each run carries its keys
and values of every layer and its last hidden states. What is used least recently goes first.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from assay.models.base import Pixels, TokenSequence
from assay.models.families import Family
from assay.models.features import weights_stamp
from assay.models.layout import block_spans, picture_spans, uncut

Path = npt.NDArray[np.int64]
_ROOM = 0.9
"""How full a store is left when it overflowed, so that room is not sought for every run."""


@final
@dataclass(eq=False, slots=True)
class States:
    """What was computed of some consecutive tokens: by layer, ``keys`` and ``values`` ``[1, key heads, tokens, head]``
    (positions are in them), and the last hidden states ``[tokens, hidden]``."""

    layers: Mapping[int, tuple[Tensor, Tensor]]
    hidden: Tensor

    @property
    def bytes(self) -> int:
        """Memory held, in bytes."""
        held = [tensor for pair in self.layers.values() for tensor in pair]
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.hidden, *held))

    def part(self, first: int, last: int) -> States:
        """The tokens from ``first`` to ``last`` (excluded), in memory of their own; itself where that is all."""
        if (first, last) == (0, len(self.hidden)):
            return self
        layers = {
            layer: (keys[:, :, first:last].clone(), values[:, :, first:last].clone())
            for layer, (keys, values) in self.layers.items()
        }
        return States(layers, self.hidden[first:last].clone())


@final
@dataclass(frozen=True, eq=False, slots=True)
class Kept:
    """The states of the first ``tokens`` tokens of a sequence, run by run."""

    tokens: int
    runs: tuple[tuple[States, int], ...]

    def at(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of one layer ``[1, key heads, tokens, head]``."""
        keys = [states.layers[layer][0][:, :, :count] for states, count in self.runs]
        values = [states.layers[layer][1][:, :, :count] for states, count in self.runs]
        return (keys[0], values[0]) if len(keys) == 1 else (torch.cat(keys, 2), torch.cat(values, 2))

    @property
    def hidden(self) -> Tensor:
        """The last hidden states ``[tokens, hidden]``."""
        return torch.cat([states.hidden[:count] for states, count in self.runs])


@dataclass(eq=False, slots=True)
class _Run:
    path: Path
    states: States
    parent: _Run | None
    children: _Runs = field(default_factory=dict[bytes, "_Run"])
    used: int = 0


_Runs: TypeAlias = dict[bytes, _Run]
"""Runs that begin differently, by their first token."""


@final
class PrefixStore:
    """Beginnings of sequences that one model has read, at most ``max_bytes`` of them, least recently used out first.

    A sequence that begins with what is kept is computed from there on; its states equal those of the whole sequence
    (fp32: 1e-5). Beginnings of fewer than ``least`` tokens are not worth it and are read again. What was made before a
    change of the weights is forgotten. Only for scoring: states have no gradient. Counters: ``found`` tokens not
    computed again, ``read`` tokens that were. Safe to share between threads.

    Raises:
        ValueError: ``max_bytes`` or ``least`` is below 1.
    """

    def __init__(self, max_bytes: int = 256 * 2**20, least: int = 64) -> None:
        if max_bytes < 1 or least < 1:
            raise ValueError(f"a store holds at least 1 byte of 1 token, got {max_bytes} and {least}")
        self.max_bytes = max_bytes
        self.least = least
        self.found = 0
        self.read = 0
        self._roots: _Runs = {}
        self._bytes = 0
        self._clock = 0
        self._stamp: tuple[int, ...] = ()
        self._barred = False
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Memory held now, in bytes."""
        return self._bytes

    def refresh(self, base: Any) -> None:
        """Forget everything if the weights of ``base`` are others than those that the states were made with."""
        stamp = weights_stamp([base])
        with self._lock:
            if stamp != self._stamp:
                self._forget()
                self._stamp = stamp

    def find(self, path: Path) -> Kept | None:
        """The longest beginning of ``path`` that is kept; None below ``least`` tokens."""
        with self._lock:
            runs, tokens = self._walk(path)
            self._clock += 1
            for run, _ in runs:
                run.used = self._clock
        if tokens < self.least:
            return None
        return Kept(tokens, tuple([(run.states, count) for run, count in runs]))

    def keep(self, path: Path, first: int, states: States) -> None:
        """Keep ``states`` of the tokens of ``path`` from ``first`` on, behind what is kept of those before."""
        if len(path) < self.least:
            return
        with self._lock:
            runs, tokens = self._walk(path)
            if self._barred or tokens < first or tokens == len(path):
                return
            last = runs[-1] if runs else None
            if last is not None and last[1] < len(last[0].path):
                last = (self._split(*last), last[1])
            parent = last[0] if last is not None else None
            run = _Run(path[tokens:], states.part(tokens - first, len(path) - first), parent)
            if run.states.bytes > self.max_bytes:
                return
            self._clock += 1
            run.used = self._clock
            (self._roots if parent is None else parent.children)[_first(run.path)] = run
            self._bytes += run.states.bytes
            self._shrink()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._forget()

    def bar(self) -> None:
        """Forget everything and keep nothing from here on: the model was found not to go on exactly."""
        with self._lock:
            self._forget()
            self._barred = True

    def _forget(self) -> None:
        self._roots.clear()
        self._bytes = 0

    def _walk(self, path: Path) -> tuple[list[tuple[_Run, int]], int]:
        """The runs along the beginning of ``path`` with how many of their tokens agree, and the tokens in all."""
        runs: list[tuple[_Run, int]] = []
        tokens, children = 0, self._roots
        while tokens < len(path):
            rest = path[tokens:]
            run = children.get(_first(rest))
            if run is None:
                break
            count = _agreeing(run.path, rest)
            runs.append((run, count))
            tokens += count
            if count < len(run.path):
                break
            children = run.children
        return runs, tokens

    def _split(self, run: _Run, count: int) -> _Run:
        """Two runs in place of one, cut behind ``count`` tokens: the first of them. The old one stays as it was."""
        head = _Run(run.path[:count], run.states.part(0, count), run.parent, used=run.used)
        tail = _Run(run.path[count:], run.states.part(count, len(run.path)), head, run.children, run.used)
        for child in tail.children.values():
            child.parent = tail
        head.children[_first(tail.path)] = tail
        (self._roots if run.parent is None else run.parent.children)[_first(head.path)] = head
        return head

    def _shrink(self) -> None:
        if self._bytes <= self.max_bytes:
            return
        while self._bytes > _ROOM * self.max_bytes:
            for oldest in sorted(_leaves(self._roots), key=lambda run: run.used):
                if self._bytes <= _ROOM * self.max_bytes:
                    return
                del (self._roots if oldest.parent is None else oldest.parent.children)[_first(oldest.path)]
                self._bytes -= oldest.states.bytes


def _first(path: Path) -> bytes:
    return path[0].tobytes()


def _leaves(runs: _Runs) -> list[_Run]:
    found: list[_Run] = []
    waiting = list(runs.values())
    while waiting:
        run = waiting.pop()
        waiting += run.children.values()
        if not run.children:
            found.append(run)
    return found


def _agreeing(one: Path, other: Path) -> int:
    shortest = min(len(one), len(other))
    differs = (one[:shortest] != other[:shortest]).any(1)
    return int(differs.argmax()) if differs.any() else shortest


def path_of(family: Family, sequence: TokenSequence, pixels: Mapping[str, Pixels]) -> Path:
    """What each token of a sequence is, so that equal beginnings have equal states: ``[length, 3]``.

    The id, in a picture a number of its content; the token type; in a block that is read in both directions its length.
    """
    path = np.zeros((sequence.ids.numel(), 3), dtype=np.int64)
    path[:, 0] = sequence.ids.numpy()
    types = family.types(sequence)
    if types is not None:
        path[:, 1] = types.numpy()
    for key, (start, end) in zip(sequence.images, picture_spans(family, sequence, pixels), strict=True):
        path[start:end, 0] = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), signed=True)
    for start, end in block_spans(family, sequence):
        path[start:end, 2] = end - start
    return path


def usable(
    family: Family,
    group: Sequence[TokenSequence],
    pixels: Mapping[str, Pixels],
    kept: Kept | None,
    common: int,
    least: int,
) -> Kept | None:
    """What of ``kept`` every sequence of a group may go on from: ends in no picture or block, leaves each a token.

    ``common`` is how many leading tokens the group has in common; below ``least`` there is nothing.
    """
    if kept is None:
        return None
    shortest = min(sequence.ids.numel() for sequence in group)
    tokens = min(kept.tokens, common, shortest - (len(group) == 1))
    tokens = uncut(tokens, [span for each in group for span in _uncuttable(family, each, pixels)])
    if tokens < least:
        return None
    runs: list[tuple[States, int]] = []
    left = tokens
    for states, count in kept.runs:
        if left:
            runs.append((states, min(left, count)))
            left -= runs[-1][1]
    return Kept(tokens, tuple(runs))


def _uncuttable(family: Family, sequence: TokenSequence, pixels: Mapping[str, Pixels]) -> list[tuple[int, int]]:
    return [*picture_spans(family, sequence, pixels), *block_spans(family, sequence)]
