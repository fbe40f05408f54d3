"""Where in a sequence a head reads: the last token, every token of the response, the ends of its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Marked:
    """What is known of a tokenised sequence: positions, all int64 and ascending.

    ``length`` tokens in all; ``prompt`` is the position of the prompt's last token (before anything of the response);
    ``response`` ``[tokens]`` the tokens of the response's own text; ``steps`` ``[steps]`` the last token of each step.
    """

    length: int
    prompt: int
    response: Tensor
    steps: Tensor


Where: TypeAlias = Callable[[Marked], Tensor]
"""``Marked`` to the positions ``[reads]`` whose hidden states a head is given."""


def last(marked: Marked) -> Tensor:
    """The last token of the sequence, by index: where a scalar reward is read (Stiennon et al. 2020)."""
    return torch.tensor([marked.length - 1])


def every_response_token(marked: Marked) -> Tensor:
    """Every token of the response's text: for the mean over them, and for scores of tokens and spans."""
    return marked.response


def step_ends(marked: Marked) -> Tensor:
    """The last token of each step, in order: one forward scores all steps of a response."""
    return marked.steps
