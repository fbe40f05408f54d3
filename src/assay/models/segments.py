"""Segment attention: a row holds trees, each branch attends to its tree's prefix and to itself, on plain SDPA."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAME = "assay_segments"

_registering = threading.Lock()


@dataclass(frozen=True, slots=True)
class Segment:
    """One tree in a row: ``prefix`` tokens, then branches of the given lengths (ascending, no zeros).

    ``prefix_blocks`` ``[prefix]`` are ids of bidirectional blocks, -1 where attention is causal; ``branch_blocks`` holds
    the same for each branch over its whole path, ``[prefix + branch]``. None means causal throughout.
    """

    prefix: int
    branches: tuple[int, ...]
    prefix_blocks: Tensor | None = None
    branch_blocks: tuple[Tensor | None, ...] = ()


@dataclass(frozen=True)
class SegmentLayout:
    """The row of one forward, passed to every layer's attention as the keyword ``seg_layout``.

    ``window_last``: a sliding window also cuts bidirectional blocks (Gemma3); False: blocks escape it (PaliGemma2).
    Masks are made once a forward and kept for its other layers.
    """

    segments: tuple[Segment, ...]
    window_last: bool = True
    masks: dict[tuple[Any, ...], Tensor] = field(default_factory=dict[tuple[Any, ...], Tensor], repr=False)


class UnsupportedAttention(ValueError):
    """A layer asks for something that segment attention does not compute."""


def prepare_model(model: nn.Module) -> None:
    """Let the text part of a transformers model attend by segments when asked; every other call stays what it was.

    Done once after loading, and harmless when repeated. Ordinary calls are bit-equal to ``sdpa``; a model whose attention
    cannot be exchanged (`Family.why_not`) is left alone.
    """
    from assay.models.families import base_of, family_of, text_part

    if not family_of(model).shares:
        return
    _register()
    base = base_of(model)
    if text_part(base) is base:
        base.set_attn_implementation(NAME)
    else:
        base.set_attn_implementation({"text_config": NAME})


def is_prepared(model: nn.Module) -> bool:
    """Whether `prepare_model` took hold."""
    from assay.models.families import base_of, text_part

    config = getattr(text_part(base_of(model)), "config", None)
    return getattr(config, "_attn_implementation", None) == NAME


def _register() -> None:
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
        UnsupportedAttention: with ``seg_layout``, the layer passes sinks, a position bias, or more than one row.
    """
    if seg_layout is None:
        return _ordinary(module, query, key, value, attention_mask, dropout, scaling, sliding_window, softcap, kwargs)
    unsupported = [name for name in ("s_aux", "position_bias", "cache") if kwargs.get(name) is not None]
    if unsupported or query.shape[0] != 1:
        raise UnsupportedAttention(f"{type(module).__name__} passes {unsupported or f'{query.shape[0]} rows'}")
    kernel = _Kernel(dropout, scaling, softcap)
    sizes = [size for segment in seg_layout.segments for size in (segment.prefix, *_runs(segment, key))]
    if sum(sizes) != query.shape[2]:
        raise UnsupportedAttention(f"the layout covers {sum(sizes)} tokens of a row of {query.shape[2]}")
    parts = zip(query.split(sizes, 2), key.split(sizes, 2), value.split(sizes, 2), strict=True)
    out: list[Tensor] = []
    for number, segment in enumerate(seg_layout.segments):
        prefix = next(parts)
        if segment.prefix:
            mask = _prefix_mask(seg_layout, number, sliding_window, query)
            causal = mask is None and (segment.prefix_blocks is None)
            out.append(kernel(*prefix, mask, causal))
        done = 0
        for size in _runs(segment, key):
            length = segment.branches[done]
            out.append(_run(kernel, seg_layout, number, done, length, prefix, next(parts), sliding_window))
            done += size // length
    return torch.cat(out, 2).transpose(1, 2).contiguous(), None


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
            return _softcapped(query, key, value, mask, causal, self.dropout, self.scaling, self.softcap)
        return F.scaled_dot_product_attention(
            query, key, value, mask, self.dropout, causal, scale=self.scaling, enable_gqa=groups > 1
        )


def _run(
    kernel: _Kernel,
    layout: SegmentLayout,
    number: int,
    first: int,
    length: int,
    prefix: tuple[Tensor, Tensor, Tensor],
    own: tuple[Tensor, Tensor, Tensor],
    window: int | None,
) -> Tensor:
    """Branches of one length as a batch: ``[1, heads, count · length, head]`` in and out."""
    count = own[0].shape[2] // length
    query, key, value = (_as_batch(tensor, count) for tensor in own)
    seen = _first_seen(layout.segments[number].prefix, window)
    keys, values = (tensor[:, :, seen:].expand(count, -1, -1, -1) for tensor in prefix[1:])
    mask = _branch_mask(layout, number, first, window, query)
    out = kernel(query, torch.cat([keys, key], 2), torch.cat([values, value], 2), mask, False)
    return out.transpose(0, 1).reshape(1, out.shape[1], count * length, out.shape[3])


def _as_batch(tensor: Tensor, count: int) -> Tensor:
    if count == 1:
        return tensor
    heads, size = tensor.shape[1], tensor.shape[3]
    return tensor[0].reshape(heads, count, -1, size).transpose(0, 1)


def _runs(segment: Segment, key: Tensor) -> list[int]:
    """Token counts of consecutive branches that are computed as one batch: equal length, causal, and small enough."""
    limit = 2**20 if key.device.type == "cpu" else 2**26
    runs: list[list[int]] = []
    for i, length in enumerate(segment.branches):
        causal = not segment.branch_blocks or segment.branch_blocks[i] is None
        size = (segment.prefix + length) * key.shape[1] * key.shape[3]
        joins = runs and causal and runs[-1][0] == length and (runs[-1][1] + 1) * size <= limit
        if joins:
            runs[-1][1] += 1
        else:
            runs.append([length if causal else -length, 1])
    return [abs(length) * count for length, count in runs]


def _first_seen(prefix: int, window: int | None) -> int:
    """The first prefix token that a branch's first token sees."""
    return max(0, prefix - window + 1) if window else 0


def _prefix_mask(layout: SegmentLayout, number: int, window: int | None, like: Tensor) -> Tensor | None:
    segment = layout.segments[number]
    windowed = window is not None and segment.prefix > window
    one_block = segment.prefix_blocks is not None and bool((segment.prefix_blocks == 0).all())
    if segment.prefix_blocks is None and not windowed:
        return None
    if one_block and (not windowed or not layout.window_last):
        return None
    key = ("prefix", number, window, like.dtype, like.device)
    if key not in layout.masks:
        allowed = allowed_pairs(segment.prefix, 0, segment.prefix_blocks, window, layout.window_last)
        layout.masks[key] = _additive(allowed, like)
    return layout.masks[key]


def _branch_mask(layout: SegmentLayout, number: int, index: int, window: int | None, like: Tensor) -> Tensor:
    segment = layout.segments[number]
    blocks = segment.branch_blocks[index] if segment.branch_blocks else None
    length = segment.branches[index]
    distinct = (number, index) if blocks is not None else (segment.prefix, length)
    key = ("branch", blocks is not None, *distinct, window, like.dtype, like.device)
    if key not in layout.masks:
        allowed = allowed_pairs(segment.prefix + length, segment.prefix, blocks, window, layout.window_last)
        layout.masks[key] = _additive(allowed[:, _first_seen(segment.prefix, window) :], like)
    return layout.masks[key]


def allowed_pairs(path: int, first: int, blocks: Tensor | None, window: int | None, window_last: bool) -> Tensor:
    """Which of ``path`` tokens each token from ``first`` on attends to: ``[path - first, path]`` bool.

    Indices run over the path prefix + branch, so positions in the row do not matter. Causal, cut to ``window`` tokens;
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
    mask = torch.zeros(allowed.shape, dtype=like.dtype).masked_fill_(~allowed, -math.inf)
    return mask.to(like.device)


def _ordinary(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
    kwargs: dict[str, Any],
) -> tuple[Tensor, None]:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if softcap is None:
        found = sdpa_attention_forward(
            module, query, key, value, mask, dropout=dropout, scaling=scaling, sliding_window=window, **kwargs
        )
        return cast("tuple[Tensor, None]", found)
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    causal = mask is None and query.shape[2] > 1
    out = _softcapped(query, key, value, mask, causal, dropout, scaling, softcap)
    return out.transpose(1, 2).contiguous(), None


def _softcapped(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    causal: bool,
    dropout: float,
    scaling: float | None,
    softcap: float,
) -> Tensor:
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    scores = torch.tanh(query @ key.transpose(2, 3) * scale / softcap) * softcap
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, -math.inf)
    if mask is not None:
        mask = mask[..., : key.shape[2]]
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
    return F.dropout(weights, dropout) @ value


def segments_of(
    prefix: int, branches: Sequence[int], prefix_blocks: Tensor | None, branch_blocks: Sequence[Tensor | None]
) -> Segment:
    """A segment without its empty branches; causal block tensors (all -1) become None."""
    kept = [(length, blocks) for length, blocks in zip(branches, branch_blocks, strict=True) if length]
    return Segment(
        prefix=prefix,
        branches=tuple(length for length, _ in kept),
        prefix_blocks=_or_causal(prefix_blocks),
        branch_blocks=tuple(_or_causal(blocks, prefix) for _, blocks in kept),
    )


def _or_causal(blocks: Tensor | None, first: int = 0) -> Tensor | None:
    return blocks if blocks is not None and bool((blocks[first:] >= 0).any()) else None
