"""Sums of losses and figures over batches and processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, final

from assay.training.supervision import Losses


@final
@dataclass(slots=True)
class Tally:
    """What was seen so far: items and their loss, figures as (sum, count), items and records that gave nothing."""

    items: int = 0
    loss: float = 0.0
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    excluded: int = 0
    silent: int = 0

    def add(self, losses: Losses) -> None:
        """One more batch."""
        self._add(
            len(losses.items),
            float(losses.items.detach().double().sum()),
            dict(losses.metrics),
            losses.excluded,
            losses.silent,
        )

    def merge(self, others: Iterable[Tally]) -> Tally:
        """This tally, with others added to it."""
        for other in others:
            self._add(other.items, other.loss, other.metrics, other.excluded, other.silent)
        return self

    def _add(
        self, items: int, loss: float, metrics: dict[str, tuple[float, float]], excluded: int, silent: int
    ) -> None:
        self.items += items
        self.loss += loss
        for name, (total, count) in metrics.items():
            before = self.metrics.get(name, (0.0, 0.0))
            self.metrics[name] = (before[0] + total, before[1] + count)
        self.excluded += excluded
        self.silent += silent

    def figures(self) -> dict[str, float]:
        """The mean loss and each figure's mean; figures that nothing was counted for are left out."""
        if not self.items:
            return {}
        means = {name: total / count for name, (total, count) in self.metrics.items() if count}
        return {"loss": self.loss / self.items, **means}

    def state_dict(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "items": self.items,
            "loss": self.loss,
            "metrics": {name: list(pair) for name, pair in self.metrics.items()},
            "excluded": self.excluded,
            "silent": self.silent,
        }

    @staticmethod
    def from_state(state: dict[str, Any]) -> Tally:
        """What `state_dict` gave."""
        metrics = {name: (float(total), float(count)) for name, (total, count) in state["metrics"].items()}
        return Tally(state["items"], state["loss"], metrics, state["excluded"], state["silent"])
