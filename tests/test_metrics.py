from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import metrics

NAN = float("nan")
scores = st.lists(st.floats(-1e3, 1e3, allow_nan=False), min_size=1, max_size=30)


def test_a_tie_is_worth_half_and_an_abstention_is_counted_and_left_out():
    found = metrics.pair_accuracy([3.0, 1.0, 2.0, 5.0, NAN], [1.0, 1.0, 4.0, 0.0, 1.0])
    assert (found.wins, found.ties, found.losses, found.abstained) == (2, 1, 1, 1)
    assert found.value == (1 + 0.5 + 0 + 1) / 4
    assert found.tie_rate == 1 / 4


def test_tie_credit_and_tolerance_are_arguments():
    better, worse = [1.0, 1.0, 2.0], [1.0, 1.0 + 1e-7, 1.0]
    assert metrics.pair_accuracy(better, worse, tie_credit=0.0).value == 1 / 3
    assert metrics.pair_accuracy(better, worse, tolerance=1e-6).value == (0.5 + 0.5 + 1) / 3
    assert metrics.pair_accuracy(better, worse, tie_credit=1.0, tolerance=1e-6).value == 1.0


def test_weights_weigh_pairs():
    found = metrics.pair_accuracy([1.0, 0.0, 0.0], [0.0, 1.0, 1.0], weight=[1.0, 0.5, 0.5])
    assert found.value == 1 / 2


def test_no_judged_pair_is_nan_and_not_zero():
    found = metrics.pair_accuracy([NAN], [1.0])
    assert math.isnan(found.value)
    assert found.abstained == 1
    assert math.isnan(found.tie_rate)


def test_sides_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="pair up"):
        metrics.pair_accuracy([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="weights"):
        metrics.pair_accuracy([1.0, 2.0], [1.0, 1.0], weight=[1.0])
    with pytest.raises(ValueError, match="clusters"):
        metrics.bootstrap_mean([1.0, 2.0], [0])


def test_tensors_with_a_graph_are_arrays_too():
    better = torch.tensor([1.0, 2.0], requires_grad=True)
    assert metrics.pair_accuracy(better, torch.zeros(2)).value == 1.0
    assert metrics.pair_accuracy(better.to(torch.bfloat16), torch.zeros(2)).value == 1.0


@given(scores, st.randoms())
def test_swapping_the_sides_mirrors_the_accuracy(values: list[float], random):
    other = values[:]
    random.shuffle(other)
    forward, backward = metrics.pair_accuracy(values, other), metrics.pair_accuracy(other, values)
    assert forward.value + backward.value == pytest.approx(1.0)
    assert (forward.wins, forward.ties) == (backward.losses, backward.ties)


@given(scores, st.floats(0.1, 10))
def test_accuracy_is_blind_to_a_positive_scale(values: list[float], factor: float):
    first, second = np.array(values).round(3), np.array(values[::-1]).round(3)
    assert metrics.pair_accuracy(first * factor, second * factor).value == metrics.pair_accuracy(first, second).value


def test_the_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    # 40 clusters of 5 outcomes; each cluster has its own success rate, so pairs of a cluster move together
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(40), 5)
    covered = {"clustered": 0, "naive": 0}
    rounds = 400
    for number in range(rounds):
        rate = np.repeat(rng.beta(1.4, 0.6, size=40), 5)  # mean 0.7
        outcome = (rng.random(200) < rate).astype(float)
        kept = metrics.bootstrap_mean(outcome, clusters, draws=400, seed=number)
        naive = metrics.bootstrap_mean(outcome, draws=400, seed=number)
        covered["clustered"] += kept.low <= 0.7 <= kept.high
        covered["naive"] += naive.low <= 0.7 <= naive.high
    assert 0.90 <= covered["clustered"] / rounds <= 0.98
    assert covered["naive"] / rounds < 0.85  # resampling pairs would claim too much


def test_the_wilson_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(30), 4)
    covered = 0
    for _ in range(400):
        rate = np.repeat(rng.beta(4, 1, size=30), 4)  # mean 0.8
        found = metrics.clustered_wilson((rng.random(120) < rate).astype(float), clusters)
        covered += found.low <= 0.8 <= found.high
    assert 0.90 <= covered / 400 <= 0.99


def test_the_interval_is_seeded_and_ignores_the_order_of_rows():
    rng = np.random.default_rng(0)
    values, clusters = rng.random(60), np.repeat(np.arange(20), 3)
    order = rng.permutation(60)
    first = metrics.bootstrap_mean(values, clusters, seed=3)
    again = metrics.bootstrap_mean(values[order], clusters[order], seed=3)
    assert (first.low, first.high) == pytest.approx((again.low, again.high))
    assert metrics.bootstrap_mean(values, clusters, seed=4).low != first.low


def test_agreement_of_every_cluster_does_not_claim_certainty():
    # exact binomial limit: with 10 of 10 right, the 97.5 % bound is .025 ** (1 / 10)
    found = metrics.bootstrap_mean(np.ones(10), bounds=(0.0, 1.0))
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 10))
    assert metrics.bootstrap_mean(np.ones(10)).low == 1.0
    assert metrics.paired_difference(np.ones(8), np.ones(8)).low < 0


def test_nothing_to_resample_is_nan():
    empty = metrics.bootstrap_mean([NAN, NAN])
    assert math.isnan(empty.value)
    assert empty.n == 0
    assert math.isnan(metrics.clustered_wilson([]).low)


def test_a_paired_difference_is_narrower_than_two_intervals_apart():
    rng = np.random.default_rng(5)
    hard = rng.random(300)
    first, second = (hard < 0.8).astype(float), (hard < 0.75).astype(float)
    gap = metrics.paired_difference(first, second)
    assert gap.value == pytest.approx(first.mean() - second.mean())
    assert gap.low > 0
    alone = metrics.bootstrap_mean(first)
    assert gap.high - gap.low < (alone.high - alone.low) / 1.5


def test_items_missing_on_one_side_leave_both():
    gap = metrics.paired_difference([1.0, NAN, 1.0], [0.0, 1.0, NAN])
    assert (gap.value, gap.n) == (1.0, 1)


def test_holm_multiplies_the_smallest_by_all_of_them():
    assert metrics.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.01 * 3, 0.03 * 2, 0.03 * 2])
    assert metrics.holm([0.5, 0.9]).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_order_and_never_lowers(raw: list[float]):
    adjusted = metrics.holm(raw)
    assert (adjusted >= np.array(raw) - 1e-12).all()
    assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= -1e-12).all()


def test_calibration_error_is_the_weighted_gap_of_bins():
    probability, outcome = [0.1, 0.1, 0.9, 0.9], [0, 1, 1, 1]
    width = metrics.equal_width(2)
    # bin below one half: mean .1 against .5; above: .9 against 1
    assert metrics.calibration_error(probability, outcome, binning=width) == pytest.approx((0.4 * 2 + 0.1 * 2) / 4)
    weighted = metrics.calibration_error(probability, outcome, weight=[0, 0, 1, 1], binning=width)
    assert weighted == pytest.approx(0.1)


def test_equal_mass_bins_hold_equally_many_and_keep_equal_values_together():
    rng = np.random.default_rng(0)
    curve = metrics.reliability(rng.random(1000) ** 3, np.ones(1000), binning=metrics.equal_mass(10))
    assert curve.count.tolist() == [100] * 10
    constant = metrics.reliability(np.full(50, 0.5), np.ones(50), binning=metrics.equal_mass(10))
    assert constant.count.tolist() == [50]
    assert constant.error == 0.5


def test_brier_is_the_mean_square():
    assert metrics.brier([0.8, 0.3], [1, 0]) == pytest.approx((0.2**2 + 0.3**2) / 2)
    assert metrics.brier([0.5] * 4, [0, 1, 1, 0]) == 0.25


@pytest.mark.parametrize("truth", [0.2, 1.0, 7.0])
def test_the_fitted_temperature_is_the_one_the_data_were_made_with(truth: float):
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 5, size=20000)
    outcome = (rng.random(20000) < metrics.sigmoid(margin / truth)).astype(float)
    found = metrics.fit_temperature(margin, outcome)
    assert found.value == pytest.approx(truth, rel=0.06)
    assert not found.bounded
    assert metrics.calibration_error(metrics.sigmoid(margin / found.value), outcome) < 0.02


def test_the_temperature_of_one_margin_with_a_soft_label_is_exact():
    # sigmoid(2 / T) = 3/4  =>  T = 2 / ln 3
    found = metrics.fit_temperature([2.0], [0.75])
    assert found.value == pytest.approx(2 / math.log(3), rel=1e-5)
    assert found.loss == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))


def test_margins_that_are_always_right_have_no_finite_temperature_and_it_says_so():
    assert metrics.fit_temperature([1.0, 2.0], [1.0, 1.0]).bounded
    assert metrics.fit_temperature([1.0, -1.0], [0.0, 1.0]).bounded
    assert metrics.fit_temperature([0.0, 0.0], [1.0, 1.0]).bounded
    with pytest.raises(ValueError, match="at least one margin"):
        metrics.fit_temperature([NAN], [1.0])


@settings(deadline=None)
@given(st.floats(0.01, 100))
def test_temperature_has_the_unit_of_the_margin(factor: float):
    margin, outcome = np.array([1.0, 2.0, -1.0, 3.0]), np.array([1.0, 1.0, 1.0, 0.7])
    base = metrics.fit_temperature(margin, outcome).value
    assert metrics.fit_temperature(margin * factor, outcome).value == pytest.approx(base * factor, rel=1e-4)


def test_correlations_agree_with_arithmetic():
    first, second = [1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]
    assert metrics.spearman(first, second) == pytest.approx(1 - 6 * (1 + 1) / (4 * (16 - 1)))
    assert metrics.kendall(first, second) == pytest.approx((5 - 1) / 6)
    assert metrics.pearson([0.0, 1.0, NAN], [0.0, 2.0, 9.0]) == pytest.approx(1.0)
    assert math.isnan(metrics.pearson([1.0, 1.0], [0.0, 2.0]))


def test_effect_sizes_agree_with_arithmetic():
    assert metrics.paired_effect([0.0, 0.0, 0.0], [1.0, 2.0, 3.0]) == pytest.approx(2.0 / 1.0)
    assert metrics.paired_effect([1.0, 2.0], [1.0, 2.0]) == 0.0
    assert metrics.paired_effect([1.0, 2.0], [2.0, 3.0]) == math.inf
    # both sides have variance 1, means 2 and 4
    assert metrics.standardised_difference([1.0, 2.0, 3.0], [3.0, 4.0, 5.0]) == pytest.approx(2.0)
    assert math.isnan(metrics.standardised_difference([1.0], [2.0, 3.0]))


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.4
    above = scores[positive][:, None] - scores[~positive][None]
    assert metrics.auroc(scores, positive) == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())
    assert metrics.auroc([1.0, 2.0, np.nan], [0, 1, 0]) == 1.0
    assert np.isnan(metrics.auroc([1.0, 2.0], [1, 1]))
