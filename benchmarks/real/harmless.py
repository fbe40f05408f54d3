"""Harmless pairs of hh-rlhf: which of two answers people found less harmful."""

from __future__ import annotations

from assay.benchmarks.base import clusters
from assay.records import read
from real.frame import ABOVE, Measured, Place, crossed
from real.pairs import judged

FOLDER = "text-pairs-hh-harmless-test"


def measure(place: Place) -> Measured:
    """Each pair judged by a reward and a floor that were fitted without its fold."""
    records = list(read(place.folder(FOLDER, "github.com/anthropics/hh-rlhf, harmless-base/test.jsonl.gz")))
    split = crossed(
        "five folds over all pairs, pairs with one prompt in one fold",
        [record.id for record in records], clusters(records).tolist(), seed=place.seed,
    )  # fmt: skip
    spent: dict[str, float] = {}
    figure = judged(place, "harmless", records, split, ABOVE, spent)
    return Measured(
        "Harmless answers (hh-rlhf, harmless-base test)", FOLDER, "github.com/anthropics/hh-rlhf, MIT", split,
        [figure], spent, notes="Offensive text by design; only figures are printed.",
    )  # fmt: skip
