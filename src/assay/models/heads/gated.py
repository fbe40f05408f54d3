"""A head of many criteria under gates: criteria make aspects, aspects make the value, the prompt opens the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.models.heads.conditioned import Conditioning, Film
from assay.models.heads.front import Front
from assay.models.heads.linear import linear
from assay.models.heads.pooling import Pool, last_read
from assay.models.outputs import Outputs, States, blank


@final
class GatedHead(nn.Module):
    """Criteria weighed into aspects, and aspects into one value, by gates that read the prompt.

    Equation, with ``h`` the state that `Front` makes of a sequence, ``p`` the state at the prompt's last token (``h``
    where there is none) and ``c`` a criterion of aspect ``a``::

        s_c = w_c . h + b_c        aspect_a = sum_c softmax_a(g(p))_c s_c        value = sum_a gate_a(p) aspect_a

    The softmax of ``g`` runs within each aspect. ``gate`` is a softmax over the aspects of a second network or, with
    ``hard``, one for the aspect of its largest logit and zero elsewhere. A hard gate gets no gradient from the value:
    it is learned from ``extra["gate_logits"]``, by the category that records belong to (`gate_entropy`). ``width``
    above 0 puts one layer of that many PReLU units, shared by all criteria, before them. Each gate network has
    ``gate_layers`` layers of ``gate_width`` ReLU units (0 layers: linear), its logits divided by ``temperature``.

    ``groups`` maps each aspect to its criteria, in order. Outputs: ``attributes`` ``[sequences, criteria + aspects]``,
    named ``aspect/criterion`` and ``aspect``; ``extra``: ``gates`` and ``gate_logits`` ``[sequences, aspects]``,
    ``criterion_gates`` ``[sequences, criteria]``.

    Raises:
        ValueError: no aspect, one without criteria, or a temperature that is not positive.

    Source: MJ-VIDEO, 2025, arXiv 2502.01719; hard routing by category: DMoERM, 2024, arXiv 2403.01197.
    """

    needs_prompt = True

    def __init__(
        self,
        hidden: int,
        groups: Mapping[str, Sequence[str]] | Sequence[tuple[str, Sequence[str]]],
        *,
        width: int = 0,
        gate_layers: int = 1,
        gate_width: int = 64,
        temperature: float = 1.0,
        hard: bool = False,
        norm: bool = False,
        pool: Pool = last_read,
        condition: int = 0,
        by: Conditioning = Film,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.groups = {aspect: tuple(criteria) for aspect, criteria in dict(groups).items()}
        if not self.groups or not all(self.groups.values()):
            raise ValueError(f"every aspect needs a criterion, got {self.groups}")
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}; it divides the logits of the gates and is positive")
        self._form: dict[str, Any] = {"width": width, "gate_layers": gate_layers, "gate_width": gate_width}
        self.temperature, self.hard = temperature, hard
        self.sizes = [len(criteria) for criteria in self.groups.values()]
        self.front = Front(hidden, pool=pool, norm=norm, condition=condition, by=by, seed=seed)
        self.trunk = (
            nn.Sequential(linear(hidden, width, bias=True, seed=seed + 2), nn.PReLU(dtype=torch.float32))
            if width
            else nn.Identity()
        )
        self.criteria = linear(width or hidden, sum(self.sizes), bias=True, seed=seed)
        self.criterion_gate = _network(hidden, gate_width, gate_layers, sum(self.sizes), seed + 10)
        self.aspect_gate = _network(hidden, gate_width, gate_layers, len(self.sizes), seed + 20)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the attributes: ``aspect/criterion`` of every criterion, then the aspects."""
        criteria = [f"{aspect}/{name}" for aspect, names in self.groups.items() for name in names]
        return (*criteria, *self.groups)

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        own = {"groups": tuple(self.groups.items()), "temperature": self.temperature, "hard": self.hard}
        return {**self.front.options(), **self._form, **own}

    def forward(self, states: States) -> Outputs:
        """Values, criteria, aspects and gates of every sequence, float32."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, none = self.front(states)
            prompt = found if states.prompt is None else states.prompt.float()
            criteria = self.criteria(self.trunk(found))
            within = (self.criterion_gate(prompt) / self.temperature).split(self.sizes, dim=-1)
            inner = torch.cat([part.softmax(-1) for part in within], dim=-1)
            aspects = torch.stack([part.sum(-1) for part in (inner * criteria).split(self.sizes, dim=-1)], dim=-1)
            logits = self.aspect_gate(prompt) / self.temperature
            gates = F.one_hot(logits.argmax(-1), len(self.sizes)).to(logits) if self.hard else logits.softmax(-1)
            made = Outputs(
                values=(gates * aspects).sum(-1),
                attributes=torch.cat([criteria, aspects], dim=-1),
                names=self.names,
                extra={"gates": gates, "gate_logits": logits, "criterion_gates": inner},
            )
            return blank(made, none)


def gate_penalty(gates: Tensor, relevant: Tensor) -> Tensor:
    """``-sum_a (1 - relevant_a) log(1 - gate_a)``, ``[rows]``: closes the gates of aspects that do not matter.

    Shapes: ``gates`` in 0..1 and ``relevant`` in 0..1, both ``[rows, aspects]``; NaN in either adds nothing.

    Raises:
        ValueError: ``relevant`` lies outside 0..1.

    Source: MJ-VIDEO, 2025, arXiv 2502.01719.
    """
    idle = 1.0 - relevant.to(gates)
    known = ~(idle.isnan() | gates.detach().isnan())
    idle = torch.where(known, idle, 0.0)
    if idle.numel() and (float(idle.min()) < 0.0 or float(idle.max()) > 1.0):
        raise ValueError("how much an aspect matters lies in 0..1 (NaN where it is not known)")
    return -(idle * torch.log1p(-torch.where(known, gates, 0.0).clamp(max=1.0 - 1e-6))).sum(-1)


def gate_entropy(logits: Tensor, category: Tensor) -> Tensor:
    """``-log softmax(logits)[category]``, ``[rows]``: what a hard gate is learned from.

    Shapes: ``logits`` ``[rows, aspects]``; ``category`` ``[rows]`` int64, the place of the aspect, -1 where it is not
    known, which gives 0.
    """
    return F.cross_entropy(logits, category, ignore_index=-1, reduction="none")


def _network(inputs: int, width: int, layers: int, outputs: int, seed: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for layer in range(layers):
        parts += [linear(width if layer else inputs, width, bias=True, seed=seed + layer), nn.ReLU()]
    return nn.Sequential(*parts, linear(width if layers else inputs, outputs, bias=True, seed=seed + layers))
