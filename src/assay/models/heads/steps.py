"""A number or classes at every state read: at the ends of steps, or at every token."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn

from assay.models.heads.aggregate import Aggregate, product
from assay.models.heads.conditioned import Conditioning, Film
from assay.models.heads.front import Front
from assay.models.heads.linear import linear
from assay.models.heads.pooling import by_sequence
from assay.models.outputs import Outputs, States


@final
class StepHead(nn.Module):
    """The logit that each step is good, and the score of the response that ``aggregate`` makes of all of them.

    ``classes = 1``: ``steps = w . h + b``. With more classes ``step_logits = W h + b``, and ``steps`` is the log-odds
    of class ``good`` against all others; with ``good=-1`` the last class. ``extra["step_scores"]`` is what a reader of
    scores sees: ``sigmoid(steps)``, 0..1, or, without ``probability``, the number itself (a regression on rewards).
    ``values = aggregate(step_scores)``. Read at `reading.step_ends` it is a process reward, at
    `reading.every_response_token` a token classifier: one forward scores all of them.

    Sources: Lightman et al., 2023, arXiv 2305.20050; tokens and spans: Wu et al., 2023, arXiv 2306.01693.

    Raises:
        ValueError: no class, or ``good`` is none of them.
    """

    def __init__(
        self,
        hidden: int,
        *,
        classes: int = 1,
        good: int = -1,
        aggregate: Aggregate = product,
        probability: bool = True,
        bias: bool = True,
        norm: bool = False,
        condition: int = 0,
        by: Conditioning = Film,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if classes < 1 or not -classes <= good < classes:
            raise ValueError(f"good={good} is none of {classes} classes")
        self.classes, self.good, self.aggregate, self.probability = classes, good % classes, aggregate, probability
        self.has_bias = bias
        self.front = Front(hidden, norm=norm, condition=condition, by=by, seed=seed)
        self.linear = linear(hidden, classes, bias=bias, seed=seed)

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        front = {name: value for name, value in self.front.options().items() if name != "pool"}
        own = {"classes": self.classes, "good": self.good, "aggregate": self.aggregate}
        return {**front, **own, "probability": self.probability, "bias": self.has_bias}

    def forward(self, states: States) -> Outputs:
        """``steps`` ``[sequences, longest]``, ``step_logits`` with several classes, ``values``; float32."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, none = self.front.each(states)
            logits = torch.where(none[:, None], torch.nan, self.linear(found))
            number = logits.squeeze(-1) if self.classes == 1 else self._log_odds(logits)
            seen = torch.sigmoid(number) if self.probability else number
            scores = by_sequence(seen, states.counts)
            broken = by_sequence(none, states.counts, fill=False).any(dim=-1)
            return Outputs(
                torch.where(broken, torch.nan, self.aggregate(scores)),
                steps=by_sequence(number, states.counts),
                step_logits=by_sequence(logits, states.counts) if self.classes > 1 else None,
                extra={"step_scores": scores},
            )

    def _log_odds(self, logits: Tensor) -> Tensor:
        others = torch.cat([logits[:, : self.good], logits[:, self.good + 1 :]], dim=-1)
        return logits[:, self.good] - others.logsumexp(dim=-1)
