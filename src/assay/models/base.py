"""What a backbone can do, and the token-level values that pass between templating, sharing and heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """One prompt with one response, templated and tokenised: what a model sees if it is scored alone, without padding.

    Shapes: ``ids`` ``[length]`` int64; ``types`` ``[length]`` int64, the class's own token types (token_type_ids of
    PaliGemma and Gemma3, mm_token_type_ids of Qwen-VL), None for classes without; ``reads`` ``[reads]`` int64, the
    positions whose last hidden states a head is given (the true last token, by index, unless steps are scored).
    ``images`` are the content keys of the pictures, in the order of their placeholder spans in ``ids``.
    ``truncated`` is set when a declared truncation policy shortened the sequence.
    """

    ids: Tensor
    reads: Tensor
    types: Tensor | None = None
    images: tuple[str, ...] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Pixels:
    """One preprocessed picture: the tensors the model's own image processor gives for it alone.

    ``inputs`` holds ``pixel_values`` and, where the class has them, ``image_grid_thw`` or ``pixel_attention_mask``.
    ``key`` is the picture's content hash joined with the fingerprint of the preprocessing.
    """

    key: str
    inputs: Mapping[str, Tensor]
    tokens: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Token sequences grouped by prompt, and the pictures they name: ``groups[g][n]`` is response n of record g."""

    groups: Sequence[Sequence[TokenSequence]]
    pixels: Mapping[str, Pixels] = field(default_factory=dict[str, Pixels])


class Encoder(Protocol):
    """A backbone that turns token sequences into hidden states, differentiably."""

    @property
    def hidden_size(self) -> int: ...

    @property
    def module(self) -> nn.Module: ...

    def encode(self, batch: Batch, /) -> list[Tensor]:
        """For each sequence, in order over groups, the hidden states ``[reads, hidden]`` at its ``reads`` positions."""
        ...
