"""Golden values of the pointwise objectives."""

import math

import pytest
import torch

from assay.objectives.pointwise import (
    binary_cross_entropy,
    focal,
    gaussian,
    huber,
    mean_of_known,
    ordinal,
    squared_error,
)


def f64(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_squared_error() -> None:
    assert squared_error(f64(1.5, -2.0), f64(1.0, 1.0), weight=f64(2.0, 0.5)).tolist() == [2 * 0.25, 0.5 * 9.0]


def test_huber_is_quadratic_within_delta_and_linear_beyond() -> None:
    assert huber(f64(0.5, 5.0), f64(0.0, 0.0), delta=2.0).tolist() == [0.5 * 0.25, 2.0 * (5.0 - 1.0)]
    with pytest.raises(ValueError, match="delta"):
        huber(f64(0.5), f64(0.0), delta=0.0)


def test_cross_entropy_of_a_soft_target() -> None:
    value = float(binary_cross_entropy(f64(0.7), f64(0.9)))
    assert value == pytest.approx(0.9 * math.log1p(math.exp(-0.7)) + 0.1 * math.log1p(math.exp(0.7)), abs=1e-12)


def test_cross_entropy_refuses_ratings_that_are_no_probabilities() -> None:
    with pytest.raises(ValueError, match=r"1 to 5.*squared_error"):
        binary_cross_entropy(f64(0.0, 0.0), f64(1.0, 5.0))


OBJECTIVES = [
    squared_error,
    huber,
    binary_cross_entropy,
    focal,
    lambda values, targets: gaussian(values, targets, log_variance=torch.zeros_like(values)),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=["squared", "huber", "cross-entropy", "focal", "gaussian"])
def test_a_missing_target_costs_nothing_and_pulls_nothing_even_from_a_nan_value(objective) -> None:
    values = f64(0.5, math.nan, -1.0).requires_grad_()
    loss = objective(values, f64(1.0, math.nan, 0.0))
    loss.sum().backward()
    assert loss[1] == 0.0
    assert values.grad is not None
    assert values.grad[1] == 0.0
    assert bool(torch.isfinite(values.grad).all())
    assert torch.equal(loss.detach()[[0, 2]], objective(f64(0.5, -1.0), f64(1.0, 0.0)))


def test_mean_of_known_divides_by_the_cells_that_are_there() -> None:
    targets = f64(1.0, math.nan, 3.0)
    assert float(mean_of_known(squared_error(f64(0.0, 9.0, 1.0), targets), targets)) == (1.0 + 4.0) / 2
    assert float(mean_of_known(f64(0.0), f64(math.nan))) == 0.0


def test_focal_of_gamma_zero_is_cross_entropy_and_of_two_weighs_by_the_error() -> None:
    values, targets = f64(0.7, -2.0, 3.0), f64(1.0, 1.0, 0.0)
    plain = binary_cross_entropy(values, targets)
    assert torch.equal(focal(values, targets, gamma=0.0), plain)
    wrong = (targets - torch.sigmoid(values)).abs()
    assert torch.allclose(focal(values, targets), wrong.square() * plain, atol=1e-14)
    with pytest.raises(ValueError, match="gamma"):
        focal(values, targets, gamma=-1.0)
    with pytest.raises(ValueError, match="squared_error"):
        focal(values, f64(0.0, 1.0, 2.0))
    sure = torch.tensor([800.0], dtype=torch.float64, requires_grad=True)
    focal(sure, f64(1.0), gamma=0.5).sum().backward()
    assert sure.grad is not None
    assert bool(torch.isfinite(sure.grad).all())


@pytest.mark.parametrize("lowest", [0.0, 1.0])
def test_probabilities_of_all_levels_sum_to_one(lowest: float) -> None:
    logits = f64(30.0, 2.0, -0.5, -25.0)
    losses = ordinal(logits.expand(5, 4), torch.arange(5, dtype=torch.float64) + lowest, lowest=lowest)
    assert float(losses.neg().exp().sum()) == pytest.approx(1.0, abs=1e-12)
    assert float(losses[2]) == pytest.approx(-math.log(1 / (1 + math.exp(-2)) - 1 / (1 + math.exp(0.5))), abs=1e-12)


def test_two_levels_are_cross_entropy() -> None:
    values, targets = f64(0.7, -2.0, 3.0), f64(1.0, 1.0, 0.0)
    assert torch.allclose(ordinal(values[:, None], targets), binary_cross_entropy(values, targets), atol=1e-13)


def test_ordinal_gradients_and_missing_ratings() -> None:
    logits = f64(3.0, 1.0, -1.0).expand(4, 3).clone().requires_grad_()
    targets = f64(0.0, 3.0, math.nan, 1.0)
    assert torch.autograd.gradcheck(lambda x: ordinal(x, targets), (logits,))
    (gradient,) = torch.autograd.grad(ordinal(logits, targets).sum(), logits)
    assert gradient[2].tolist() == [0.0, 0.0, 0.0]


def test_ordinal_refuses_what_is_no_level_and_logits_that_rise() -> None:
    with pytest.raises(ValueError, match=r"0\.\.2"):
        ordinal(f64(1.0, 0.0)[None], f64(3.0))
    with pytest.raises(ValueError, match="whole numbers"):
        ordinal(f64(1.0, 0.0)[None], f64(0.5))
    with pytest.raises(ValueError, match="fall"):
        ordinal(f64(0.0, 1.0)[None], f64(0.0))


def test_gaussian_is_the_density_and_least_at_the_true_variance() -> None:
    from torch.distributions import Normal

    value, target, log_variance = f64(0.3, -1.0), f64(1.0, 2.0), f64(0.5, -0.7)
    expected = -Normal(value, (0.5 * log_variance).exp()).log_prob(target)
    assert torch.allclose(gaussian(value, target, log_variance=log_variance), expected, atol=1e-13)
    free = torch.tensor([math.log(9.0)], dtype=torch.float64, requires_grad=True)
    gaussian(f64(0.0), f64(3.0), log_variance=free).sum().backward()
    assert free.grad is not None
    assert abs(float(free.grad)) < 1e-12
