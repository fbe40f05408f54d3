"""Identities of what models differing people, in float64."""

import math

import torch
from torch.distributions import Normal, kl_divergence

from assay.objectives.pluralistic import (
    active_units,
    alignment,
    gaussian_kl,
    ideal_point,
    nearness,
    outside,
    reparameterised,
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_divergence_is_that_of_normals_and_zero_at_the_prior() -> None:
    mean, log_variance = drawn(4, 3), drawn(4, 3, seed=1)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(-1)
    assert torch.allclose(gaussian_kl(mean, log_variance), expected, atol=1e-12)
    assert gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0.0, 0.0]


def test_draws_have_the_mean_and_spread_and_carry_gradients() -> None:
    mean = torch.full((20000, 1), 2.0, dtype=torch.float64, requires_grad=True)
    found = reparameterised(mean, torch.full_like(mean, math.log(9.0)), torch.Generator().manual_seed(0))
    assert abs(float(found.mean()) - 2.0) < 0.1
    assert abs(float(found.std()) - 3.0) < 0.1
    (gradient,) = torch.autograd.grad(found.sum(), mean)
    assert bool((gradient == 1).all())


def test_units_that_do_not_vary_are_not_active() -> None:
    means = torch.stack([torch.arange(5.0), torch.full((5,), 3.0)], dim=1)
    assert active_units(means) == 1
    assert active_units(means[:1]) == 0


def test_an_ideal_is_a_mixture_of_prototypes_shared_or_of_the_prompt() -> None:
    logits, prototypes = drawn(4, 2), drawn(2, 3, seed=1)
    weights = torch.softmax(logits, -1)
    expected = weights[:, :1] * prototypes[0] + weights[:, 1:] * prototypes[1]
    assert torch.allclose(ideal_point(logits, prototypes), expected, atol=1e-13)
    assert torch.allclose(ideal_point(logits, prototypes.expand(4, 2, 3)), expected, atol=1e-13)


def test_nearness_is_highest_at_the_ideal_without_a_broken_gradient() -> None:
    points = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    found = nearness(points, torch.zeros(2, 2, dtype=torch.float64))
    found.sum().backward()
    assert found.tolist() == [-5.0, 0.0]
    assert points.grad is not None
    assert torch.allclose(points.grad, torch.tensor([[-0.6, -0.8], [0.0, 0.0]], dtype=torch.float64), atol=1e-15)


def test_alignment_is_a_scaled_cosine_with_a_bounded_scale() -> None:
    point, ideal = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    assert abs(float(alignment(point, ideal, math.log(5.0))) - 5.0) < 1e-5
    assert abs(float(alignment(point, ideal, 50.0)) - 100.0) < 1e-3


def test_only_what_leaves_the_ball_is_penalised() -> None:
    assert outside(torch.tensor([[3.0, 4.0], [1.0, 0.0]]), bound=4.0).tolist() == [1.0, 0.0]
