"""Harmless pairs of hh-rlhf: which of two answers people found less harmful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay import metrics
from assay.benchmarks.base import clusters, pairs_of
from assay.metrics import Floats
from assay.models.heads import ScalarHead
from assay.models.heads.pooling import mean_of_reads
from assay.models.reading import every_response_token
from assay.objectives.pairwise import bradley_terry
from assay.records import Record, read
from assay.rewards.learned import LearnedReward
from assay.training.probe import fit_head, scores_by_states
from assay.training.supervision import supervise
from real import floors
from real.backbone import LAYERS, frozen, read_all, store_of
from real.frame import ABOVE, Figure, Measured, Place, Split, crossed, of_outcomes, timed

FOLDER = "text-pairs-hh-harmless-test"


def measure(place: Place) -> Measured:
    """Each pair judged by a reward and a floor that were fitted without its fold."""
    records = list(read(place.folder(FOLDER, "github.com/anthropics/hh-rlhf, harmless-base/test.jsonl.gz")))
    unit = clusters(records)
    split = crossed(
        "five folds over all pairs, pairs with one prompt in one fold",
        [record.id for record in records],
        unit.tolist(),
        seed=place.seed,
    )
    spent: dict[str, float] = {}
    with timed(spent, "floor"):
        floor = _floor(records, split)
    with timed(spent, "states"):
        backbone, store = frozen(place), store_of(place, "harmless")
        reward = LearnedReward(
            backbone,
            ScalarHead(backbone.hidden_size, pool=mean_of_reads, seed=place.seed),
            read=every_response_token,
            token_budget=8_192,
        )
        read_all(place, reward, records, store)
    right = np.full(len(records), np.nan)
    decays: list[float] = []
    with timed(spent, "head"):
        for number, learned, asked in split.each():
            training = [records[index] for index in np.flatnonzero(learned)]
            inner = split.unit[learned] % 3
            fitted = fit_head(reward, training, supervise(bradley_terry), fold=inner, states=store)
            held = [records[index] for index in np.flatnonzero(asked)]
            right[asked] = pairs_of(held).outcomes(metrics.floats(scores_by_states(reward, held, store).values))
            decays.append(fitted.decay)
            place.say(f"fold {number + 1}: {100 * float(np.nanmean(right[asked])):.1f} %, decay {fitted.decay:g}")
    ours, theirs, gap = of_outcomes(right, floor, unit)
    details: dict[str, Any] = {
        "folds": [float(np.nanmean(right[asked])) for _, _, asked in split.each()],
        "floor_folds": [float(np.nanmean(floor[asked])) for _, _, asked in split.each()],
        "decays": decays,
        "abstained": int(np.isnan(right).sum()),
    }
    figure = Figure(
        "pairs right", ours, theirs, gap, ABOVE,
        reward=f"a linear Bradley-Terry head on the mean state of the answer's tokens, {LAYERS} frozen layers of "
        "SmolLM2-135M, its decay chosen in inner folds",
        floor_is="logistic regression on TF-IDF of words and pairs of words, and the logarithm of the length",
        scale=100, details=details,
    )  # fmt: skip
    return Measured(
        "Harmless answers (hh-rlhf, harmless-base test)", FOLDER, "github.com/anthropics/hh-rlhf, MIT", split,
        [figure], spent, notes="Offensive text by design; only figures are printed.",
    )  # fmt: skip


def _floor(records: Sequence[Record], split: Split) -> Floats:
    """``[pairs]``: 1 right, 0 wrong, .5 a tie."""
    right = np.full(len(records), np.nan)
    for _, learned, asked in split.each():
        score = floors.pairwise([records[index] for index in np.flatnonzero(learned)])
        held = [records[index] for index in np.flatnonzero(asked)]
        right[asked] = pairs_of(held).outcomes(score(held))
    return right
