"""Pairs of answers judged by a Bradley-Terry head on a frozen language model, beside logistic regression on words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.benchmarks.base import pairs_of, values_of
from assay.metrics import Floats, Ints
from assay.models.heads import ScalarHead
from assay.models.heads.pooling import mean_of_reads
from assay.models.reading import every_response_token
from assay.objectives.pairwise import bradley_terry
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.training.probe import fit_head, scores_of_reads
from assay.training.supervision import supervise
from real import floors
from real.backbone import LAYERS, frozen, read_all
from real.frame import Figure, Goal, Place, Split, of_outcomes, timed


def judged(
    place: Place,
    name: str,
    records: Sequence[Record],
    split: Split,
    goal: Goal,
    spent: dict[str, float],
    *,
    layers: int = LAYERS,
    slices: Sequence[str] = (),
) -> Figure:
    """The share of pairs right, all folds together; ``split`` is of ``records``, and ``slices`` are their names."""
    with timed(spent, "states"):
        backbone = frozen(place, layers)

        def fresh() -> LearnedReward:
            head = ScalarHead(backbone.hidden_size, pool=mean_of_reads, seed=place.seed)
            return LearnedReward(backbone, head, read=every_response_token, token_budget=8_192)

        reads = read_all(place, fresh(), records, name)
    ours: list[Floats] = []
    floor: list[Floats] = []
    row: list[Ints] = []
    decays: list[float] = []
    for number, learned, asked in split.each():
        training = [records[index] for index in np.flatnonzero(learned).tolist()]
        held = [records[index] for index in np.flatnonzero(asked).tolist()]
        pairs = pairs_of(held)
        with timed(spent, "head"):
            reward = fresh()
            fitted = fit_head(
                reward, reads.only(np.flatnonzero(learned)), supervise(bradley_terry), fold=split.unit[learned] % 3
            )
            ours.append(pairs.outcomes(values_of(reward, scores_of_reads(reward, reads.only(np.flatnonzero(asked))))))
        with timed(spent, "floor"):
            floor.append(pairs.outcomes(floors.pairwise(training)(held)))
        row.append(np.flatnonzero(asked)[pairs.record])
        decays.append(fitted.decay)
        place.say(f"{name}, fold {number + 1}: {100 * float(np.nanmean(ours[-1])):.1f} %, decay {fitted.decay:g}")
    right, theirs, rows = np.concatenate(ours), np.concatenate(floor), np.concatenate(row)
    mine, other, gap = of_outcomes(right, theirs, split.unit[rows])
    named = np.array(slices)[rows] if slices else np.array([])
    return Figure(
        "pairs right", mine, other, gap, goal,
        reward=f"a linear Bradley-Terry head on the mean state of the answer's tokens, {layers} frozen layers of "
        "SmolLM2-135M, its decay chosen in inner folds",
        floor_is="logistic regression on TF-IDF of words and pairs of words, and the logarithm of the length",
        scale=100,
        details={
            "folds": [float(np.nanmean(each)) for each in ours],
            "floor_folds": [float(np.nanmean(each)) for each in floor],
            "decays": decays,
            "abstained": int(np.isnan(right).sum()),
            "slices": {
                str(each): {
                    "pairs": int((named == each).sum()),
                    "ours": float(np.nanmean(right[named == each])),
                    "floor": float(np.nanmean(theirs[named == each])),
                }
                for each in sorted(set(named.tolist()))
            },
        },
    )  # fmt: skip
