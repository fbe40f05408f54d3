"""MJ-Bench quality pairs: a generated picture, and the same with a distortion painted into it."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay import metrics
from assay.benchmarks.base import pairs_of
from assay.media import Image
from assay.metrics import Floats
from assay.records import Record, read
from assay.rewards.base import score
from assay.rewards.rules.picture import picture_statistics
from assay.scores import Scores
from assay.training.features import fit_network
from real.frame import REPORTED, Figure, Measured, Place, crossed, of_outcomes, timed
from real.sharpness import sharpness, standardised

FOLDER = "t2i-mjbench-quality-objects"


def measure(place: Place) -> Measured:
    """Each pair judged by a reward and a floor that were fitted without its caption."""
    folder = place.folder(FOLDER, "quality/objects_indoor of github.com/MJ-Bench/MJ-Bench")
    records = [record for record in read(folder / "pairs.jsonl") if _differ(record)]
    captions = [record.prompt[0].text for record in records]
    split = crossed("five folds by caption", [record.id for record in records], captions, seed=place.seed)
    spent: dict[str, float] = {}
    with timed(spent, "attributes"):
        seen = score(picture_statistics(), records)
    with timed(spent, "floor's attributes"):
        given = np.array([[sharpness(_picture(record, row).pil()) for row in (0, 1)] for record in records])
    mine, other = np.full(len(records), np.nan), np.full(len(records), np.nan)
    for _, learned, asked in split.each():
        training = [records[index] for index in np.flatnonzero(learned)]
        held = [records[index] for index in np.flatnonzero(asked)]
        rows = [np.repeat(each, 2).nonzero()[0].tolist() for each in (learned, asked)]
        with timed(spent, "fit"):
            network = fit_network(_members(seen[rows[0]]), training, seed=place.seed)
            mine[asked] = pairs_of(held).outcomes(metrics.floats(network(_members(seen[rows[1]])).values))
        with timed(spent, "floor"):
            other[asked] = pairs_of(held).outcomes(_floor(records, given, learned)[asked].ravel())
    outcomes = of_outcomes(mine, other, split.unit)
    figure = Figure(
        "pairs right", *outcomes, REPORTED,
        reward=f"a network of 8 hidden units on {len(seen.attributes)} measures of the picture (picture_statistics), "
        "Bradley-Terry",
        floor_is="logistic regression on five measures of sharpness",
        scale=100,
    )  # fmt: skip
    return Measured(
        "Distorted pictures (MJ-Bench, quality of objects)", FOLDER, "github.com/MJ-Bench/MJ-Bench, MIT", split,
        [figure], spent,
        notes="in every pair the distorted picture is the smoother one, so that sharpness alone tells them: this set "
        "says nothing about seeing distortions",
    )  # fmt: skip


def _picture(record: Record, row: int) -> Image:
    return next(p for m in record.responses[row].messages for p in m.parts if isinstance(p, Image))


def _differ(record: Record) -> bool:
    return _picture(record, 0) != _picture(record, 1)


def _members(scores: Scores) -> list[Scores]:
    """One reward's scores for each attribute."""
    return [scores.replace(values=column, attributes={}) for column in scores.attributes.values()]


def _floor(records: list[Record], given: Floats, learned: Any) -> Floats:
    """``[pairs, 2]``: the score of either picture."""
    from sklearn.linear_model import LogisticRegression

    flat = standardised(given.reshape(-1, given.shape[-1]), np.repeat(learned, 2))
    pairs = pairs_of(records)
    gap = (flat[pairs.better] - flat[pairs.worse])[learned]
    model: Any = LogisticRegression(fit_intercept=False)
    model.fit(np.concatenate([gap, -gap]), np.repeat([1, 0], len(gap)))
    return np.asarray(flat @ model.coef_[0], dtype=np.float64).reshape(-1, 2)
