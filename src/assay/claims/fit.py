"""Training of small modules on tensors in memory: what claims compare methods and baselines with, on equal terms."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def fit(
    weights: nn.Module | Iterable[nn.Parameter],
    loss: Callable[[], Tensor],
    *,
    steps: int = 300,
    learning_rate: float = 0.05,
    weight_decay: float = 0.0,
) -> None:
    """Minimise ``loss()`` (a mean, or a loss per item that is averaged) by Adam, full batch unless ``loss`` samples."""
    parameters = list(weights.parameters() if isinstance(weights, nn.Module) else weights)
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, foreach=True)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss().mean().backward()
        optimizer.step()


def fit_at_best(
    model: nn.Module,
    loss: Callable[[], Tensor],
    quality: Callable[[], float],
    *,
    steps: int = 300,
    every: int = 20,
    learning_rate: float = 0.05,
    weight_decay: float = 0.0,
) -> float:
    """As `fit`, but ``quality()`` is measured every so many steps and the model is left at its best: what a baseline is
    given, so that a method is never compared with an over-trained one. Returns the best quality."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay, foreach=True)
    best, kept = -float("inf"), copy.deepcopy(model.state_dict())
    for step in range(1, steps + 1):
        optimizer.zero_grad(set_to_none=True)
        loss().mean().backward()
        optimizer.step()
        if step % every == 0 or step == steps:
            with torch.no_grad():
                found = quality()
            if found > best:
                best, kept = found, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    return best
