"""Segment attention: a row holds trees, each branch attends to its tree's prefix and to itself, on plain SDPA."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from assay.models.kept import Kept

NAME = "assay_segments"

_STACK_TOKENS = 8_192
_CACHE_ELEMENTS = 2**20
_DEVICE_ELEMENTS = 2**26
_registering = threading.Lock()


@dataclass(frozen=True, slots=True)
class Segment:
    """One tree in a row: ``prefix`` tokens, then branches of the given lengths (ascending, no zeros).

    ``prefix_blocks`` ``[prefix]`` are ids of bidirectional blocks, -1 where attention is causal; ``branch_blocks``
    holds the same for each branch over its whole path, ``[prefix + branch]``. None means causal throughout.
    ``kept`` are the states of the prefix's first tokens, which then are not in the row.
    """

    prefix: int
    branches: tuple[int, ...]
    prefix_blocks: Tensor | None = None
    branch_blocks: tuple[Tensor | None, ...] = ()
    kept: Kept | None = None

    @property
    def known(self) -> int:
        """Tokens of the prefix that are not in the row."""
        return 0 if self.kept is None else self.kept.tokens

    @property
    def tokens(self) -> int:
        """Tokens in the row."""
        return self.prefix - self.known + sum(self.branches)

    def same_shape(self, other: Segment) -> bool:
        """Whether both have the same lengths and blocks, so that one batched call computes both."""
        return (
            self.kept is None
            and other.kept is None
            and self.prefix == other.prefix
            and self.branches == other.branches
            and _same(self.prefix_blocks, other.prefix_blocks)
            and all(map(_same, self.branch_blocks, other.branch_blocks))
        )


def segment(
    prefix: int,
    branches: Sequence[int],
    prefix_blocks: Tensor | None,
    branch_blocks: Sequence[Tensor | None],
    kept: Kept | None = None,
) -> Segment:
    """A segment without its empty branches; blocks that are causal throughout (-1) become None."""
    present = [(length, blocks) for length, blocks in zip(branches, branch_blocks, strict=True) if length]
    return Segment(
        prefix=prefix,
        branches=tuple(length for length, _ in present),
        prefix_blocks=_or_causal(prefix_blocks, 0),
        branch_blocks=tuple(_or_causal(blocks, prefix) for _, blocks in present),
        kept=kept,
    )


@dataclass(frozen=True)
class SegmentLayout:
    """The row of one forward, given to every layer's attention as the keyword ``seg_layout``.

    ``stacks`` are segments with how often each stands in the row one after another. ``window_last``: a sliding window
    also cuts bidirectional blocks (Gemma3); False: blocks escape it (PaliGemma2). Masks are made once a forward.
    ``take`` are places of the row, first and one past the last, whose keys and values each layer puts into ``taken``.
    """

    stacks: tuple[tuple[Segment, int], ...]
    window_last: bool = True
    take: tuple[tuple[int, int], ...] = ()
    taken: dict[int, list[tuple[Tensor, Tensor]]] = field(
        default_factory=dict[int, list[tuple[Tensor, Tensor]]], repr=False
    )
    masks: dict[tuple[Any, ...], Tensor] = field(default_factory=dict[tuple[Any, ...], Tensor], repr=False)


def stacked(
    segments: Sequence[Segment], window_last: bool = True, take: Sequence[tuple[int, int]] = ()
) -> SegmentLayout:
    """The layout of a row that holds these segments in order; equal neighbours are computed together."""
    stacks: list[tuple[Segment, int]] = []
    for each in segments:
        if stacks and stacks[-1][0].same_shape(each) and (stacks[-1][1] + 1) * each.tokens <= _STACK_TOKENS:
            stacks[-1] = (stacks[-1][0], stacks[-1][1] + 1)
        else:
            stacks.append((each, 1))
    return SegmentLayout(tuple(stacks), window_last, tuple(take))


class UnsupportedAttentionError(ValueError):
    """A layer asks for something that segment attention does not compute."""


def register() -> None:
    """Make `segment_attention` known to transformers under `NAME`, with the masks of SDPA."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    with _registering:
        AttentionInterface.register(NAME, segment_attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)


def segment_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    seg_layout: SegmentLayout | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one layer: ``query`` ``[1, heads, row, head]``, ``key`` and ``value`` ``[1, key heads, row, head]``.

    Without ``seg_layout`` this is the framework's SDPA, or, with a softcap (Gemma2), attention written out:
    softmax(softcap · tanh(q·k · scaling / softcap) + mask) · v.

    Raises:
        UnsupportedAttentionError: with ``seg_layout``, the layer passes sinks, a position bias, or several rows.
    """
    kernel = _Kernel(dropout, scaling, softcap)
    if seg_layout is None:
        return _ordinary(
            kernel, module, query, key, value, attention_mask, {"sliding_window": sliding_window, **kwargs}
        )
    unsupported = [name for name in ("s_aux", "position_bias", "cache") if kwargs.get(name) is not None]
    if unsupported or query.shape[0] != 1:
        raise UnsupportedAttentionError(f"{type(module).__name__} passes {unsupported or f'{query.shape[0]} rows'}")
    sizes = [each.tokens * count for each, count in seg_layout.stacks]
    if sum(sizes) != query.shape[2]:
        raise UnsupportedAttentionError(f"the layout covers {sum(sizes)} tokens of a row of {query.shape[2]}")
    layer: int = getattr(module, "layer_idx", -1)
    if layer < 0 and (seg_layout.take or any(each.kept is not None for each, _ in seg_layout.stacks)):
        raise UnsupportedAttentionError(f"{type(module).__name__} does not say which layer it is")
    if seg_layout.take:
        seg_layout.taken[layer] = [
            (key[:, :, first:last].clone(), value[:, :, first:last].clone()) for first, last in seg_layout.take
        ]
    parts = zip(query.split(sizes, 2), key.split(sizes, 2), value.split(sizes, 2), strict=True)
    out = [_stack(kernel, seg_layout, number, part, sliding_window, layer) for number, part in enumerate(parts)]
    return (out[0] if len(out) == 1 else torch.cat(out, 2)).transpose(1, 2).contiguous(), None


_States = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class _Kernel:
    dropout: float
    scaling: float | None
    softcap: float | None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        groups = query.shape[1] // key.shape[1]
        if groups > 1 and (self.softcap is not None or (mask is not None and query.device.type != "cpu")):
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
            groups = 1
        if self.softcap is not None:
            return self._capped(query, key, value, mask, causal, self.softcap)
        return F.scaled_dot_product_attention(
            query, key, value, mask, self.dropout, causal, scale=self.scaling, enable_gqa=groups > 1
        )

    def _capped(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, softcap: float
    ) -> Tensor:
        scale = self.scaling if self.scaling is not None else query.shape[-1] ** -0.5
        scores = torch.tanh(query @ key.transpose(2, 3) * scale / softcap) * softcap
        lowest = torch.finfo(scores.dtype).min
        if causal:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(future, lowest)
        if mask is not None:
            mask = mask[..., : key.shape[2]]
            scores = scores.masked_fill(~mask, lowest) if mask.dtype == torch.bool else scores + mask
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
        return F.dropout(weights, self.dropout) @ value


def _stack(
    kernel: _Kernel, layout: SegmentLayout, number: int, states: _States, window: int | None, layer: int
) -> Tensor:
    """All copies of one segment as a batch: ``[1, heads, count · tokens, head]`` in and out."""
    each, count = layout.stacks[number]
    runs = _runs(each, count, states[1])
    sizes = [each.prefix - each.known, *(length * many for length, many in runs)]
    query, key, value = (_as_batch(tensor, count).split(sizes, 2) for tensor in states)
    prefix = (query[0], key[0], value[0])
    if each.kept is not None:
        keys, values = each.kept.at(layer)
        prefix = (query[0], torch.cat([keys, key[0]], 2), torch.cat([values, value[0]], 2))
    out: list[Tensor] = []
    if query[0].shape[2]:
        mask = _prefix_mask(layout, number, window, query[0])
        out.append(kernel(*prefix, mask, mask is None and each.prefix_blocks is None))
    first = 0
    for (length, many), *own in zip(runs, query[1:], key[1:], value[1:], strict=True):
        out.append(_run(kernel, layout, number, first, length, prefix, (own[0], own[1], own[2]), window))
        first += many
    return _as_row(out[0] if len(out) == 1 else torch.cat(out, 2), 1)


def _run(
    kernel: _Kernel,
    layout: SegmentLayout,
    number: int,
    first: int,
    length: int,
    prefix: _States,
    own: _States,
    window: int | None,
) -> Tensor:
    """Branches of one length as a batch: ``[copies, heads, branches · length, head]`` in and out."""
    copies, _, tokens, _ = own[0].shape
    many = tokens // length
    query, key, value = (_as_batch(tensor, many) for tensor in own)
    each = layout.stacks[number][0]
    if window and each.prefix + length <= window:
        window = None
    if not each.prefix and not window and not (each.branch_blocks and each.branch_blocks[first] is not None):
        return _as_row(kernel(query, key, value, None, True), copies)
    seen = max(0, each.prefix - window + 1) if window else 0
    keys, values = (_repeated(tensor[:, :, seen:], many) for tensor in prefix[1:])
    mask = _branch_mask(layout, number, first, window, seen, query)
    out = kernel(query, torch.cat([keys, key], 2), torch.cat([values, value], 2), mask, False)
    return _as_row(out, copies)


def _as_batch(tensor: Tensor, count: int) -> Tensor:
    """``[batch, heads, count · length, head]`` as ``[batch · count, heads, length, head]``."""
    if count == 1:
        return tensor
    batch, heads, tokens, size = tensor.shape
    return tensor.reshape(batch, heads, count, tokens // count, size).transpose(1, 2).flatten(0, 1)


def _as_row(tensor: Tensor, batch: int) -> Tensor:
    """The inverse of `_as_batch`: back to ``[batch, heads, tokens, head]``."""
    if tensor.shape[0] == batch:
        return tensor
    return tensor.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)


def _repeated(tensor: Tensor, many: int) -> Tensor:
    return tensor[:, None].expand(-1, many, -1, -1, -1).flatten(0, 1) if many > 1 else tensor


def _runs(each: Segment, copies: int, key: Tensor) -> list[tuple[int, int]]:
    """Lengths and counts of consecutive branches computed as one batch: equal, causal, and small enough together."""
    limit = _CACHE_ELEMENTS if key.device.type == "cpu" else _DEVICE_ELEMENTS
    runs: list[tuple[int, int]] = []
    joinable = False
    for i, length in enumerate(each.branches):
        causal = not each.branch_blocks or each.branch_blocks[i] is None
        size = (each.prefix + length) * key.shape[1] * key.shape[3] * copies
        if joinable and causal and runs[-1][0] == length and (runs[-1][1] + 1) * size <= limit:
            runs[-1] = (length, runs[-1][1] + 1)
        else:
            runs.append((length, 1))
        joinable = causal
    return runs


def _prefix_mask(layout: SegmentLayout, number: int, window: int | None, like: Tensor) -> Tensor | None:
    each = layout.stacks[number][0]
    windowed = window is not None and each.prefix > window
    if not each.known and each.prefix_blocks is None and not windowed:
        return None
    one_block = each.prefix_blocks is not None and bool((each.prefix_blocks == 0).all())
    if not each.known and one_block and (not windowed or not layout.window_last):
        return None
    name = ("prefix", number, window, like.dtype, like.device)
    if name not in layout.masks:
        allowed = allowed_pairs(each.prefix, each.known, each.prefix_blocks, window, layout.window_last)
        layout.masks[name] = _additive(allowed, like)
    return layout.masks[name]


def _branch_mask(layout: SegmentLayout, number: int, index: int, window: int | None, seen: int, like: Tensor) -> Tensor:
    each = layout.stacks[number][0]
    blocks = each.branch_blocks[index] if each.branch_blocks else None
    length = each.branches[index]
    which = (number, index) if blocks is not None else (each.prefix, length)
    name = ("branch", blocks is not None, *which, window, like.dtype, like.device)
    if name not in layout.masks:
        allowed = allowed_pairs(each.prefix + length, each.prefix, blocks, window, layout.window_last)
        layout.masks[name] = _additive(allowed[:, seen:], like)
    return layout.masks[name]


def allowed_pairs(path: int, first: int, blocks: Tensor | None, window: int | None, window_last: bool) -> Tensor:
    """Which of ``path`` tokens each token from ``first`` on attends to: ``[path - first, path]`` bool.

    Indices run over the path prefix + branch, so places in the row do not matter. Causal, cut to ``window`` tokens;
    tokens of one block see each other, within the window if ``window_last``.
    """
    rows, columns = torch.arange(first, path)[:, None], torch.arange(path)[None]
    causal = rows >= columns
    near = columns > rows - window if window else torch.ones_like(causal)
    if blocks is None:
        return causal & near
    same = (blocks[first:, None] == blocks[None]) & (blocks[first:, None] >= 0)
    return (causal | same) & near if window_last else (causal & near) | same


def _additive(allowed: Tensor, like: Tensor) -> Tensor:
    return torch.zeros(allowed.shape, dtype=like.dtype).masked_fill_(~allowed, -math.inf).to(like.device)


def _ordinary(
    kernel: _Kernel,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    kwargs: dict[str, Any],
) -> tuple[Tensor, None]:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if kernel.softcap is None:
        return sdpa_attention_forward(
            module, query, key, value, mask, dropout=kernel.dropout, scaling=kernel.scaling, **kwargs
        )
    out = kernel(query, key, value, mask, mask is None and query.shape[2] > 1)
    return out.transpose(1, 2).contiguous(), None


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other or (one is not None and other is not None and torch.equal(one, other))


def _or_causal(blocks: Tensor | None, first: int) -> Tensor | None:
    return blocks if blocks is not None and bool((blocks[first:] >= 0).any()) else None
