"""What a training run is told."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, final

import torch

from assay.records import Record
from assay.training.budgets import Budget, Cosine, Epochs, Schedule
from assay.training.freeze import Freeze, nothing

Watch: TypeAlias = Callable[[Mapping[str, float]], float]
"""What of an evaluation says how good it is; higher is better."""


def lowest_loss(metrics: Mapping[str, float]) -> float:
    """The evaluation with the lowest loss is the best."""
    return -metrics["loss"]


def highest_accuracy(metrics: Mapping[str, float]) -> float:
    """The evaluation with the highest accuracy is the best."""
    return metrics["accuracy"]


@final
@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters on the linear layers of the language model, trained with the head.

    ``W + (alpha / rank) B A`` with ``A`` ``[rank, in]``, ``B`` ``[out, rank]`` starting at zero. ``targets`` are the
    ends of module names; empty means every linear layer of the language model. With ``merge`` the trained reward has
    plain weights again; without, it keeps the adapters and only they and the head are saved.
    Source: Hu et al., 2021, arXiv 2106.09685.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ()
    merge: bool = True


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a training run.

    ``batch`` records make a batch, ``gradient_accumulation`` batches a step; the loss of a step is the mean over all
    its items, however they are spread over batches, micro-batches and processes. ``token_budget`` bounds the tokens
    (shared ones once) of a micro-batch, whose graph is held at once. ``by_picture`` composes batches so that records of
    one picture meet, and its features are computed once a step; ``balance`` gives each record's source or task, and
    batches then hold equally many of each (`order.batches_balanced`). ``autocast`` is the format of the backbone's
    arithmetic; trained weights, head and loss are float32. ``recompute`` keeps
    no activations inside layers and computes them again in the backward pass: less memory, a third more time, the same
    gradients. ``head_learning_rate`` None is ``learning_rate``.
    ``max_grad_norm`` 0 does not clip.

    ``evaluate_every`` and ``checkpoint_every`` count steps; None evaluates once an epoch, and writes a checkpoint every
    ``checkpoint_minutes`` and at the end. ``patience`` evaluations without a better one (by ``watch``) end the run.
    With evaluations the best weights are kept, otherwise the last. ``max_skipped`` steps in a row with a loss that is
    not finite end it with an error.
    """

    budget: Budget = field(default_factory=lambda: Epochs(1))
    batch: int = 16
    gradient_accumulation: int = 1
    token_budget: int = 16_384
    by_picture: bool = False
    balance: Callable[[Record], Hashable] | None = None
    learning_rate: float = 1e-5
    head_learning_rate: float | None = None
    schedule: Schedule = field(default_factory=Cosine)
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    autocast: torch.dtype | None = None
    recompute: bool = False
    seed: int = 0
    freeze: Freeze = nothing
    lora: Lora | None = None
    evaluate_every: int | None = None
    watch: Watch = lowest_loss
    patience: int | None = None
    checkpoint_every: int | None = None
    checkpoint_minutes: float = 10.0
    log_every: int = 10
    max_skipped: int = 5

    def __post_init__(self) -> None:
        counts = ("batch", "gradient_accumulation", "token_budget", "log_every", "max_skipped")
        small = {name: getattr(self, name) for name in counts if getattr(self, name) < 1}
        if small:
            raise ValueError(f"these settings must be at least 1: {small}")
        if self.by_picture and self.balance is not None:
            raise ValueError("batches are composed by picture or balanced by source, not both")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be positive")
