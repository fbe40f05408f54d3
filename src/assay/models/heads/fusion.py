"""Fusion of the states that a response has one of per modality, of which any may be missing."""

from __future__ import annotations

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.models.heads.linear import linear
from assay.models.outputs import Outputs, States


def by_modality(states: States, modalities: int) -> tuple[Tensor, Tensor]:
    """States ``[sequences, modalities, hidden]`` in float32, 0 where missing, and present ``[sequences, modalities]``.

    A modality is missing where any of its state is not a number; no gradient flows there.

    Raises:
        ValueError: a sequence does not have exactly one state a modality.
    """
    if any(count != modalities for count in states.counts):
        found = sorted(set(states.counts))
        raise ValueError(f"need {modalities} states a sequence, one a modality, got {found}: is it a Towers backbone?")
    hidden = states.hidden.float().reshape(len(states.counts), modalities, states.hidden.shape[-1])
    present = ~hidden.isnan().any(-1)
    return torch.where(present[..., None], hidden, 0.0), present


@final
class ConcatFusionHead(nn.Module):
    """All modalities at once: ``w . gelu(W [x_1; ...; x_M] + b) + c``, late fusion by concatenation.

    A missing modality is a vector of its own that is learned (it starts at zero, so it is zero imputation where it is
    never trained) and a bit that says so. Everything starts from ``seed``. A response without any modality has no
    number (NaN).
    """

    def __init__(self, hidden: int, modalities: int, *, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        self._options = {"hidden": hidden, "modalities": modalities, "width": width, "seed": seed}
        self.modalities = modalities
        self.absent = nn.Parameter(torch.zeros(modalities, hidden))
        self.inner = linear(modalities * (hidden + 1), width, bias=True, seed=seed)
        self.outer = linear(width, 1, bias=True, seed=seed + 1)

    def options(self) -> dict[str, Any]:
        """What the constructor takes to make a head of this form."""
        return dict(self._options)

    def forward(self, states: States) -> Outputs:
        """``values`` ``[sequences]``."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, present = by_modality(states, self.modalities)
            filled = torch.where(present[..., None], found, self.absent)
            joined = torch.cat([filled.flatten(1), present.float()], 1)
            values = self.outer(F.gelu(self.inner(joined))).squeeze(-1)
            return Outputs(torch.where(present.any(1), values, torch.nan))


@final
class SequentialFusionHead(nn.Module):
    """One modality after another into one state, with a prediction after every step.

    ``s_0`` is trained; ``s_m = E_m([s_{m-1}; x_m])`` where the response has modality m, else ``s_m = s_{m-1}``; the
    prediction at every step is ``w . s_m + b``, and the score is the last. What is missing is left out of the sum of
    what is known instead of being imputed, so that a response does not look like those that lack the same modality.
    Skipping is decided for each response alone. ``Outputs.extra``: ``predictions`` ``[sequences, modalities + 1]`` with
    that of ``s_0`` first, and ``changes`` ``[sequences, modalities]``, mean square change of the state at each step,
    0 where skipped (to be penalised with about 0.01). A response without any modality has no number (NaN).

    Source: Swamy et al., MultiModN, 2023, arXiv 2309.14118. Their code skips a modality for the whole batch when one
    response lacks it.
    """

    def __init__(self, hidden: int, modalities: int, *, state: int = 32, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        self._options = {"hidden": hidden, "modalities": modalities, "state": state, "width": width, "seed": seed}
        self.modalities = modalities
        self.start = nn.Parameter(torch.zeros(state))
        self.inner = nn.ModuleList(
            linear(state + hidden, width, bias=True, seed=seed + 2 * m) for m in range(modalities)
        )
        self.outer = nn.ModuleList(linear(width, state, bias=True, seed=seed + 2 * m + 1) for m in range(modalities))
        self.decode = linear(state, 1, bias=True, seed=seed + 2 * modalities)

    def options(self) -> dict[str, Any]:
        """What the constructor takes to make a head of this form."""
        return dict(self._options)

    def forward(self, states: States) -> Outputs:
        """``values`` ``[sequences]``, the prediction after the last modality."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, present = by_modality(states, self.modalities)
            state = self.start.expand(len(states.counts), -1)
            passed, changes = [state], []
            for step in range(self.modalities):
                given = torch.cat([state, found[:, step]], 1)
                made = self.outer[step](F.gelu(self.inner[step](given)))
                following = torch.where(present[:, step, None], made, state)
                changes.append((following - state).square().mean(1))
                state = following
                passed.append(state)
            predictions = self.decode(torch.stack(passed, 1)).squeeze(-1)
            values = torch.where(present.any(1), predictions[:, -1], torch.nan)
            return Outputs(values, extra={"predictions": predictions, "changes": torch.stack(changes, 1)})


def hypergraph_smooth(nodes: Tensor, incidence: Tensor, weight: Tensor | None = None) -> Tensor:
    """``Dv^-1/2 H W De^-1 H^T Dv^-1/2 X``: every node takes what the hyperedges it lies on carry.

    Shapes: ``nodes`` X ``[nodes, width]``; ``incidence`` H ``[nodes, edges]``, > 0 where a node lies on an edge;
    ``weight`` W ``[edges]``, >= 0, 1 where not given. ``Dv = diag(H w)``, ``De = diag(1 H)``. A node on no edge, and an
    edge of no node, give 0.
    """
    edges = incidence.to(nodes)
    weights = torch.ones(edges.shape[1]).to(nodes) if weight is None else weight
    root = _power(edges @ weights, -0.5)[:, None]
    carried = edges.T @ (root * nodes) * (weights * _power(edges.sum(0), -1.0))[:, None]
    return root * (edges @ carried)


@final
class HypergraphConvolution(nn.Module):
    """``X' = Dv^-1/2 H W De^-1 H^T Dv^-1/2 X Theta + b``, one layer; ``W`` is trained where ``edges`` are given.

    Nodes that share an edge (a clip, an age group, a profession) inform each other. With ``edges`` the hyperedges are
    fixed in number and each has a weight ``softplus(w)`` that starts at 1.

    Source: Feng et al., Hypergraph neural networks, 2019, arXiv 1809.09401.
    """

    def __init__(self, width: int, outputs: int, *, edges: int = 0, bias: bool = True, seed: int = 0) -> None:
        super().__init__()
        self.has_bias = bias
        self.theta = linear(width, outputs, bias=bias, seed=seed)
        self.raw = nn.Parameter(torch.full((edges,), 1.0).expm1().log()) if edges else None

    def forward(self, nodes: Tensor, incidence: Tensor) -> Tensor:
        """``nodes`` ``[nodes, width]`` and ``incidence`` ``[nodes, edges]`` to ``[nodes, outputs]``."""
        weight = None if self.raw is None else F.softplus(self.raw)
        smooth = hypergraph_smooth(F.linear(nodes, self.theta.weight), incidence, weight)
        return smooth + self.theta.bias if self.has_bias else smooth


def _power(degrees: Tensor, exponent: float) -> Tensor:
    """``degrees ** exponent``, 0 where a degree is 0, with a gradient of 0 there."""
    there = degrees > 0
    return torch.where(there, torch.where(there, degrees, 1.0) ** exponent, 0.0)
