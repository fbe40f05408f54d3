"""Hypergraph smoothing: groups of viewers that share an attribute inform each other, and few ratings suffice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from assay.claims.base import Check, Outcome
from assay.claims.paired import ratios, world
from assay.models.heads.fusion import hypergraph_smooth

_VIDEOS, _AGES, _WORK, _SEXES, _SEEN = 40, 4, 3, 2, 0.15


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """What 24 groups of viewers think of 40 videos, 15 % of it known: the mean of a group over videos, against known
    ratings smoothed over a hypergraph whose edges are the cells that share video and an attribute of the viewer.

    Sabotage: the edges join cells at random.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    smoothed, grouped, overall = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "error, smoothed over the hypergraph": smoothed,
            "error, mean of the group": grouped,
            "error, mean of everything": overall,
        },
        checks=(Check("error over that of the group's mean", ratios(smoothed, grouped), at_most=0.7),),
        notes=("what the hypergraph layer adds inside a video language model is not claimed",),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, float, float]:
    generator = world(seed)
    groups = torch.tensor(list(product(range(_AGES), range(_WORK), range(_SEXES))))
    truth = _truth(groups, generator)
    known = torch.rand(truth.shape, generator=generator) < _SEEN
    mean = truth[known].mean()
    grouped = (mean + torch.where(known, truth - mean, 0.0).sum(0) / known.sum(0).clamp(min=1)).expand_as(truth)
    left = torch.where(known, truth - grouped, 0.0)
    incidence = _incidence(groups)
    if sabotage:
        incidence = incidence[torch.randperm(len(incidence), generator=generator)]
    both = torch.stack([left.flatten(), known.flatten().float()], -1)
    spread = hypergraph_smooth(both, incidence)
    smoothed = grouped + (spread[:, 0] / spread[:, 1].clamp(min=1e-6)).reshape(truth.shape)
    return _error(smoothed, truth, known), _error(grouped, truth, known), _error(mean, truth, known)


def _truth(groups: Tensor, generator: torch.Generator) -> Tensor:
    """``[videos, groups]``: how good a video is, and what each of the viewer's attributes makes of it."""
    parts = [torch.randn(_VIDEOS, 1, generator=generator) * 2.0]
    for column, size in enumerate((_AGES, _WORK, _SEXES)):
        parts.append(0.5 * torch.randn(_VIDEOS, size, generator=generator)[:, groups[:, column]])
        parts.append(torch.randn(1, size, generator=generator)[:, groups[:, column]])
    return torch.stack([part.expand(_VIDEOS, len(groups)) for part in parts]).sum(0)


def _incidence(groups: Tensor) -> Tensor:
    """Cells ``[videos * groups]`` on edges: a video with one value of one attribute, and the video with everyone."""
    attributes = torch.cat([F.one_hot(column) for column in groups.T] + [torch.ones(len(groups), 1).long()], -1)
    return torch.einsum("vw,ga->vgwa", torch.eye(_VIDEOS), attributes.float()).flatten(0, 1).flatten(1)


def _error(said: Tensor, truth: Tensor, known: Tensor) -> float:
    """Root mean square over what was not known."""
    return float((said - truth)[~known].square().mean().sqrt())
