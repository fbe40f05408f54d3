"""FETV ratings: how good the films of four text-to-video models are."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay import metrics
from assay.media import Video
from assay.metrics import Floats
from assay.models.frames import EIGHT
from assay.records import Rating, Record, read
from assay.records.formats.fetv import CRITERIA
from assay.rewards.base import score
from assay.rewards.rules.picture import film_statistics
from assay.transforms.kernel import fit_kernel
from real.frame import REPORTED, Figure, Measured, Place, compared, crossed, spearman_to, timed
from real.sharpness import sharpness, standardised

FOLDER = "video-fetv-ratings"
NAMES = {"SQ": "static quality", "TQ": "temporal quality", "Alignment": "alignment"}


def measure(place: Place) -> Measured:
    """Each film rated by a reward and a floor that were fitted without its prompt."""
    records = list(read(place.folder(FOLDER, "generated_video_examples of github.com/llyx97/FETV") / "ratings.jsonl"))
    unit = np.repeat(np.arange(len(records)), [len(record.responses) for record in records])
    ids = [record.response_id(row) for record in records for row in range(len(record.responses))]
    prompts = [record.prompt[0].text for record in records]
    split = crossed("five folds by prompt", ids, [prompts[number] for number in unit.tolist()], seed=place.seed)
    spent: dict[str, float] = {}
    with timed(spent, "attributes"):
        seen = score(film_statistics(), records)
    with timed(spent, "floor's attributes"):
        given = np.array([_sharp(record, row) for record in records for row in range(len(record.responses))])
    figures: list[Figure] = []
    for criterion in CRITERIA:
        truth = np.concatenate([_ratings(record, criterion) for record in records])
        known = np.isfinite(truth)
        mine, other = np.full(len(ids), np.nan), np.full(len(ids), np.nan)
        for _, learned, asked in split.each():
            rows = np.flatnonzero(learned)
            training = [records[number] for number in np.unique(unit[rows]).tolist()]
            with timed(spent, "fit"):
                fitted = fit_kernel(seen[rows.tolist()], training, criterion=criterion)
                mine[asked] = metrics.floats(fitted(seen[np.flatnonzero(asked).tolist()]).values)
            with timed(spent, "floor"):
                other[asked] = _floor(given, truth, learned & known)[asked]
        kept = known & np.isfinite(mine)
        ours = compared(spearman_to(truth[kept]), mine[kept], other[kept], split.unit[kept])
        figures.append(
            Figure(
                f"{NAMES[criterion]}, Spearman", *ours, REPORTED,
                reward=f"kernel ridge regression on {len(seen.attributes)} measures of eight frames (film_statistics), "
                "width and decay chosen by leaving out one prompt of those learned from",
                floor_is="ridge regression (alpha 1) on five measures of sharpness, the mean over eight frames",
                details={"rated": int(known.sum()), "judged": int(kept.sum())},
            )
        )  # fmt: skip
    return Measured(
        "Ratings of generated films (FETV)", FOLDER,
        "Liu et al. 2023, github.com/llyx97/FETV, CC-BY-4.0", split, figures, spent,
        notes="56 to 60 films a dimension; neither reward reads the prompt, so alignment is what looks go with it",
    )  # fmt: skip


def _ratings(record: Record, criterion: str) -> Floats:
    """``[responses]``, NaN where it is not rated."""
    own = {r.response: r.value for r in record.feedback if isinstance(r, Rating) and r.criterion == criterion}
    return np.array([own.get(row, np.nan) for row in range(len(record.responses))], dtype=np.float64)


def _sharp(record: Record, row: int) -> list[float]:
    film = next(part for m in record.responses[row].messages for part in m.parts if isinstance(part, Video))
    frames = np.array([sharpness(frame) for frame in film.at(EIGHT.of(film).numbers)])
    return [float(each) for each in frames.mean(0)]


def _floor(given: Floats, truth: Floats, learned: Any) -> Floats:
    from sklearn.linear_model import Ridge

    inputs = standardised(given, learned)
    model: Any = Ridge(alpha=1.0).fit(inputs[learned], truth[learned])
    return np.asarray(model.predict(inputs), dtype=np.float64)
