"""ReMoDetect: a reward as a detector of text by aligned language models.

Aligned models are trained to please rewards, so their text scores higher than people's; a little training on texts of
models (P), of people partly rephrased by a model (M) and of people (H) widens that gap, while scores on the reward's
own preference data are held where they were (replay)::

    L = sum over (P, M), (P, H), (M, H) of w [-log sigmoid(r_a - r_b) + .01 (r_a^2 + r_b^2) / 2],    w = .3, 1, .3
        + .01 (r(z) - r_teacher(z))^2 on replayed texts z

A text's score is its reward: the higher, the likelier it is a model's (`metrics.auroc`). A record holds the three texts
ranked in this order, or two of them with a preference; the replay is ``rated_by(teacher, preference_data)``.

Deviations: training starts from the backbone it is given, so give one that was a reward; the loss is a mean over all
pairs and replayed texts of a batch.

Reference: Lee et al., "ReMoDetect: Reward Models Recognize Aligned LLM's Generations", 2024, arXiv 2405.17382.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import squared_error
from assay.records import Preference, Ranking, Record
from assay.records.pairs import preferences_of
from assay.records.record import Feedback
from assay.training.budgets import Epochs
from assay.training.feedback import of_criterion
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise
from assay.training.terms import together

NEAR, FAR, REPLAY = 0.3, 1.0, 0.01
_WRITTEN = "written by a model"


def remodetect(replay: Sequence[Record] = ()) -> Training:
    """An epoch over ranked texts, with ``replay`` (ratings under the criterion "teacher") mixed in."""
    levels = supervise(level_loss, select=of_criterion(_WRITTEN), weigh=_weight)
    kept = supervise(squared_error, select=of_criterion("teacher"))

    def curate(records: Sequence[Record]) -> list[Record]:
        return [*map(_graded, records), *replay]

    settings = Settings(budget=Epochs(1), batch=8, learning_rate=2e-5)
    return Training(ScalarHead, (Stage(together((levels, 1.0), (kept, REPLAY)), settings, curate),))


def level_loss(chosen: Tensor, rejected: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    """``weight [-log sigmoid(a - b) + .01 (a^2 + b^2) / 2]``, ``[pairs]``; chosen is what more of a model wrote."""
    return weight * (bradley_terry(chosen, rejected) + 0.005 * (chosen.square() + rejected.square()))


def _graded(record: Record) -> Record:
    """The record with its order of texts as preferences, whose strength is the weight of the pair."""
    ranks = next((item.ranks for item in record.feedback if isinstance(item, Ranking)), None)

    def weight(item: Preference) -> float:
        first, second = (None, None) if ranks is None else (ranks[item.better], ranks[item.worse])
        return FAR if first is None or second is None or second - first > 1 else NEAR

    pairs = [item for item in preferences_of(record) if not item.tie]
    told = [Preference(item.better, item.worse, strength=weight(item), criterion=_WRITTEN) for item in pairs]
    return replace(record, feedback=tuple(told))


def _weight(record: Record, item: Feedback) -> float:
    return item.strength if isinstance(item, Preference) and item.strength is not None else FAR
