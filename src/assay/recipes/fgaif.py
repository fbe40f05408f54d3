"""FGAIF: a reward for each segment of an answer, from three models of three kinds of hallucination.

Each model reads the end of every segment and says whether what the segment tells of objects, of attributes or of
relations is wrong, absent or right; the three numbers are summed and given to a policy at the segment they are of, not
at the end of the answer::

    L_kind = -mean_s log softmax(W h_s)[label_s]        r_s = sum_kind w_kind r_kind,s - beta KL_s

Deviation: the paper's policy training (its source was not published) is not here; a number at each segment is in
``Scores.steps``.

Reference: Jing and Du, "FGAIF: Aligning Large Vision-Language Models with Fine-grained AI Feedback", 2024, arXiv
2404.05046.
"""

from __future__ import annotations

from functools import partial

from assay.models.heads import StepHead
from assay.models.heads.aggregate import mean
from assay.models.reading import step_ends
from assay.objectives.stepwise import classification
from assay.records.record import Feedback
from assay.training.budgets import Epochs
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise

KINDS = ("object", "attribute", "relation")


def fgaif(kind: str = "object") -> Training:
    """One of the three models: ``StepLabels`` whose criterion is ``kind``, 0 wrong, .5 says nothing of it, 1 right, a
    label a segment (mark segments as steps). Train one for each of `KINDS` and add them up:
    ``combine(*three, by=weighted_sum(1, 1, 1))``."""

    def of_kind(item: Feedback) -> bool:
        return item.criterion == kind

    settings = Settings(budget=Epochs(1), batch=32, learning_rate=1e-5)
    stage = Stage(supervise(classification, select=of_kind), settings)
    return Training(partial(StepHead, classes=3, aggregate=mean), (stage,), {"read": step_ends})
