"""How a published method trains a reward, as a value that a backbone is given to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, final

from torch import nn

from assay.records import Record
from assay.training.result import Event, Report, quiet
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
    """One run of the loop: what is learned, and how.

    ``present`` writes records as the reward is to see them (facts told, marks or critiques written), also held-out
    ones; ``curate`` chooses and relabels those that are learned from, and leaves held-out ones alone.
    """

    supervision: Supervision
    settings: Settings = field(default_factory=Settings)
    curate: Curate = as_they_are
    present: Curate = as_they_are

    def learned_from(self, records: Sequence[Record]) -> Sequence[Record]:
        """The records that this stage learns from, of those given."""
        return self.present(self.curate(records))


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

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("a training has at least one stage")

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
        resume: bool = True,
        report: Report = quiet,
    ) -> Result:
        """Train a new reward through all stages; as `learn`."""
        return self.learn(
            self.reward(backbone),
            records,
            evaluate=evaluate,
            output=output,
            change=change,
            resume=resume,
            report=report,
        )

    def learn(
        self,
        reward: LearnedReward,
        records: Sequence[Record],
        *,
        evaluate: Sequence[Record] = (),
        output: Path | None = None,
        change: Callable[[Settings], Settings] = replace,
        resume: bool = True,
        report: Report = quiet,
    ) -> Result:
        """Train a reward through all stages; ``output`` gets the reward of the last one, and its card what each stage
        before measured. ``change`` adjusts every stage's settings (a budget, a seed).

        Of several stages each has checkpoints of its own, ``<output>.training/stage-N``. A run that was stopped goes on
        in the stage where it was: finished stages give the weights they ended with (as `loop.train`).
        """
        from assay.training.loop import train, workplace

        count = len(self.stages)
        summaries: list[Mapping[str, Any]] = []
        result: Result | None = None
        for number, stage in enumerate(self.stages, start=1):
            last = number == count
            if last and summaries:
                reward.card = {**reward.card, "stages": summaries}
            result = train(
                reward,
                stage.learned_from(records),
                stage.supervision,
                change(stage.settings),
                evaluate=stage.present(evaluate),
                output=output if last else None,
                checkpoints=workplace(output) / f"stage-{number}" if output is not None and count > 1 else None,
                resume=resume,
                report=report if count == 1 else _of_stage(report, number, count),
            )
            reward = result.reward
            summaries.append(result.summary())
        assert result is not None
        return result


def _of_stage(report: Report, number: int, count: int) -> Report:
    """A report whose progress is that of all stages, and whose events say of which stage they are."""

    def reported(event: Event) -> None:
        report(replace(event, progress=(number - 1 + event.progress) / count, part=f"stage-{number}"))

    return reported
