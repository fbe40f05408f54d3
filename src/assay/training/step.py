"""One step of the optimiser: the mean loss over all items of a batch, exactly, however the batch is spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from assay.rewards.learned import LearnedReward
from assay.training.inputs import Inputs, of_zeros
from assay.training.settings import Settings
from assay.training.supervision import Supervision
from assay.training.tally import Tally
from assay.training.terms import SumOfMeans

NOTHING = "no item to learn from"
OVERFLOW = "gradients overflowed float16; the loss scale was lowered"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step: ``skipped`` says why nothing was changed; the tally is of this process."""

    tally: Tally
    gradient_norm: float = math.nan
    skipped: str = ""


@final
class Processes:
    """The processes of a run, by accelerate: one, or one a device."""

    def __init__(self, device: torch.device) -> None:
        from accelerate import PartialState

        self.state = PartialState(cpu=device.type == "cpu")

    @property
    def count(self) -> int:
        return int(self.state.num_processes)

    @property
    def index(self) -> int:
        return int(self.state.process_index)

    @property
    def is_main(self) -> bool:
        return bool(self.state.is_main_process)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over the processes."""
        from accelerate.utils import reduce

        return tensor if self.count == 1 else cast("Tensor", reduce(tensor, reduction="sum"))

    def gather(self, value: Any) -> list[Any]:
        """One value of each process, in order."""
        from accelerate.utils import gather_object

        return [value] if self.count == 1 else cast("list[Any]", gather_object([value]))

    def wait(self) -> None:
        """Until all processes are here."""
        self.state.wait_for_everyone()


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Arithmetic of the backbone in ``dtype``; None leaves it as it is."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


@final
class Stepper:
    """The optimiser and what it steps over."""

    def __init__(
        self,
        reward: LearnedReward,
        inputs: Inputs,
        supervision: Supervision,
        settings: Settings,
        processes: Processes,
        lower: torch.dtype | None,
    ) -> None:
        self.inputs, self.settings, self.processes = inputs, settings, processes
        bind = cast("Callable[[nn.Module], Supervision] | None", getattr(supervision, "bound_to", None))
        self.supervision = supervision if bind is None else bind(reward.head)
        self._blank = of_zeros(reward)
        self.token_budget = settings.token_budget
        self.device, self.lower = reward.backbone.placement.device, lower
        self.weights = [weight for weight in reward.model.parameters() if weight.requires_grad]
        # not fused: those kernels change weights without counting the change, so kept picture features would go stale
        self.optimizer = torch.optim.AdamW(
            _groups(reward, settings), betas=settings.betas, eps=settings.epsilon, foreach=True
        )
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=lower is torch.float16)

    def supervision_state(self, restored: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a supervision that is bound to the head remembers, as a tree of tensors; ``restored`` is put back."""
        supervision = cast("Any", self.supervision)
        if not hasattr(supervision, "load_state_dict"):
            return {}
        if restored is not None:
            supervision.load_state_dict(restored)
        return cast("dict[str, Any]", supervision.state_dict())

    def step(self, batch: Sequence[int], factor: float) -> Outcome:
        """Learn from the records of a batch, at ``factor`` of the learning rate.

        Nothing changes when a loss or a gradient is not finite, or when no item is left to learn from. Out of memory
        halves the token budget and tries once more.
        """
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        try:
            tally, trouble = self._gradients(batch)
        except torch.OutOfMemoryError:
            self.optimizer.zero_grad(set_to_none=True)
            self.token_budget = max(1, self.token_budget // 2)
            tally, trouble = self._gradients(batch)
        totals = torch.tensor([float(tally.items), float(bool(trouble))], dtype=torch.float64)
        items, troubled = self.processes.sum(totals.to(self.device)).tolist()
        if troubled:
            return Outcome(Tally(), skipped=trouble or "another process met a loss that is not finite")
        if not items:
            return Outcome(tally, skipped=NOTHING)
        self.scaler.unscale_(self.optimizer)
        self._average(len(batch) / items)
        limit = self.settings.max_grad_norm or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.weights, limit))
        finite = math.isfinite(norm)
        if finite or self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if finite:
            return Outcome(tally, norm)
        return Outcome(Tally(), norm, OVERFLOW if self.scaler.is_enabled() else f"the gradient norm is {norm}")

    def _gradients(self, batch: Sequence[int]) -> tuple[Tally, str]:
        """The backward pass; of a sum of means with the items of each term counted over the whole step."""
        if not isinstance(self.supervision, SumOfMeans):
            return self._backward(batch, self.supervision)
        counts = self.processes.sum(self._counts(batch, self.supervision))
        tally, trouble = self._backward(batch, self.supervision.over(counts))
        found = self.processes.sum(self.supervision.counted(tally.metrics).to(self.device))
        if bool((found == counts).all()):
            return tally, trouble
        self.optimizer.zero_grad(set_to_none=True)
        return self._backward(batch, self.supervision.over(found))

    @torch.no_grad()
    def _counts(self, batch: Sequence[int], terms: SumOfMeans) -> Tensor:
        """``[terms]``: the items of this process, as if every hidden state were zero."""
        mine = batch[self.processes.index :: self.processes.count]
        counts = torch.zeros(len(terms.terms), dtype=torch.long)
        for part in self.inputs.split(mine, self.token_budget):
            counts += terms.counts(self.inputs.outputs(part, finite=False, by=self._blank), self.inputs.at(part))
        return counts.to(self.device)

    def _backward(self, batch: Sequence[int], supervision: Supervision) -> tuple[Tally, str]:
        tally = Tally()
        mine = batch[self.processes.index :: self.processes.count]
        for part in self.inputs.split(mine, self.token_budget):
            try:
                with autocast(self.device, self.lower):
                    outputs = self.inputs.outputs(part)
            except FloatingPointError as error:
                return tally, str(error)
            losses = supervision(outputs, self.inputs.at(part))
            if not bool(losses.items.detach().isfinite().all()):
                return tally, "a loss is not finite"
            if losses.items.requires_grad and len(losses.items):
                self.scaler.scale(losses.items.float().sum() / len(batch)).backward()
            tally.add(losses)
        return tally, ""

    def _average(self, factor: float) -> None:
        """Gradients of the sum over all items, times ``factor``, the same on every process."""
        if self.processes.count > 1:
            for weight in self.weights:
                own = torch.zeros_like(weight) if weight.grad is None else weight.grad
                weight.grad = self.processes.sum(own)
        for weight in self.weights:
            if weight.grad is not None:
                weight.grad.mul_(factor)


def _groups(reward: LearnedReward, settings: Settings) -> list[dict[str, Any]]:
    """Backbone and head, each with matrices (decayed) and vectors (not)."""
    head_rate = settings.head_learning_rate or settings.learning_rate
    parts: list[tuple[Iterable[nn.Parameter], float]] = [
        (reward.backbone.module.parameters(), settings.learning_rate),
        (reward.head.parameters(), head_rate),
    ]
    groups: list[dict[str, Any]] = []
    for parameters, rate in parts:
        trained = [weight for weight in parameters if weight.requires_grad]
        groups += [
            {"params": [w for w in trained if w.ndim > 1], "lr": rate, "weight_decay": settings.weight_decay},
            {"params": [w for w in trained if w.ndim <= 1], "lr": rate, "weight_decay": 0.0},
        ]
    return [group for group in groups if group["params"]]
