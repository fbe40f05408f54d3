"""What passes between a backbone, a head and what is learned: hidden states in, numbers for every response out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True)
class States:
    """The hidden states a head is given: those of all sequences one after another.

    Shapes: ``hidden`` ``[reads, hidden]``; ``counts`` reads of each sequence, adding up to ``reads``;
    ``condition`` ``[sequences, width]``, what the score is conditioned on (criterion, profile, direction, context),
    NaN in a row that has none; ``prompt`` ``[sequences, hidden]``, the state at the prompt's last token, for heads
    that ask for it.
    """

    hidden: Tensor
    counts: tuple[int, ...]
    condition: Tensor | None = None
    prompt: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a head says of each sequence, or of each response of a batch. NaN: no number, and no gradient there.

    Shapes: ``values`` ``[responses]``, the score that pairs and lists compare; ``attributes`` ``[responses, names]``;
    ``log_variance`` ``[responses]`` of the score; ``logits`` ``[responses, classes]`` of ordinal heads;
    ``steps`` ``[responses, longest]``, the number at each step or token read, higher is better, NaN as padding;
    ``step_logits`` ``[responses, longest, classes]`` where a step has classes; ``ends`` ``[responses, longest]`` int64,
    the character of the response's text at which each of them ends, -1 as padding; ``extra`` further tensors
    ``[responses, ...]`` by name: gates, latent means and variances, whatever a supervision asks a head for.
    """

    values: Tensor
    attributes: Tensor | None = None
    names: tuple[str, ...] = ()
    log_variance: Tensor | None = None
    logits: Tensor | None = None
    steps: Tensor | None = None
    step_logits: Tensor | None = None
    ends: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
