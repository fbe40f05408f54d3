"""Made-up choices between two responses as plain features, and how a head learns from them and is judged on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from assay.models.outputs import Outputs, States
from assay.objectives.pairwise import bradley_terry


@final
@dataclass(frozen=True, slots=True)
class Choices:
    """Features ``[pairs, hidden]`` of what was chosen and rejected, with the condition and the prompt of each pair."""

    chosen: Tensor
    rejected: Tensor
    condition: Tensor | None = None
    prompt: Tensor | None = None

    @staticmethod
    def of(pair: Tensor, gap: Tensor, condition: Tensor | None = None, prompt: Tensor | None = None) -> Choices:
        """From features ``[2, pairs, hidden]`` and how much better the first is, ``[pairs]``."""
        first = (gap > 0)[:, None]
        return Choices(torch.where(first, pair[0], pair[1]), torch.where(first, pair[1], pair[0]), condition, prompt)

    def __len__(self) -> int:
        return len(self.chosen)

    def at(self, rows: Tensor) -> Choices:
        """Some of the pairs."""
        condition = None if self.condition is None else self.condition[rows]
        return Choices(
            self.chosen[rows], self.rejected[rows], condition, None if self.prompt is None else self.prompt[rows]
        )

    @property
    def states(self) -> States:
        """All that were chosen, then all that were rejected, each read once."""
        condition = None if self.condition is None else self.condition.repeat(2, 1)
        prompt = None if self.prompt is None else self.prompt.repeat(2, 1)
        return States(torch.cat([self.chosen, self.rejected]), (1,) * (2 * len(self)), condition, prompt)

    def outputs(self, head: nn.Module) -> Outputs:
        """What a head says of ``states``."""
        found: Outputs = head(self.states)
        return found

    def gap(self, head: nn.Module) -> Tensor:
        """How much higher a head scores what was chosen, ``[pairs]``."""
        chosen, rejected = self.outputs(head).values.chunk(2)
        return chosen - rejected

    def loss(self, head: nn.Module) -> Tensor:
        """Bradley-Terry, ``[pairs]``."""
        return bradley_terry(self.gap(head), torch.zeros(len(self)))

    def accuracy(self, head: nn.Module) -> float:
        """Share of pairs in which the head scores what was chosen higher; a tie is half."""
        gap = self.gap(head).detach()
        return float((gap > 0).float().mean() + 0.5 * (gap == 0).float().mean())


@final
class Perceptron(nn.Module):
    """A baseline head: one hidden layer on the response's features, and on the prompt's and the condition where
    there are any."""

    def __init__(self, inputs: int, width: int = 32, *, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, states: States) -> Outputs:
        """Values of sequences that are read once."""
        given = [part for part in (states.hidden, states.prompt, states.condition) if part is not None]
        return Outputs(self.layers(torch.cat(given, -1)).squeeze(-1))
