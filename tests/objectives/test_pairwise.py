"""Identities of the pairwise objectives, in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.objectives.pairwise import (
    bradley_terry,
    centred,
    centring,
    fit_tie_theta,
    hinge,
    identity_preference,
    squared_gap,
)

SCORE = st.floats(-30, 30)
THETA = st.floats(1.001, 50)


def f64(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(SCORE, SCORE, THETA)
def test_win_loss_and_tie_probabilities_sum_to_one(a: float, b: float, theta: float) -> None:
    win = bradley_terry(f64(a), f64(b), tie_theta=theta)
    loss = bradley_terry(f64(b), f64(a), tie_theta=theta)
    tie = bradley_terry(f64(a), f64(b), tie=torch.tensor([True]), tie_theta=theta)
    total = sum(math.exp(-float(x)) for x in (win, loss, tie))
    assert total == pytest.approx(1.0, abs=1e-12)


@given(SCORE, SCORE)
def test_theta_towards_one_is_bradley_terry(a: float, b: float) -> None:
    nearly = bradley_terry(f64(a), f64(b), tie_theta=1.0 + 1e-13)
    assert float(nearly) == pytest.approx(float(bradley_terry(f64(a), f64(b))), abs=1e-11)


@given(SCORE, SCORE, st.floats(0, 5))
def test_golden_value_with_margin(a: float, b: float, margin: float) -> None:
    expected = math.log1p(math.exp(-abs(a - b - margin))) + max(0.0, -(a - b - margin))
    assert float(bradley_terry(f64(a), f64(b), margin=f64(margin))) == pytest.approx(expected, abs=1e-12)


@given(SCORE, SCORE, st.floats(0, 1))
def test_soft_label_is_the_mean_of_both_outcomes(a: float, b: float, p: float) -> None:
    mixed = p * bradley_terry(f64(a), f64(b)) + (1 - p) * bradley_terry(f64(b), f64(a))
    assert torch.allclose(bradley_terry(f64(a), f64(b), probability=f64(p)), mixed, atol=1e-12, rtol=0)


def test_soft_label_limits() -> None:
    a, b = f64(0.7, 0.7), f64(-0.2, -0.2)
    soft = bradley_terry(a, b, probability=f64(1.0, 0.0))
    assert soft.tolist() == [float(bradley_terry(a, b)[0]), float(bradley_terry(b, a)[0])]


def test_soft_label_is_least_where_the_model_says_the_same() -> None:
    gap = torch.tensor([math.log(0.8 / 0.2)], dtype=torch.float64, requires_grad=True)
    bradley_terry(gap, torch.zeros_like(gap), probability=f64(0.8)).sum().backward()
    assert gap.grad is not None
    assert float(gap.grad.abs()) < 1e-12


def test_margin_shifts_before_the_soft_label() -> None:
    z = 0.9 - 0.3
    expected = -0.7 * math.log(1 / (1 + math.exp(-z))) - 0.3 * math.log(1 / (1 + math.exp(z)))
    value = bradley_terry(f64(0.9), f64(0.0), margin=f64(0.3), probability=f64(0.7))
    assert float(value) == pytest.approx(expected, abs=1e-12)


def test_a_tie_has_no_margin_and_pulls_the_scores_together() -> None:
    tie = torch.tensor([True])
    for theta in (1.0, 5.0):
        with_margin = bradley_terry(f64(1.0), f64(0.0), tie=tie, tie_theta=theta, margin=f64(2.0))
        assert float(with_margin) == float(bradley_terry(f64(1.0), f64(0.0), tie=tie, tie_theta=theta))
        apart = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
        bradley_terry(apart, f64(0.0), tie=tie, tie_theta=theta).sum().backward()
        assert apart.grad is not None
        assert float(apart.grad) > 0


def test_at_theta_one_a_tie_is_half_a_win_each_way() -> None:
    tie = bradley_terry(f64(2.0), f64(-1.0), tie=torch.tensor([True]))
    assert float(tie) == pytest.approx(float(bradley_terry(f64(2.0), f64(-1.0), probability=f64(0.5))), abs=1e-12)


def test_ties_touch_only_their_own_rows() -> None:
    a, b = f64(1.0, 2.0), f64(0.0, 0.5)
    value = bradley_terry(a, b, tie=torch.tensor([False, True]), tie_theta=5.0)
    assert float(value[0]) == float(bradley_terry(a, b, tie_theta=5.0)[0])


@pytest.mark.parametrize("theta", [0.5, math.nan, math.inf])
def test_refuses_a_theta_that_is_no_ratio(theta: float) -> None:
    with pytest.raises(ValueError, match="tie_theta"):
        bradley_terry(f64(1.0), f64(0.0), tie_theta=theta)


def test_weight_multiplies() -> None:
    a, b = f64(1.0, 2.0), f64(0.0, 0.5)
    assert torch.equal(bradley_terry(a, b, weight=f64(0.0, 3.0)), bradley_terry(a, b) * f64(0.0, 3.0))


def test_extreme_gaps_stay_finite_in_loss_and_gradient() -> None:
    a = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = bradley_terry(a, torch.zeros(2), tie=torch.tensor([True, False]), tie_theta=5.0)
    loss.sum().backward()
    assert a.grad is not None
    assert bool(torch.isfinite(loss).all())
    assert bool(torch.isfinite(a.grad).all())


def test_gradient_against_finite_differences() -> None:
    a, b = f64(0.3, -1.2, 2.0).requires_grad_(), f64(0.1, 0.4, -0.5).requires_grad_()
    extra = {"margin": f64(0.1, 0.0, 0.5), "probability": f64(1.0, 0.8, 0.6), "tie": torch.tensor([False, False, True])}
    assert torch.autograd.gradcheck(lambda x, y: bradley_terry(x, y, tie_theta=5.0, **extra), (a, b))
    assert torch.autograd.gradcheck(centred(bradley_terry), (a, b))


def test_centring_adds_its_penalty_and_keeps_the_arguments() -> None:
    a, b, margin = f64(1.0, 3.0), f64(2.0, -1.0), f64(0.5, 0.0)
    value = centred(bradley_terry, 0.01)(a, b, margin=margin)
    assert torch.allclose(value, bradley_terry(a, b, margin=margin) + 0.01 * f64(9.0, 4.0), atol=1e-15)
    assert centring(a, b).tolist() == [9.0, 4.0]


def test_triplet_on_unit_vectors_is_twice_the_hinge_on_cosines() -> None:
    torch.manual_seed(0)
    anchor, good, bad = torch.nn.functional.normalize(torch.randn(3, 8, 5, dtype=torch.float64), dim=-1)
    triplet = torch.relu((anchor - good).square().sum(-1) - (anchor - bad).square().sum(-1) + 0.3)
    on_cosines = 2 * hinge((anchor * good).sum(-1), (anchor * bad).sum(-1), margin=0.15)
    assert torch.allclose(triplet, on_cosines, atol=1e-12)


@given(SCORE, SCORE, st.floats(0, 1))
def test_the_consistency_weighted_loss_is_a_soft_target(a: float, b: float, consistency: float) -> None:
    z = a - b
    forward, back = math.log1p(math.exp(-abs(z))) + max(0.0, -z), math.log1p(math.exp(-abs(z))) + max(0.0, z)
    cream = consistency * forward + (1 - consistency) * back
    assert float(bradley_terry(f64(a), f64(b), probability=f64(consistency))) == pytest.approx(cream, abs=1e-12)


def test_scaled_bradley_terry_is_the_weight() -> None:
    a, b, strength = f64(1.0, 2.0, -1.0), f64(0.0, 0.5, 0.5), f64(1.0, 2.0, 3.0)
    expected = -strength * torch.nn.functional.logsigmoid(a - b)
    assert torch.allclose(bradley_terry(a, b, weight=strength), expected, atol=1e-14, rtol=0)


def test_a_missing_label_costs_nothing_and_pulls_nothing_even_from_a_nan_score() -> None:
    a = torch.tensor([[1.0, math.nan], [0.5, 2.0]], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(2, 2, dtype=torch.float64)
    label = torch.tensor([[1.0, math.nan], [0.3, math.nan]], dtype=torch.float64)
    loss = bradley_terry(a, b, probability=label)
    loss.sum().backward()
    assert loss[:, 1].tolist() == [0.0, 0.0]
    assert a.grad is not None
    assert a.grad[:, 1].tolist() == [0.0, 0.0]
    assert float(a.grad[0, 0]) == pytest.approx(-1 / (1 + math.e), abs=1e-12)


def test_a_score_that_is_nan_is_heard() -> None:
    assert bool(bradley_terry(f64(math.nan), f64(0.0)).isnan())


def test_no_margin_given_is_margin_zero() -> None:
    a, b = f64(1.0, 1.0), f64(0.0, 0.0)
    assert bradley_terry(a, b, margin=f64(math.nan, 0.5))[0] == bradley_terry(a, b)[0]


def test_theta_as_a_tensor_is_theta_as_a_number_and_learns() -> None:
    a, b, tie = f64(0.3, -1.2, 2.0), f64(0.1, 0.4, -0.5), torch.tensor([True, False, True])
    number = bradley_terry(a, b, tie=tie, tie_theta=5.0)
    assert torch.allclose(bradley_terry(a, b, tie=tie, tie_theta=f64(5.0)), number, atol=1e-14)
    each = bradley_terry(a, b, tie=tie, tie_theta=f64(1.0, 5.0, 1.0))
    assert each.tolist()[1] == pytest.approx(number.tolist()[1], abs=1e-14)
    assert each.tolist()[0] == pytest.approx(float(bradley_terry(a, b, tie=tie)[0]), abs=1e-14)
    assert torch.autograd.gradcheck(
        lambda k: bradley_terry(a, b, tie=tie, tie_theta=1 + k.exp()), f64(0.7).requires_grad_()
    )
    with pytest.raises(ValueError, match="tie_theta"):
        bradley_terry(a, b, tie_theta=f64(2.0, 0.5, 2.0))


def labelled(theta: float, pairs: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Oriented gaps and ties of pairs drawn from Rao and Kupper's model."""
    torch.manual_seed(seed)
    gap, k = torch.randn(pairs, dtype=torch.float64) * 2, math.log(theta)
    win, loss = torch.sigmoid(gap - k), torch.sigmoid(-gap - k)
    drawn = torch.rand(pairs, dtype=torch.float64)
    return torch.where(drawn > 1 - loss, -gap, gap), (drawn > win) & (drawn <= 1 - loss)


def test_the_fitted_theta_is_the_likeliest_and_near_the_true_one() -> None:
    gap, tie = labelled(5.0, 4000)
    theta = fit_tie_theta(gap, tie)
    assert theta == pytest.approx(5.0, rel=0.08)
    best, low, high = (
        float(bradley_terry(gap, torch.zeros_like(gap), tie=tie, tie_theta=theta * by).sum()) for by in (1, 0.99, 1.01)
    )
    assert best < min(low, high)


def test_a_theta_needs_decided_pairs_and_no_ties_give_one() -> None:
    assert fit_tie_theta(f64(1.0, -0.5), torch.tensor([False, False])) == 1.0
    with pytest.raises(ValueError, match="2 ties and no decided pair"):
        fit_tie_theta(f64(1.0, -0.5), torch.tensor([True, True]))


def test_weights_of_the_theta_fit_count_like_repetitions() -> None:
    gap, tie = labelled(3.0, 50)
    twice = fit_tie_theta(torch.cat([gap, gap[:10]]), torch.cat([tie, tie[:10]]))
    weight = torch.ones(50, dtype=torch.float64)
    weight[:10] = 2
    assert fit_tie_theta(gap, tie, weight) == pytest.approx(twice, rel=1e-10)


def test_identity_preference_is_least_at_half_over_beta() -> None:
    assert identity_preference(f64(5.0, 0.0), f64(0.0, 0.0), beta=0.1).tolist() == [0.0, 25.0]
    with pytest.raises(ValueError, match="beta"):
        identity_preference(f64(1.0), f64(0.0), beta=0.0)


def test_squared_gap_is_symmetric() -> None:
    assert squared_gap(f64(1.0, 3.0), f64(3.0, 1.0), weight=f64(1.0, 2.0)).tolist() == [4.0, 8.0]
