"""How a published method trains a reward, as a value that a backbone is given to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, final

from torch import nn

from assay.records import Record
from assay.training.settings import Settings
from assay.training.supervision import Supervision

if TYPE_CHECKING:
    from assay.models.base import Encoder
    from assay.rewards.learned import LearnedReward
    from assay.training.result import Result

Curate: TypeAlias = Callable[[Sequence[Record]], Sequence[Record]]
"""Records to the records that are learned from: filters, relabelling, made negatives."""


def as_they_are(records: Sequence[Record]) -> Sequence[Record]:
    """Learns from the records given."""
    return records


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """One run of the loop: what is learned, and how."""

    supervision: Supervision
    settings: Settings = field(default_factory=Settings)
    curate: Curate = as_they_are


@final
@dataclass(frozen=True, slots=True)
class Training:
    """A head and the stages that train it, one after another on the same weights.

    ``head`` makes the untrained head from the backbone's hidden size; ``options`` are further options of
    `LearnedReward` (such as ``read``).
    """

    head: Callable[[int], nn.Module]
    stages: tuple[Stage, ...]
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def reward(self, backbone: Encoder) -> LearnedReward:
        """The untrained reward on a backbone."""
        from assay.rewards.learned import LearnedReward

        return LearnedReward(backbone, self.head(backbone.hidden_size), **self.options)

    def run(
        self,
        backbone: Encoder,
        records: Sequence[Record],
        *,
        evaluate: Sequence[Record] = (),
        output: Path | None = None,
        change: Callable[[Settings], Settings] = replace,
    ) -> Result:
        """Train through all stages; ``output`` gets the reward of the last one. ``change`` adjusts every stage's
        settings (a budget, a seed)."""
        from assay.training.loop import train

        reward = self.reward(backbone)
        result: Result | None = None
        for number, stage in enumerate(self.stages):
            last = number == len(self.stages) - 1
            result = train(
                reward,
                stage.curate(records),
                stage.supervision,
                change(stage.settings),
                evaluate=evaluate,
                output=output if last else None,
            )
            reward = result.reward
        assert result is not None
        return result
