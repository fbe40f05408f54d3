"""Words and a number: a language-model head that writes a critique, and a score of the state after it."""

from __future__ import annotations

from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from assay.models.heads.linear import linear
from assay.models.heads.pooling import by_sequence, last_read
from assay.models.outputs import Outputs, States

_RUN = 1024


@final
class CritiqueHead(nn.Module):
    """``values = w . h_last + b``, and ``log p(next token) = log softmax(V h)`` at every other state that is read.

    ``extra["critique"]`` ``[sequences, longest]`` is the log-probability, in nats, of the token that follows each read,
    NaN as padding and where none follows (``States.following`` -1). With ``softcap`` c the logits are
    ``c tanh(logits / c)`` (Gemma). ``V`` ``[vocabulary, hidden]`` starts at random; `of_words` starts it from a
    language model's own output layer. Logits of at most 1024 tokens are held at once, in training too.
    """

    needs_following = True

    def __init__(self, hidden: int, vocabulary: int, *, softcap: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.softcap = softcap
        self._options: dict[str, Any] = {"hidden": hidden, "vocabulary": vocabulary, "softcap": softcap, "seed": seed}
        self.score = linear(hidden, 1, bias=True, seed=seed)
        self.words = linear(hidden, vocabulary, bias=False, seed=seed + 1)

    @staticmethod
    def of_words(weight: Tensor, *, softcap: float = 0.0, seed: int = 0) -> CritiqueHead:
        """The head whose ``V`` is a copy of ``weight`` ``[vocabulary, hidden]``."""
        vocabulary, hidden = weight.shape
        head = CritiqueHead(hidden, vocabulary, softcap=softcap, seed=seed)
        with torch.no_grad():
            head.words.weight.copy_(weight.detach())
        return head

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return dict(self._options)

    def logits(self, hidden: Tensor) -> Tensor:
        """``[..., hidden]`` to ``[..., vocabulary]``, float32."""
        with torch.autocast(hidden.device.type, enabled=False):
            found = self.words(hidden.float())
            return self.softcap * torch.tanh(found / self.softcap) if self.softcap else found

    def forward(self, states: States) -> Outputs:
        """``values`` ``[sequences]`` and, where tokens follow, ``extra["critique"]``; float32."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            values = self.score(last_read(states).float()).squeeze(-1)
        if states.following is None:
            return Outputs(values)
        told = states.following >= 0
        token = self._likelihood(states.hidden[told], states.following[told])
        spread = torch.full(told.shape, torch.nan, dtype=token.dtype, device=token.device)
        spread = spread.index_put((told.nonzero().squeeze(-1),), token)
        return Outputs(values, extra={"critique": by_sequence(spread, states.counts)})

    def _likelihood(self, hidden: Tensor, following: Tensor) -> Tensor:
        """``[reads]`` log-probabilities, a run of reads at a time; a run's logits are computed again in backward."""
        parts = [
            cast("Tensor", checkpoint(self._part, states, tokens, use_reentrant=False))
            for states, tokens in zip(hidden.split(_RUN), following.split(_RUN), strict=True)
        ]
        return torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)

    def _part(self, hidden: Tensor, following: Tensor) -> Tensor:
        logits = self.logits(hidden)
        return logits.gather(-1, following[:, None]).squeeze(-1) - logits.logsumexp(-1)
