"""Arithmetic of trained weights: going on in the direction that a stage of training took."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def extrapolated(start: Mapping[str, Tensor], trained: Mapping[str, Tensor], factor: float = 1.5) -> dict[str, Tensor]:
    """``start + factor (trained - start)``, weight by weight: beyond what was trained for ``factor`` above 1.

    Computed in float32 at least. ``factor`` 1 is ``trained`` itself, 0 ``start``, between them their interpolation;
    weights that are not floating-point are those of ``trained``. The factor is chosen on held-out data. Load the result
    with ``load_state_dict``.

    Raises:
        ValueError: the two do not have the same weights of the same shapes.

    Source: Zheng et al. (ExPO), 2024, arXiv 2404.16792.
    """
    odd = sorted(set(start) ^ set(trained)) or [name for name in start if start[name].shape != trained[name].shape]
    if odd:
        raise ValueError(f"the two sets of weights are not of the same model: they differ in {', '.join(odd[:5])}")
    return {name: _beyond(start[name], weight, factor) for name, weight in trained.items()}


def _beyond(start: Tensor, trained: Tensor, factor: float) -> Tensor:
    if not trained.is_floating_point() or factor == 1.0:
        return trained.detach().clone()
    wide = torch.promote_types(trained.dtype, torch.float32)
    first = start.detach().to(trained.device, wide)
    return (first + factor * (trained.detach().to(wide) - first)).to(trained.dtype)
