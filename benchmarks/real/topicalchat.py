"""Topical-Chat ratings: six dimensions of 360 answers, each the mean of three raters."""

from __future__ import annotations

import numpy as np

from assay import metrics
from assay.metrics import Floats
from assay.models.heads import AttributeHead
from assay.models.heads.pooling import mean_of_reads
from assay.models.reading import every_response_token
from assay.objectives.pointwise import squared_error
from assay.records import Rating, Record, read
from assay.rewards.learned import LearnedReward
from assay.training.probe import fit_head, scores_of_reads
from assay.training.supervision import supervise
from real import floors
from real.backbone import LAYERS, frozen, read_all
from real.frame import ABOVE, REPORTED, Figure, Measured, Place, compared, crossed, spearman_to, timed

FOLDER = "text-ratings-topicalchat"
OVERALL = "overall"


def measure(place: Place) -> Measured:
    """Each answer rated by a reward and a floor that were fitted without its dialogue."""
    records = list(read(place.folder(FOLDER, "topical_chat_result.json of github.com/maszhongming/UniEval")))
    names = sorted({str(item.criterion) for record in records for item in record.feedback if isinstance(item, Rating)})
    unit = np.repeat(np.arange(len(records)), [len(record.responses) for record in records])
    ids = [record.response_id(row) for record in records for row in range(len(record.responses))]
    split = crossed("five folds by dialogue", ids, unit.tolist(), seed=place.seed)
    truth = {name: ratings(records, name) for name in names}
    ours, floor = ({name: np.full(len(ids), np.nan) for name in names} for _ in range(2))
    spent: dict[str, float] = {}
    backbone = frozen(place)

    def fresh() -> LearnedReward:
        weights = [float(name == OVERALL) for name in names]
        head = AttributeHead(backbone.hidden_size, names, weights=weights, pool=mean_of_reads, seed=place.seed)
        return LearnedReward(backbone, head, read=every_response_token, token_budget=8_192)

    with timed(spent, "states"):
        reads = read_all(place, fresh(), records, "topicalchat")
    decays: list[float] = []
    for _, learned, asked in split.each():
        learn, ask = (np.flatnonzero([rows[unit == n].all() for n in range(len(records))]) for rows in (learned, asked))
        training, held = ([records[n] for n in numbers] for numbers in (learn, ask))
        with timed(spent, "head"):
            reward = fresh()
            fitted = fit_head(reward, reads.only(learn), supervise(squared_error))
            scores = scores_of_reads(reward, reads.only(ask))
            for name in names:
                ours[name][asked] = metrics.floats(scores.attributes[name])
            decays.append(fitted.decay)
        with timed(spent, "floor"):
            for name in names:
                floor[name][asked] = floors.rated(training, truth[name][learned])(held)
    said = {
        name: np.array([float(one.get(name, np.nan)) for record in records for one in record.context["predict_scores"]])
        for name in names
    }
    figures: list[Figure] = []
    for name in sorted(names, key=lambda each: (each != OVERALL, each)):
        mine, other, gap = compared(spearman_to(truth[name]), ours[name], floor[name], unit)
        unieval = None if np.isnan(said[name]).any() else metrics.spearman(said[name], truth[name])
        figures.append(
            Figure(
                f"{name}, Spearman", mine, other, gap, ABOVE if name == OVERALL else REPORTED,
                reward="a linear head of six dimensions (least squares) on the mean state of the answer's tokens, "
                f"facts and dialogue in front, {LAYERS} frozen layers of SmolLM2-135M, its decay chosen in inner folds",
                floor_is="ridge regression on TF-IDF of words and pairs of words, overlap with facts and dialogue, and "
                "the logarithm of the length",
                details={"decays": decays, "unieval": unieval},
            )
        )  # fmt: skip
    return Measured(
        "Ratings of answers in dialogue (Topical-Chat)", FOLDER,
        "ratings of Mehri and Eskenazi 2020 as in github.com/maszhongming/UniEval, MIT", split, figures, spent,
    )  # fmt: skip


def ratings(records: list[Record], name: str) -> Floats:
    """``[responses]``: the rating under one dimension."""
    found: list[float] = []
    for record in records:
        said = [item for item in record.feedback if isinstance(item, Rating) and item.criterion == name]
        own = {item.response: item.value for item in said}
        found += [own.get(row, float("nan")) for row in range(len(record.responses))]
    return np.array(found)
