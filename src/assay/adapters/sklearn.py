"""scikit-learn: a reward as an estimator, for its model selection, inspection and metrics (scikit-learn 1.4 or later).

RewardEstimator(reward).predict(records)      # one number a response
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast, final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin

from assay.adapters.abstaining import OnAbstain, as_nan
from assay.adapters.rows import Judgement, judgements
from assay.benchmarks.base import pairs_of, score_in_batches
from assay.records import Rating, Record
from assay.records.tables import from_rows
from assay.rewards.base import Reward, spec_of
from assay.scores import Scores

__all__ = ["RewardEstimator"]


@final
class RewardEstimator(RegressorMixin, BaseEstimator):  # pyright: ignore[reportUntypedBaseClass]
    """A reward with ``fit``, ``predict`` and ``score``. A sample is a record, or a row of any format that
    `assay.read` knows (a list of dictionaries, a frame, a data set).

    ``attribute`` names the number that ``predict`` gives in place of the value. The reward is made already, so ``fit``
    learns nothing; a clone has the same reward, not a copy of it. ``batch`` records are scored in a call.
    """

    def __init__(
        self,
        reward: Reward,
        *,
        attribute: str | None = None,
        on_abstain: OnAbstain = as_nan,
        batch: int = 256,
    ) -> None:
        self.reward = reward
        self.attribute = attribute
        self.on_abstain = on_abstain
        self.batch = batch

    def fit(self, X: Any, y: Any = None) -> RewardEstimator:  # noqa: N803
        """Itself: nothing is learned."""
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """``[responses]``, in the order of the records and of each one's responses; more is better.

        A response that the reward abstains on is what ``on_abstain`` makes of it, by default NaN.

        Raises:
            ValueError: the reward gives no such attribute.
        """
        scores, judged = self._judged(_records(X))
        if self.attribute is not None and self.attribute not in scores.attributes:
            raise ValueError(f"no attribute {self.attribute!r}; the reward gives {sorted(scores.attributes)}")
        return np.array([self._number(judgement) for judgement in judged], dtype=np.float64)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: N803
        """The share of pairs in the right order, ties half: those of the records' own feedback (preferences, rankings,
        ratings); with ``y``, all pairs of a record's responses whose targets differ.

        ``y`` is one number a response: flat, or a list of them a record, which model selection can split.

        A pair with an abstention counts half. ``sample_weight`` ``[records]`` weighs the pairs of each record.

        Raises:
            ValueError: no pair of which one is better.
        """
        records = _records(X)
        pairs = pairs_of(records if y is None else _rated(records, _flat(y)))
        if not len(pairs):
            raise ValueError("no two responses of a record of which one is better; give y, or records with feedback")
        outcomes = pairs.outcomes(self.predict(records))
        weight = pairs.weight if sample_weight is None else pairs.weight * np.asarray(sample_weight)[pairs.record]
        return float(np.average(np.where(np.isnan(outcomes), 0.5, outcomes), weights=weight))

    def scores(self, X: Any) -> Scores:  # noqa: N803
        """All that the reward says: statuses, attributes, steps."""
        return score_in_batches(self.reward, _records(X), size=self.batch)

    def _judged(self, records: Sequence[Record]) -> tuple[Scores, list[Judgement]]:
        scores = self.scores(records)
        return scores, judgements(scores, spec_of(self.reward).better == "lower")

    def _number(self, judgement: Judgement) -> float:
        if judgement.value is None:
            return self.on_abstain(judgement)
        return judgement.value if self.attribute is None else judgement.attributes[self.attribute]

    def __sklearn_clone__(self) -> RewardEstimator:
        return RewardEstimator(**self.get_params(deep=False))

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _records(samples: Any) -> list[Record]:
    if isinstance(samples, Iterable) and not hasattr(samples, "columns") and not hasattr(samples, "features"):
        listed = list(cast("Iterable[Any]", samples))
        if all(isinstance(sample, Record) for sample in listed):
            return listed
        return list(from_rows(listed))
    return list(from_rows(samples))


def _flat(targets: Any) -> npt.NDArray[np.float64]:
    parts = [np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in targets]
    return np.concatenate(parts) if parts else np.empty(0)


def _rated(records: Sequence[Record], targets: npt.NDArray[np.float64]) -> list[Record]:
    """The records with targets ``[responses]`` as their only feedback."""
    ends = np.cumsum([len(record.responses) for record in records])
    if targets.shape != (int(ends[-1]) if len(ends) else 0,):
        raise ValueError(f"y is [responses], one number each, got {list(targets.shape)}")
    shares = np.split(targets, ends[:-1])
    return [
        replace(record, feedback=tuple(Rating(place, float(cell)) for place, cell in enumerate(share)))
        for record, share in zip(records, shares, strict=True)
    ]
