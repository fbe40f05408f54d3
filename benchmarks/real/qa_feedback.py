"""Fine-Grained RLHF qa_feedback: which of two answers over passages people preferred."""

from __future__ import annotations

from assay.records import read
from real.frame import REPORTED, Measured, Place, crossed
from real.pairs import judged

FOLDER = "text-finegrained-qa-feedback"
LAYERS = 6


def measure(place: Place) -> Measured:
    """All decided pairs of four answers, by question."""
    records = list(read(place.folder(FOLDER, "dev_feedback.json of github.com/allenai/FineGrainedRLHF")))
    ids = [record.id for record in records]
    split = crossed("five folds by question", ids, ids, seed=place.seed)
    spent: dict[str, float] = {}
    figure = judged(place, "qa_feedback", records, split, REPORTED, spent, layers=LAYERS)
    return Measured(
        "Answers over passages (Fine-Grained RLHF)", FOLDER, "github.com/allenai/FineGrainedRLHF, Apache-2.0", split,
        [figure], spent, notes="Ties of the raters are learned from as even pairs and not asked about.",
    )  # fmt: skip
