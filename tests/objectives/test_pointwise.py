"""Golden values of the pointwise objectives."""

import math

import pytest
import torch

from assay.objectives.pointwise import binary_cross_entropy, huber, squared_error


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
