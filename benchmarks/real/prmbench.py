"""PRMBench: which steps of a solution are wrong, scored all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from assay.benchmarks.prmbench import Counts, Result, fit_threshold, prmbench
from assay.metrics import Floats, Ints
from assay.models.heads import StepHead
from assay.models.reading import step_ends
from assay.objectives.stepwise import binary_cross_entropy
from assay.records import Record, StepLabels, read
from assay.rewards.base import scores_of
from assay.rewards.learned import LearnedReward
from assay.scores import Scores
from assay.training.probe import Reads, fit_head, scores_of_reads
from assay.training.supervision import supervise
from real import floors
from real.backbone import frozen, read_all
from real.frame import ABOVE, Bools, Figure, Measured, Place, Split, compared, crossed, timed

FOLDER = "step-prmbench"
LAYERS = 12
FOLDS, INNER = 3, 3
DECAYS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)

Fresh: TypeAlias = Callable[[], LearnedReward]


def measure(place: Place) -> Measured:
    """The official PRMScore on questions of which no solution was learned from."""
    records = solutions(place.folder(FOLDER, "the *.jsonl of github.com/ssmisya/PRMBench"))
    split = crossed(
        f"{FOLDS} folds by original question over the solutions of all classes",
        [record.id for record in records],
        [question(record) for record in records],
        folds=FOLDS,
        seed=place.seed,
    )
    spent: dict[str, float] = {}
    with timed(spent, "states"):
        backbone = frozen(place, LAYERS)

        def fresh() -> LearnedReward:
            head = StepHead(backbone.hidden_size, seed=place.seed)
            return LearnedReward(backbone, head, read=step_ends, token_budget=8_192)

        reads = read_all(place, fresh(), records, "prmbench")
    ours, floor = np.zeros((len(records), 4)), np.zeros((len(records), 4))
    folds: list[dict[str, Any]] = []
    for number, learned, asked in split.each():
        held = some(records, asked)
        with timed(spent, "floor"):
            said, scores = _floor(records, split, learned, asked, place.seed)
            floor[asked] = counted(said, scores, held)
        with timed(spent, "head"):
            found, scores, told = _ours(reads, split, learned, asked, fresh, place.seed)
            ours[asked] = counted(found, scores, held)
        folds.append(told | {"ours": found.to_dict(), "floor": said.to_dict()})
        place.say(f"prmbench, fold {number + 1}: {100 * found.score:.1f}, floor {100 * said.score:.1f}, {told}")
    first, second, gap = compared(score, ours, floor, split.unit)
    figure = Figure(
        "PRMScore", first, second, gap, ABOVE,
        reward=f"a linear head on the state at the end of each step, the whole solution up to it in front, {LAYERS} "
        "frozen layers of SmolLM2-135M, its decay and threshold chosen in inner folds",
        floor_is="balanced logistic regression on TF-IDF of words and pairs of words of the step, its threshold chosen "
        "in inner folds",
        scale=100, details={"folds": folds, "classes": classes(records, ours, floor)},
    )  # fmt: skip
    return Measured(
        "Right and wrong steps of solutions (PRMBench)", FOLDER, "github.com/ssmisya/PRMBench, Apache-2.0", split,
        [figure], spent,
    )  # fmt: skip


def solutions(folder: Path) -> list[Record]:
    """The modified solution of every row, once for each class and source."""
    found: dict[tuple[str, str], Record] = {}
    for path in sorted(folder.glob("*.jsonl*")):
        for record in read(path):
            labels = tuple([item for item in record.feedback if isinstance(item, StepLabels) and item.response == 0])
            key = (str(record.context.get("classification", "")), str(record.context.get("idx", record.id)))
            if labels and labels[0].labels:
                kept = replace(record, id="/".join(key), responses=record.responses[:1], feedback=labels)
                found.setdefault(key, kept)
    return list(found.values())


def classes(records: Sequence[Record], ours: Floats, floor: Floats) -> dict[str, dict[str, float]]:
    """PRMScore of each kind of error; the kind without errors has none."""
    kinds = np.array([str(record.context.get("classification", "")) for record in records])
    rows = {kind: np.flatnonzero(kinds == kind) for kind in sorted(set(kinds.tolist()))}
    return {
        kind: {"solutions": float(own.size), "ours": score(ours, own), "floor": score(floor, own)}
        for kind, own in rows.items()
        if ours[own][:, 1:3].sum() > 0
    }


def question(record: Record) -> str:
    """The question as it was before it was modified."""
    return str(record.context.get("original_question") or record.prompt[0].text)


def labels_of(record: Record) -> list[bool]:
    """Whether each step is right."""
    (labels,) = [item for item in record.feedback if isinstance(item, StepLabels)]
    return [float(label or 0.0) >= 0.5 for label in labels.labels]


def steps_of(record: Record) -> list[str]:
    """The text of each step."""
    (response,) = record.responses
    ends = [end.offset or 0 for end in response.step_ends]
    return [response.text[first:last].strip() for first, last in zip([0, *ends], ends, strict=False)]


def counted(result: Result, scores: Scores, records: Sequence[Record]) -> Floats:
    """``[records, 4]``: steps of each solution by what they are and were called, as in `Counts`."""
    assert scores.steps is not None
    rows: list[list[int]] = []
    for said, record in zip(scores.steps, records, strict=True):
        pairs = list(zip(labels_of(record), [float(value) > result.threshold for value in said], strict=True))
        rows.append([pairs.count(kind) for kind in ((True, True), (False, True), (False, False), (True, False))])
    counts = np.array(rows, dtype=np.float64)
    assert Counts(*counts.sum(0).astype(int).tolist()) == result.total, "the official figures count the same steps"
    return counts


def score(counts: Floats, rows: Ints) -> float:
    """PRMScore of some solutions, with the steps of all of them pooled."""
    return Counts(*counts[rows].sum(0).astype(int).tolist()).score


def _ours(
    reads: Reads, split: Split, learned: Bools, asked: Bools, fresh: Fresh, seed: int
) -> tuple[Result, Scores, dict[str, Any]]:
    """Official figures, the scores they are of, and what was chosen."""
    training, held = reads.only(np.flatnonzero(learned)), reads.only(np.flatnonzero(asked))
    by = supervise(binary_cross_entropy)
    reward, inner = fresh(), inner_folds(split, learned, seed)
    fitted = fit_head(reward, training, by, decay=DECAYS, fold=inner)
    parts: list[Scores] = []
    for number in range(INNER):
        part = fresh()
        fit_head(part, training.only(np.flatnonzero(inner != number)), by, decay=fitted.decay)
        parts.append(scores_of_reads(part, training.only(np.flatnonzero(inner == number))))
    order = [record for number in range(INNER) for record in some(training.records, inner == number)]
    threshold = fit_threshold(Scores.concatenate(parts), order)
    scores = scores_of_reads(reward, held)
    return (
        prmbench(scores, held.records, threshold=threshold),
        scores,
        {"decay": fitted.decay, "held_out": fitted.held_out},
    )


def _floor(records: Sequence[Record], split: Split, learned: Bools, asked: Bools, seed: int) -> tuple[Result, Scores]:
    training, held, inner = some(records, learned), some(records, asked), inner_folds(split, learned, seed)
    parts = [_words(some(training, inner != n), some(training, inner == n)) for n in range(INNER)]
    order = [record for number in range(INNER) for record in some(training, inner == number)]
    threshold = fit_threshold(Scores.concatenate(parts), order)
    scores = _words(training, held)
    return prmbench(scores, held, threshold=threshold), scores


def _words(training: Sequence[Record], held: Sequence[Record]) -> Scores:
    """The floor's scores of the steps of some solutions, fitted on others; 0..1."""
    said = [step for record in training for step in steps_of(record)]
    odds = floors.steps(said, [label for record in training for label in labels_of(record)])
    steps = [torch.from_numpy(1 / (1 + np.exp(-odds(steps_of(record))))).float() for record in held]
    return scores_of(held, [float(each.min()) for each in steps], steps=tuple(steps))


def inner_folds(split: Split, learned: Bools, seed: int) -> Ints:
    """``[learned]``: the inner fold of each solution that is learned from, by question."""
    unit = split.unit[learned]
    return np.random.default_rng(seed).permutation(int(split.unit.max()) + 1)[unit] % INNER


def some(records: Sequence[Record], chosen: Bools) -> list[Record]:
    """The records that are chosen."""
    return [records[index] for index in np.flatnonzero(chosen).tolist()]
