"""A score that is the likeness of two states: what was asked for, and what came."""

from __future__ import annotations

import math
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import nn

from assay.models.outputs import Outputs, States


@final
class DualEncoderHead(nn.Module):
    """``scale * cos(P x_left, Q x_right) + bias`` of two states, say of a prompt's text and of a picture.

    ``left`` and ``right`` are the places of the two states among those of a sequence, counted as in a tuple. ``P`` and
    ``Q`` are the identity where the states lie in one space already (CLIP, SigLIP, CLAP), and linear maps to ``width``
    where one is given. ``scale`` is trained as its logarithm, unless ``fixed``. A response that lacks either state has
    no number (NaN). The cosine is in ``Outputs.extra["cosine"]``, -1..1.

    On unit vectors ``|a - p|^2 - |a - n|^2 = 2 (cos(a, n) - cos(a, p))``: a triplet loss with margin m is twice a
    hinge of margin m / 2 on the cosines (``scale=1``, objective ``hinge``).

    Source: Radford et al., CLIP, 2021, arXiv 2103.00020.
    """

    def __init__(
        self,
        hidden: int,
        *,
        left: int = 0,
        right: int = -1,
        scale: float = 1.0,
        bias: float = 0.0,
        width: int = 0,
        fixed: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f"scale must be positive, got {scale}")
        self._options: dict[str, Any] = {
            "hidden": hidden,
            "left": left,
            "right": right,
            "scale": scale,
            "bias": bias,
            "width": width,
            "fixed": fixed,
            "seed": seed,
        }
        self.left, self.right = left, right
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=not fixed)
        self.bias = nn.Parameter(torch.tensor(float(bias)), requires_grad=not fixed)
        self.maps = nn.ParameterList(_map(hidden, width, seed + side) for side in (0, 1)) if width else None

    def options(self) -> dict[str, Any]:
        """What the constructor takes to make a head of this form."""
        return dict(self._options)

    def forward(self, states: States) -> Outputs:
        """``values`` ``[sequences]``."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            parts = states.hidden.float().split(states.counts)
            pair = [torch.stack([part[place] for part in parts]) for place in (self.left, self.right)]
            present = ~torch.stack([side.isnan().any(1) for side in pair]).any(0)
            filled = [torch.where(present[:, None], side, 1.0) for side in pair]
            if self.maps is not None:
                filled = [side @ weight.T for side, weight in zip(filled, self.maps, strict=True)]
            cosine = F.cosine_similarity(filled[0], filled[1], dim=1)
            values = torch.where(present, self.log_scale.exp() * cosine + self.bias, torch.nan)
            return Outputs(values, extra={"cosine": torch.where(present, cosine, torch.nan)})


def _map(hidden: int, width: int, seed: int) -> nn.Parameter:
    generator = torch.Generator().manual_seed(seed)
    return nn.Parameter(torch.randn((width, hidden), generator=generator) / hidden**0.5)
