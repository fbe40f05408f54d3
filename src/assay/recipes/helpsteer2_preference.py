"""HelpSteer2-Preference: a reward from ratings and preferences of the same responses.

Regression on the helpfulness ratings comes first; from its weights Bradley-Terry is trained on the preferences, each
weighted by its strength of 1 to 3, which counts a strong preference as if it were that many weak ones::

    L_1 = (r(x, y) - helpfulness)^2        L_2 = -strength log sigmoid(r(x, y_chosen) - r(x, y_rejected))

Going on in the direction of the second stage, ``extrapolated(stage_1, stage_2, factor)``, is the paper's last step; the
factor is chosen on held-out data. Preferences of strength 0 are left out, not taken as ties.

Reference: Wang et al., "HelpSteer2-Preference: Complementing Ratings with Preferences", 2024, arXiv 2410.01257.
"""

from __future__ import annotations

from functools import partial

from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import squared_error
from assay.records import Preference, Record
from assay.records.record import Feedback
from assay.training.budgets import Epochs
from assay.training.feedback import of_criterion
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise


def helpsteer2_preference(criterion: str = "helpfulness") -> Training:
    """Two epochs of regression on the ratings of ``criterion``, then one of Bradley-Terry scaled by strength."""
    ratings = supervise(squared_error, select=of_criterion(criterion))
    scaled = supervise(partial(bradley_terry, margin=None), select=_preferences, weigh=_strength)
    first = Settings(budget=Epochs(2), batch=128, learning_rate=2e-6)
    second = Settings(budget=Epochs(1), batch=128, learning_rate=1e-6)
    return Training(partial(ScalarHead, bias=True), (Stage(ratings, first), Stage(scaled, second)))


def _preferences(item: Feedback) -> bool:
    return isinstance(item, Preference) and item.strength != 0


def _strength(record: Record, item: Feedback) -> float:
    """The strength of a preference; 1 where its source gives none."""
    return item.strength if isinstance(item, Preference) and item.strength is not None else 1.0
