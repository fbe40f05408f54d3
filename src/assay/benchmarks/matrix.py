"""The matrix of rewards: every head, over every medium, from every shape of feedback, on one loop and one collator.

A cell trains a reward on a small world, and must do better on held-out records than copies that were not trained, by
the figure of its own task; it is saved and comes back with the same scores to the last bit; low-rank adapters are
trained on it and merged, which must not change a score. What fails says how.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import combinations, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, final

import torch

from assay.benchmarks.figures import FIGURES, STEP_ACCURACY, STEP_FLOOR
from assay.benchmarks.ways import STEPWISE, WAYS, Way
from assay.models.heads import StepHead
from assay.models.hf import Backbone
from assay.models.reading import step_ends
from assay.objectives.stepwise import classification
from assay.records import Record, Span, SpanLabels
from assay.rewards.learned import LearnedReward
from assay.scores import Scores, Status
from assay.training.budgets import Constant, Steps
from assay.training.evaluation import evaluate
from assay.training.loop import train
from assay.training.lora import merged
from assay.training.settings import Lora, Settings
from assay.training.stepwise import on_spans
from assay.worlds.statements import MEDIA, SHAPES, Sample, as_spans, samples, two

MERGE_TOLERANCE = 1e-5
GAIN = 0.15
COPIES = 3


@final
@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A head (of `ways.WAYS`), a medium (of `worlds.statements.MEDIA`) and a shape of feedback (of `SHAPES`)."""

    head: str
    medium: str
    feedback: str

    def __str__(self) -> str:
        return f"{self.head} / {self.medium} / {self.feedback}"


class Verdict(StrEnum):
    """What became of a cell."""

    HOLDS = "holds"
    NO_GAIN = "no gain"
    ABSTAINED = "abstained"
    RELOADED_OTHERWISE = "reloaded otherwise"
    MERGED_OTHERWISE = "merged otherwise"
    REFUSED = "refused"


@final
@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of a cell: ``trained`` and ``untrained`` by ``figure`` on held-out records, the latter the mean
    of several untrained copies; ``merged`` the largest change of a score by merging, in standard deviations of the
    scores; ``reason`` why it does not hold."""

    head: str
    medium: str
    feedback: str
    verdict: Verdict
    figure: str = ""
    untrained: float | None = None
    trained: float | None = None
    reloaded: bool | None = None
    merged: float | None = None
    reason: str = ""
    cpu_seconds: float = 0.0

    @property
    def cell(self) -> Cell:
        """Which cell it is of."""
        return Cell(self.head, self.medium, self.feedback)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {**asdict(self), "verdict": str(self.verdict)}


FACTORS: tuple[tuple[str, ...], ...] = (tuple(WAYS), tuple(MEDIA), tuple(SHAPES))


def cells() -> list[Cell]:
    """All cells."""
    return [Cell(*values) for values in product(*FACTORS)]


def covering(factors: Sequence[Sequence[str]] = FACTORS) -> list[tuple[str, ...]]:
    """Rows, one value a factor, in which every pair of values of two factors occurs: greedily few.

    The row with the most pairs that are not covered yet is taken next, of equals the first. Source: Cohen et al., The
    AETG system, IEEE Transactions on Software Engineering 1997.
    """
    rows = list(product(*factors))
    pairs = {row: set(combinations(enumerate(row), 2)) for row in rows}
    missing = set[Any]().union(*pairs.values())
    chosen: list[tuple[str, ...]] = []
    while missing:
        best = max(rows, key=lambda row: len(pairs[row] & missing))
        missing -= pairs[best]
        chosen.append(best)
    return chosen


def covering_cells() -> list[Cell]:
    """The cells of `covering`, in the order of `cells`."""
    chosen = {Cell(*row) for row in covering()}
    return [cell for cell in cells() if cell in chosen]


@final
@dataclass(frozen=True, slots=True)
class Effort:
    """How long cells learn and how much they are tested on."""

    records: int = 96
    held_out: int = 32
    batch: int = 16
    acquaintance: int = 100
    adapter_steps: int = 3
    seed: int = 0

    def settings(self, way: Way, steps: int, lora: Lora | None = None) -> Settings:
        """As many steps at the rates of a way."""
        return Settings(
            budget=Steps(steps),
            schedule=Constant(),
            batch=self.batch,
            learning_rate=way.learning_rate,
            head_learning_rate=way.head_learning_rate,
            lora=lora,
            seed=self.seed,
        )


def acquainted(backbone: Backbone, medium: str, effort: Effort | None = None) -> Backbone:
    """The backbone after it was taught, at every step of every response, whether it is right and kind: what
    pretraining is to a model of use. Rewards of a medium start from a copy of it; their heads have learned nothing."""
    chosen = effort or Effort()
    taught = samples(MEDIA[medium], SHAPES["step labels"], two, 4 * chosen.records, 1000 + chosen.seed, "taught")
    reward = LearnedReward(backbone, StepHead(backbone.hidden_size, classes=4), read=step_ends)
    train(
        reward,
        [_both(sample) for sample in taught],
        on_spans(classification),
        chosen.settings(WAYS["step"], chosen.acquaintance),
    )
    return backbone


def _both(sample: Sample) -> Record:
    """The record with a class at each step: 2 where it is right, and 1 more where it is kind."""
    spans = as_spans(sample.record).feedback
    found: list[SpanLabels] = []
    for response in range(len(sample.record.responses)):
        by = {item.criterion: item for item in spans if isinstance(item, SpanLabels) and item.response == response}
        held = zip(by["right"].spans, by["kind"].spans, strict=True)
        classes = [Span(a.start, a.end, a.label, 2.0 * (a.value or 0.0) + (b.value or 0.0)) for a, b in held]
        found.append(SpanLabels(response, tuple(classes)))
    return replace(sample.record, feedback=tuple(found))


BackboneOf: TypeAlias = Callable[[str], Backbone]
"""A medium to an `acquainted` backbone."""


def measure(cell: Cell, backbone_of: BackboneOf, effort: Effort | None = None) -> Row:
    """Train, test, save, reload and merge one cell. An error is its reason, not an end of the matrix."""
    started = time.process_time()
    try:
        row = _measured(cell, backbone_of(cell.medium), effort or Effort())
    except Exception as error:  # noqa: BLE001 - whatever is raised is what the table says of this cell
        reason = f"{type(error).__name__}: {error}"
        row = Row(cell.head, cell.medium, cell.feedback, Verdict.REFUSED, reason=reason)
    return replace(row, cpu_seconds=round(time.process_time() - started, 2))


def _measured(cell: Cell, backbone: Backbone, effort: Effort) -> Row:
    way, shape, telling = WAYS[cell.head], SHAPES[cell.feedback], MEDIA[cell.medium]
    learned = samples(telling, shape, way.ask, effort.records, effort.seed)
    held_out = samples(telling, shape, way.ask, effort.held_out, effort.seed + 500)
    records, asked = way.learn([each.record for each in learned]), [each.record for each in held_out]
    supervision = way.supervisions[cell.feedback]
    own = backbone.with_module(copy.deepcopy(backbone.module))
    copies = [way.make(own, cell.feedback, seed) for seed in range(1, COPIES + 1)]
    untrained = sum(_figure(cell, each, held_out, way.use(each)(asked)) for each in copies) / COPIES
    reward = way.make(own, cell.feedback, effort.seed)
    reward = train(reward, records, supervision, effort.settings(way, way.steps)).reward
    scores = way.use(reward)(asked)
    if odd := [status for status in scores.status if status is not Status.OK]:
        return _row(cell, Verdict.ABSTAINED, reason=f"{len(odd)} of {len(scores)} responses: {odd[0]}")
    trained = _figure(cell, reward, held_out, scores)
    reloaded = _reloads(reward, way, scores, asked)
    tuning = effort.settings(way, effort.adapter_steps, Lora(rank=4, alpha=8.0, merge=False))
    adapted = train(reward, records[: effort.batch * effort.adapter_steps], supervision, tuning).reward
    apart = way.use(adapted)(asked)
    together = way.use(merged(adapted))(asked)
    moved, difference = _difference(scores, apart), _difference(apart, together)
    verdict, reason = _judged(cell, untrained, trained, reloaded, moved, difference)
    return _row(
        cell,
        verdict,
        figure=_figure_of(cell)[0],
        untrained=round(untrained, 3),
        trained=round(trained, 3),
        reloaded=reloaded,
        merged=float(f"{difference:.1e}"),
        reason=reason,
    )


def _row(cell: Cell, verdict: Verdict, **measured: Any) -> Row:
    return Row(cell.head, cell.medium, cell.feedback, verdict, **measured)


def _figure_of(cell: Cell) -> tuple[str, float]:
    """Its name, and what is to be reached."""
    if cell.feedback in STEPWISE and WAYS[cell.head].by_steps is not None:
        return STEP_ACCURACY, STEP_FLOOR
    return FIGURES[cell.feedback].name, FIGURES[cell.feedback].floor


def _figure(cell: Cell, reward: LearnedReward, held_out: Sequence[Sample], scores: Scores) -> float:
    way = WAYS[cell.head]
    if cell.feedback not in STEPWISE or way.by_steps is None:
        return FIGURES[cell.feedback].of(held_out, scores)
    return evaluate(reward, way.learn([sample.record for sample in held_out]), way.by_steps)["accuracy"]


def _reloads(reward: LearnedReward, way: Way, scores: Scores, asked: Sequence[Record]) -> bool:
    """Whether it is saved, and scores the same to the last bit when it is loaded."""
    with TemporaryDirectory() as folder:
        again = LearnedReward.load(reward.save(Path(folder) / "reward"))
        return reward.fingerprint() == again.fingerprint() and _same(scores, way.use(again)(asked))


def _same(one: Scores, other: Scores) -> bool:
    """Whether two scores are equal to the last bit in every column."""
    if (one.status, one.critiques, one.step_status) != (other.status, other.critiques, other.step_status):
        return False
    if set(one.attributes) != set(other.attributes):
        return False
    pairs = [(one.values, other.values), (one.std, other.std)]
    pairs += [(column, other.attributes[name]) for name, column in one.attributes.items()]
    pairs += list(zip(one.steps or (), other.steps or (), strict=True))
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def _difference(one: Scores, other: Scores) -> float:
    """The largest difference of two scores, in standard deviations of the first."""
    return float((one.values - other.values).abs().max() / one.values.std())


def _judged(
    cell: Cell, untrained: float, trained: float, reloaded: bool, moved: float, merged_by: float
) -> tuple[Verdict, str]:
    name, floor = _figure_of(cell)
    if not (trained >= floor and trained - untrained >= GAIN):
        return Verdict.NO_GAIN, f"{name} {trained:.3f} after training, {untrained:.3f} without; {floor} is needed"
    if not reloaded:
        return Verdict.RELOADED_OTHERWISE, "the scores of the loaded reward are not those of the saved one"
    if not moved > 10 * MERGE_TOLERANCE:
        return Verdict.MERGED_OTHERWISE, f"training adapters moved no score by more than {moved:.1e}"
    if not merged_by <= MERGE_TOLERANCE:
        return Verdict.MERGED_OTHERWISE, f"merging moved a score by {merged_by:.1e} standard deviations"
    return Verdict.HOLDS, ""
