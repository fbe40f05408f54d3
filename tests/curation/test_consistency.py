"""Agreement of two rankings against scipy, and pairs believed as far as it goes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from assay.curation.consistency import consistent_pairs, kendall, rank_consistency, spearman, top_bottom
from assay.records import Preference, Record
from assay.rewards.base import scores_of

NAN = math.nan
ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=6)


@given(ROWS)
def test_rank_correlations_are_scipys_with_ties(rows) -> None:
    a, b = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    first, second = torch.tensor([[*a, NAN, 1.0]]), torch.tensor([[*b, 2.0, NAN]])
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert bool(kendall(first, second).isnan())
        assert bool(spearman(first, second).isnan())
        return
    tau, rho = stats.kendalltau(a, b).statistic, stats.spearmanr(a, b).statistic
    assert float(rank_consistency(first, second)) == pytest.approx((tau + 1) / 2, abs=1e-9)
    assert float(rank_consistency(first, second, spearman)) == pytest.approx((rho + 1) / 2, abs=1e-9)


@pytest.mark.parametrize("by", [kendall, spearman, top_bottom])
def test_the_same_ranking_agrees_and_the_opposite_does_not(by) -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0, 7.0]])
    assert float(rank_consistency(scores, scores.exp(), by)) == pytest.approx(1.0)
    assert float(rank_consistency(scores, -scores, by)) == pytest.approx(0.0)


def test_top_and_bottom_look_at_the_ends_alone_and_need_two() -> None:
    first, second = torch.tensor([[4.0, 2.0, 3.0, 1.0]]), torch.tensor([[9.0, 8.0, 7.0, 0.0]])
    assert float(top_bottom(first, second)) == 1.0
    assert float(top_bottom(first, torch.tensor([[9.0, -1.0, 7.0, 0.0]]))) == 0.0
    assert bool(top_bottom(torch.tensor([[1.0, NAN]]), torch.tensor([[1.0, 2.0]])).isnan())
    with pytest.raises(ValueError, match="two judges"):
        rank_consistency(first, second[:, :2])


RECORDS = [
    Record.of("p", ["a", "b", "c"], id="p"),
    Record.of("q", ["a", "b"], id="q"),
    Record.of("r", ["a", "b"], id="r"),
    Record.of("s", ["a"], id="s"),
]


def test_pairs_carry_the_agreement_as_their_probability() -> None:
    now = scores_of(RECORDS, [1.0, 3.0, 2.0, 5.0, 4.0, 1.0, 1.0, 0.0])
    before = scores_of(RECORDS, [1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 1.0, 0.0])
    own = consistent_pairs(RECORDS, now, before, average=False)
    assert [record.id for record in own] == ["p", "q"]
    assert own[0].feedback == (Preference(1, 0, probability=pytest.approx((1 / 3 + 1) / 2)),)
    assert own[1].feedback == (Preference(0, 1, probability=0.0),)
    mean = consistent_pairs(RECORDS, now, before)
    assert [record.feedback[0].probability for record in mean] == pytest.approx([1 / 3, 1 / 3])
    with pytest.raises(ValueError, match="these records"):
        consistent_pairs(RECORDS[:1], now, before)
    assert consistent_pairs([], now[[]], before[[]]) == []


def test_a_response_that_was_not_judged_takes_no_part() -> None:
    now, before = scores_of(RECORDS[:1], [NAN, 3.0, 2.0]), scores_of(RECORDS[:1], [9.0, 2.0, 1.0])
    assert consistent_pairs(RECORDS[:1], now, before)[0].feedback == (Preference(1, 2, probability=1.0),)
