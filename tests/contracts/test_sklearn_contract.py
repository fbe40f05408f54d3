"""scikit-learn's own tools work on a reward: clone, model selection, inspection, metrics."""

import math

import numpy as np
import pandas as pd
import pytest

from assay.adapters.abstaining import AbstainedError, refuse, worth
from assay.adapters.sklearn import RewardEstimator
from assay.records import Preference, Record
from assay.rewards import rules
from assay.rewards.base import scores_of
from assay.rewards.rules.choice import choice
from assay.spec import Spec

sklearn = pytest.importorskip("sklearn")


class Words:
    """Word counts, of which fewer are better; the first letter's place as an attribute."""

    spec = Spec(better="lower")

    def __call__(self, records, /):
        texts = [response.text for record in records for response in record.responses]
        import torch

        letters = torch.tensor([float(ord(text[0]) - 96) for text in texts])
        return scores_of(records, [float(len(text.split())) for text in texts], attributes={"letter": letters})


RECORDS = [
    Record.of("p", ["a b", "b"], id="0", feedback=[Preference(1, 0)]),
    Record.of("p", ["c", "d e f", "d e"], id="1", feedback=[Preference(1, 0), Preference(2, 1)]),
]


def test_predictions_are_the_reward_with_more_better():
    got = RewardEstimator(Words()).predict(RECORDS)
    assert (got.tolist(), got.dtype) == ([-2, -1, -1, -3, -2], np.float64)
    assert RewardEstimator(Words(), batch=1).predict(RECORDS).tolist() == got.tolist()
    assert RewardEstimator(Words(), attribute="letter").predict(RECORDS).tolist() == [1, 2, 3, 4, 4]
    with pytest.raises(ValueError, match=r"no attribute 'depth'.*letter"):
        RewardEstimator(Words(), attribute="depth").predict(RECORDS)
    assert RewardEstimator(Words()).scores(RECORDS).values.tolist() == [2, 1, 1, 3, 2]


def test_rows_and_frames_are_samples_too():
    rows = [
        {"prompt": "p", "chosen": "one", "rejected": "one two"},
        {"prompt": "q", "chosen": "a b c", "rejected": "a"},
    ]
    estimator = RewardEstimator(rules.length(per_words=1))
    assert estimator.predict(rows).tolist() == [1, 2, 3, 1]
    assert estimator.predict(pd.DataFrame(rows)).tolist() == [1, 2, 3, 1]
    assert estimator.score(rows) == 0.5


def test_the_score_is_the_share_of_pairs_in_order():
    estimator = RewardEstimator(Words())
    assert estimator.score(RECORDS) == pytest.approx(2 / 3)
    assert estimator.score(RECORDS, sample_weight=[1, 0]) == 1.0
    assert estimator.score(RECORDS, [1, 2, 3, 3, 3]) == 1.0
    assert estimator.score(RECORDS, [2, 1, 3, 3, 4]) == pytest.approx(1 / 3)
    assert estimator.score(RECORDS, [[2, 1], (3, 3, 4)]) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="one is better"):
        estimator.score(RECORDS, [1, 1, 1, 1, 1])
    with pytest.raises(ValueError, match="y is"):
        estimator.score(RECORDS, [1, 1])


def test_an_abstention_is_nan_or_what_was_said_and_half_a_pair():
    records = [Record.of("which?", ["A", "B"], answer="A"), Record.of("which?", ["A", "B"])]
    got = RewardEstimator(choice()).predict(records)
    assert got[:2].tolist() == [1, 0]
    assert all(math.isnan(value) for value in got[2:])
    assert RewardEstimator(choice()).score(records, [1, 0, 1, 0]) == 0.75
    assert RewardEstimator(choice(), on_abstain=worth(-1)).predict(records).tolist() == [1, 0, -1, -1]
    with pytest.raises(AbstainedError):
        RewardEstimator(choice(), on_abstain=refuse).predict(records)


def test_clones_parameters_and_model_selection():
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.utils.validation import check_is_fitted

    reward = Words()
    estimator = RewardEstimator(reward, batch=2)
    copy = clone(estimator)
    assert copy is not estimator
    assert copy.reward is reward
    assert copy.get_params() == estimator.get_params()
    assert set(copy.get_params()) == {"reward", "attribute", "on_abstain", "batch"}
    assert copy.set_params(batch=3).batch == 3
    check_is_fitted(estimator)
    assert estimator.fit(RECORDS) is estimator
    assert cross_val_score(estimator, RECORDS, cv=2).tolist() == [1.0, 0.5]
    assert cross_val_score(estimator, RECORDS, [[0, 1], [3, 1, 1]], cv=2).tolist() == [1.0, 1.0]
    rewards = [Words(), rules.length(per_words=1)]
    search = GridSearchCV(estimator, {"reward": rewards}, cv=2).fit(RECORDS)
    assert search.best_params_["reward"] is rewards[0]
    assert search.predict(RECORDS).tolist() == [-2, -1, -1, -3, -2]


def test_metrics_of_scikit_learn_take_its_predictions():
    from sklearn.metrics import roc_auc_score

    assert roc_auc_score([0, 1, 1, 0, 0], RewardEstimator(Words()).predict(RECORDS)) == 1.0
