"""Identities of the listwise objectives, in float64."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.objectives.listwise import plackett_luce, top_one
from assay.objectives.pairwise import bradley_terry


def f64(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def full(ranks: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    tensor = torch.tensor(ranks)
    return tensor, torch.ones_like(tensor, dtype=torch.bool)


SCORES = st.lists(st.floats(-20, 20), min_size=4, max_size=4)


@given(SCORES)
def test_probabilities_of_all_orders_sum_to_one(scores: list[float]) -> None:
    orders = [list(order) for order in itertools.permutations(range(4))]
    loss = plackett_luce(f64([scores] * len(orders)), *full(orders))
    assert float(loss.neg().exp().sum()) == pytest.approx(1.0, abs=1e-11)


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_two_responses_are_bradley_terry(a: float, b: float) -> None:
    expected = float(bradley_terry(torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)))
    assert float(plackett_luce(f64([[a, b]]), *full([[0, 1]]))) == pytest.approx(expected, abs=1e-12)
    assert float(top_one(f64([[b, a]]), *full([[1, 0]]))) == pytest.approx(expected, abs=1e-12)


def test_golden_value_of_three() -> None:
    a, b, c = 0.5, -1.0, 2.0
    first = math.log(math.exp(a) + math.exp(b) + math.exp(c)) - c
    second = math.log(math.exp(a) + math.exp(b)) - a
    assert float(plackett_luce(f64([[a, b, c]]), *full([[1, 2, 0]]))) == pytest.approx(first + second, abs=1e-12)


@given(SCORES)
def test_one_best_among_equals_is_top_one(scores: list[float]) -> None:
    ranks = full([[1, 0, 1, 1]])
    assert float(plackett_luce(f64([scores]), *ranks)) == pytest.approx(
        float(top_one(f64([scores]), *ranks)), abs=1e-12
    )


def test_two_tied_best_are_each_chosen_from_all() -> None:
    scores = f64([[0.3, -0.2, 1.1]])
    expected = 2 * scores.logsumexp(1) - scores[0, 0] - scores[0, 1]
    assert float(plackett_luce(scores, *full([[0, 0, 1]]))) == pytest.approx(float(expected), abs=1e-12)


def test_a_list_of_ties_says_nothing() -> None:
    scores = f64([[0.3, -0.2, 1.1]]).requires_grad_()
    for objective in (plackett_luce, top_one):
        loss = objective(scores, *full([[2, 2, 2]]))
        (gradient,) = torch.autograd.grad(loss.sum(), scores)
        assert loss.item() == pytest.approx(0.0, abs=1e-12)
        assert float(gradient.abs().max()) < 1e-12


@pytest.mark.parametrize("objective", [plackett_luce, top_one])
def test_masked_responses_change_nothing_even_when_nan(objective) -> None:
    scores = f64([[0.3, -0.2, 1.1, math.nan, 7.0]]).requires_grad_()
    ranks, mask = torch.tensor([[1, 0, 2, 0, -3]]), torch.tensor([[True, True, True, False, False]])
    short = scores.detach()[:, :3].clone().requires_grad_()
    long_loss, short_loss = objective(scores, ranks, mask), objective(short, ranks[:, :3], mask[:, :3])
    assert long_loss.item() == pytest.approx(short_loss.item(), abs=1e-12)
    (long_gradient,) = torch.autograd.grad(long_loss.sum(), scores)
    (short_gradient,) = torch.autograd.grad(short_loss.sum(), short)
    assert torch.allclose(long_gradient[:, :3], short_gradient, atol=1e-12)
    assert long_gradient[:, 3:].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("objective", [plackett_luce, top_one])
def test_an_empty_list_is_zero_without_nan(objective) -> None:
    loss = objective(f64([[1.0, 2.0]]), torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2, dtype=torch.bool))
    assert loss.tolist() == [0.0]


def test_gaps_in_ranks_do_not_matter() -> None:
    scores = f64([[0.3, -0.2, 1.1]])
    assert torch.equal(plackett_luce(scores, *full([[0, 5, 9]])), plackett_luce(scores, *full([[0, 1, 2]])))


def test_gradients_against_finite_differences() -> None:
    scores = f64([[0.3, -0.2, 1.1, 0.4], [1.0, 0.0, -1.0, 0.5]]).requires_grad_()
    ranks, mask = torch.tensor([[0, 1, 1, 2], [0, 1, 2, 0]]), torch.tensor([[True] * 4, [True] * 3 + [False]])
    assert torch.autograd.gradcheck(lambda s: plackett_luce(s, ranks, mask), (scores,))
    assert torch.autograd.gradcheck(lambda s: top_one(s, ranks, mask), (scores,))
