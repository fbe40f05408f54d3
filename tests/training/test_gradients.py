"""Identities of the tools that act on gradients, in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from assay.training.gradients import (
    GradientModulation,
    MinNorm,
    by_loss,
    by_norm,
    gradients_of,
    meta_reward_step,
    min_norm_weights,
    modality_shapley,
    scale_gradient,
    score_spread,
)


def f64(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 10_000))
def test_two_gradients_have_the_closed_form(seed: int) -> None:
    rows = drawn(2, 3, seed=seed)
    weights = min_norm_weights(rows)
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)
    lengths = (grid[:, None] * rows[0] + (1 - grid[:, None]) * rows[1]).norm(dim=1)
    assert float((weights @ rows).norm()) <= float(lengths.min()) + 1e-12
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(3, 6))
def test_no_loss_gets_worse_along_the_smallest_sum(seed: int, count: int) -> None:
    """Optimality on the simplex: every gradient has at least the squared norm of the sum as product with it."""
    rows = drawn(count, 8, seed=seed)
    weights = min_norm_weights(rows)
    total = weights @ rows
    assert bool((weights >= 0).all())
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-12)
    assert float((rows @ total).min()) >= float(total @ total) - 1e-9


def test_opposed_gradients_cancel_and_a_dominated_one_gets_everything() -> None:
    assert min_norm_weights(f64([[1.0, 0.0], [-3.0, 0.0]])).tolist() == [0.75, 0.25]
    assert min_norm_weights(f64([[1.0, 0.0], [3.0, 0.0]])).tolist() == [1.0, 0.0]
    assert min_norm_weights(f64([[1.0, 0.0], [1.0, 0.0]])).tolist() == [0.5, 0.5]
    assert min_norm_weights(f64([[2.0, 5.0]])).tolist() == [1.0]
    assert float((min_norm_weights(f64([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])) - 1 / 3).abs().max()) < 1e-9


def test_normalising_makes_the_size_of_a_gradient_not_matter() -> None:
    rows = drawn(3, 5)
    scaled = rows * f64([1.0, 100.0, 0.01])[:, None]
    assert torch.allclose(min_norm_weights(scaled, by_norm), min_norm_weights(rows, by_norm), atol=1e-9)
    losses = f64([2.0, 4.0, 1.0])
    expected = min_norm_weights(rows / losses[:, None])
    assert torch.allclose(min_norm_weights(rows, by_loss(losses)), expected, atol=1e-12)
    assert by_norm(torch.zeros(1, 3)).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("rows", [torch.empty(0, 3), torch.ones(3), torch.tensor([[1.0, math.nan]])])
def test_gradients_that_are_none_are_refused(rows: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="gradient"):
        min_norm_weights(rows)


def test_gradients_are_flat_and_zero_without_a_path() -> None:
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    found = gradients_of([(a**2).sum(), a[0] * b[0], torch.tensor(1.0)], [a, b])
    assert found.tolist() == [[2.0, 4.0, 0.0], [3.0, 0.0, 1.0], [0.0, 0.0, 0.0]]


def test_running_weights_start_at_the_first_gradient_and_leave_absent_losses_out() -> None:
    rows = drawn(3, 4)
    solver = MinNorm(momentum=0.5)
    assert torch.allclose(solver(rows), min_norm_weights(rows))
    present = torch.tensor([True, False, True])
    weights = solver(torch.zeros_like(rows), present)
    assert weights[1] == 0
    assert torch.allclose(weights[present], min_norm_weights(0.5 * rows[present]), atol=1e-12)
    assert torch.equal(solver.mean[1], rows[1])
    again = MinNorm(momentum=0.5)
    again.load_state_dict(solver.state_dict())
    later = drawn(3, 4, seed=5)
    assert torch.equal(again(later), solver(later))
    assert solver(later, torch.zeros(3, dtype=torch.bool)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_shares_of_modalities_add_up_to_the_output(count: int) -> None:
    names = [f"m{i}" for i in range(count)]
    model = nn.Sequential(nn.Linear(3 * count, 8), nn.Tanh(), nn.Linear(8, 2)).double()

    def f(parts):
        return model(torch.cat([parts[name] for name in names], dim=1))

    inputs = {name: drawn(5, 3, seed=i) for i, name in enumerate(names)}
    baseline = {name: drawn(5, 3, seed=90 + i) for i, name in enumerate(names)}
    shares = modality_shapley(f, inputs, baseline)
    total = torch.stack(list(shares.values())).sum(0)
    assert torch.allclose(total, f(inputs) - f(baseline), atol=1e-10, rtol=0)


def test_shares_of_two_modalities_are_the_mean_of_both_orders_and_a_dummy_gets_nothing() -> None:
    def f(parts):
        return parts["a"] * (1 + parts["v"]) + 0 * parts["v"]

    inputs = {"a": f64([[2.0]]), "v": f64([[3.0]])}
    shares = modality_shapley(f, inputs)
    assert shares["a"].item() == pytest.approx(0.5 * ((8 - 0) + (2 - 0)), abs=1e-12)
    assert shares["v"].item() == pytest.approx(0.5 * ((8 - 2) + 0), abs=1e-12)
    deaf = modality_shapley(lambda parts: parts["a"] ** 2, inputs)
    assert deaf["v"].item() == 0.0


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.frozen = nn.BatchNorm1d(4), nn.Dropout(0.5).eval()

    def forward(self, parts):
        return self.norm(torch.cat([parts["a"], parts["v"]], dim=1)).sum(1)


def test_padded_passes_leave_the_statistics_of_a_module_alone() -> None:
    net, alone = Net(), Net()
    inputs = {"a": torch.randn(8, 2) + 5, "v": torch.randn(8, 2)}
    modality_shapley(net, inputs)
    alone(inputs)
    assert torch.equal(net.norm.running_mean, alone.norm.running_mean)
    assert net.norm.num_batches_tracked == 1
    assert (net.training, net.norm.training, net.frozen.training) == (True, True, False)


def test_shares_refuse_five_modalities_and_another_baseline() -> None:
    with pytest.raises(ValueError, match="5 modalities"):
        modality_shapley(lambda parts: parts["0"], {str(i): torch.zeros(1) for i in range(5)})
    with pytest.raises(ValueError, match="baseline"):
        modality_shapley(lambda parts: parts["a"], {"a": torch.zeros(1)}, {"b": torch.zeros(1)})


def test_modulation_is_its_formula_on_the_backward_pass() -> None:
    modulation = GradientModulation(alpha=0.7)
    modulation.coefficients({"a": 1.0, "v": 0.4})
    found = modulation.coefficients({"a": 0.5, "v": 0.8})
    usual, now = math.exp(0.6 - 0.75), math.exp(0.8 - 0.5)
    assert found["a"] == pytest.approx(math.exp(0.7 * (usual - now)), abs=1e-12)
    assert found["a"] < 1 < found["v"]
    leaf = {"a": f64([2.0]).requires_grad_(), "v": f64([3.0]).requires_grad_()}
    total = modulation.apply({name: value**2 for name, value in leaf.items()}, found)
    assert total.item() == 13.0
    total.sum().backward()
    assert leaf["a"].grad.item() == pytest.approx(4.0 * found["a"], abs=1e-12)
    assert leaf["v"].grad.item() == pytest.approx(6.0 * found["v"], abs=1e-12)


def test_modulation_of_strength_zero_or_in_its_first_step_changes_nothing() -> None:
    off = GradientModulation(alpha=0.0)
    assert set(off.coefficients({"a": 1.0, "v": 9.0, "t": 2.0}).values()) == {1.0}
    assert set(GradientModulation().coefficients({"a": 1.0, "v": 0.2}).values()) == {1.0}


def test_modulation_is_saved_and_refuses_what_it_cannot_compare() -> None:
    modulation = GradientModulation()
    modulation.coefficients({"a": 1.0, "v": 0.4})
    again = GradientModulation()
    again.load_state_dict(modulation.state_dict())
    assert again.coefficients({"a": 0.5, "v": 0.8}) == modulation.coefficients({"a": 0.5, "v": 0.8})
    with pytest.raises(ValueError, match="modalities"):
        modulation.coefficients({"a": 1.0, "t": 0.4})
    with pytest.raises(ValueError, match="not finite"):
        modulation.coefficients({"a": math.nan, "v": 0.4})


def test_a_scaled_gradient_leaves_the_value() -> None:
    leaf = f64([1.5]).requires_grad_()
    assert scale_gradient(leaf, 3.0).item() == 1.5
    assert torch.autograd.grad(scale_gradient(leaf, 3.0).square().sum(), leaf)[0].item() == 9.0


def test_spread_is_over_all_pairs() -> None:
    scores = f64([[0.0, 1.0, 3.0]])
    expected = 2 / 9 * sum(1 / (1 + math.exp(-gap)) for gap in (1.0, 3.0, 2.0))
    assert score_spread(scores).item() == pytest.approx(expected, abs=1e-14)
    assert score_spread(scores + 5).item() == pytest.approx(expected, abs=1e-14)


def test_the_meta_step_descends_from_where_it_was_by_the_gradient_ahead() -> None:
    weight, idle = nn.Parameter(f64([1.0, -2.0])), nn.Parameter(f64([7.0]))
    target = f64([3.0, 0.5])

    def spread() -> torch.Tensor:
        return weight.square().sum()

    def loss() -> torch.Tensor:
        return (weight - target).pow(3).sum()

    start = np.array([1.0, -2.0])
    ahead = start + 0.1 * 2 * start
    expected = start - 0.01 * 3 * (ahead - target.numpy()) ** 2
    value = meta_reward_step([weight, idle], spread, loss, eta=0.1, alpha=0.01)
    assert np.allclose(weight.detach().numpy(), expected, atol=1e-14)
    assert float(value) == pytest.approx(float(((ahead - target.numpy()) ** 3).sum()), abs=1e-12)
    assert idle.item() == 7.0
    assert weight.grad is None


def test_a_meta_step_that_fails_leaves_the_weights() -> None:
    weight = nn.Parameter(f64([1.0]))

    def broken() -> torch.Tensor:
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        meta_reward_step([weight], lambda: weight.sum(), broken, eta=0.1, alpha=0.1)
    assert weight.item() == 1.0
