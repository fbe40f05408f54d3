"""What passes between a backbone, a head and what is learned: hidden states in, numbers for every response out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class States:
    """The hidden states a head is given: those of all sequences one after another.

    Shapes: ``hidden`` ``[reads, hidden]``; ``counts`` reads of each sequence, adding up to ``reads``;
    ``condition`` ``[sequences, width]``, what the score is conditioned on (criterion, profile, direction, context),
    NaN in a row that has none; ``prompt`` ``[sequences, hidden]``, the state at the prompt's last token, for heads
    that ask for it (``needs_prompt``); ``following`` ``[reads]`` int64, the token after each read, -1 at the end, for
    heads that ask for it (``needs_following``).
    """

    hidden: Tensor
    counts: tuple[int, ...]
    condition: Tensor | None = None
    prompt: Tensor | None = None
    following: Tensor | None = None


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


def states_of(reads: Sequence[Tensor], condition: Tensor | None = None, *, prompt_first: bool = False) -> States:
    """The states of some sequences, each ``[reads, hidden]``; ``prompt_first``: the first read of each is the prompt's.

    Raises:
        ValueError: there is no sequence.
    """
    if not reads:
        raise ValueError("there are no states: no sequence was computed")
    prompt = torch.stack([each[0] for each in reads]) if prompt_first else None
    own = [each[1:] for each in reads] if prompt_first else reads
    return States(torch.cat(list(own)), tuple(len(each) for each in own), condition, prompt)


def every(outputs: Outputs, change: Callable[[Tensor], Tensor]) -> Outputs:
    """The outputs with each of their tensors changed."""
    return replace(
        outputs,
        values=change(outputs.values),
        extra={name: change(tensor) for name, tensor in outputs.extra.items()},
        **{
            name: change(tensor)
            for name in ("attributes", "log_variance", "logits", "steps", "step_logits", "ends")
            if (tensor := getattr(outputs, name)) is not None
        },
    )


def blank(outputs: Outputs, rows: Tensor) -> Outputs:
    """The outputs without a number in ``rows`` ``[sequences]`` bool, and without gradient there."""

    def change(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        return torch.where(rows.reshape(-1, *(1,) * (tensor.dim() - 1)), torch.nan, tensor)

    return every(outputs, change)


def placed(outputs: Outputs, rows: Sequence[int], which: Sequence[int], total: int) -> Outputs:
    """The outputs of sequences as those of ``total`` responses: response ``rows[n]`` has those of ``which[n]``.

    All others have NaN (-1 where numbers are whole, False where they are truth values), and no gradient.
    """

    def change(tensor: Tensor) -> Tensor:
        fill = torch.nan if tensor.is_floating_point() else False if tensor.dtype == torch.bool else -1
        space = torch.full((total, *tensor.shape[1:]), fill, dtype=tensor.dtype, device=tensor.device)
        index = torch.tensor(list(rows), dtype=torch.long, device=tensor.device)
        chosen = torch.tensor(list(which), dtype=torch.long, device=tensor.device)
        return space.index_put((index,), tensor[chosen])

    return every(outputs, change)
