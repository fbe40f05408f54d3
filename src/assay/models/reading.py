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

    ``length`` tokens in all; ``prompt`` is the position of the prompt's last token (the frame of the answering turn
    included, nothing of the response); ``response`` ``[tokens]`` the tokens of the response's own text, without what
    tools, the environment or a user say in it; ``steps`` ``[steps]`` the last token of each step: the one that holds
    its last character. A step without a character of its own is read where the text before it ends.
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


def from_first_step(marked: Marked) -> Tensor:
    """Every token from the end of the first marked step to the last token of the sequence; without steps the last."""
    start = int(marked.steps[0]) if marked.steps.numel() else marked.length - 1
    return torch.arange(start, marked.length)


@dataclass(frozen=True, slots=True)
class Reader:
    """What is read of a sequence: ``where``, and in front of it the prompt's last token if ``prompt``."""

    where: Where
    prompt: bool = False

    @property
    def reads_last(self) -> bool:
        """Only the last token: no characters have to be found."""
        return self.where is last and not self.prompt

    @property
    def needs_steps(self) -> bool:
        """Reads nothing of a response whose steps are not marked."""
        return not self.where(Marked(2, 0, torch.tensor([1]), torch.empty(0, dtype=torch.long))).numel()

    @property
    def reads_steps(self) -> bool:
        """Reads elsewhere when the steps are elsewhere."""
        response = torch.tensor([1, 2])
        first, second = (self.where(Marked(4, 0, response, torch.tensor([place]))) for place in (1, 2))
        return not torch.equal(first, second)

    def positions(self, marked: Marked) -> Tensor:
        """``[reads]`` positions: the prompt's where it is asked for, then those of ``where``."""
        found = self.where(marked)
        return torch.cat([torch.tensor([marked.prompt]), found]) if self.prompt else found
