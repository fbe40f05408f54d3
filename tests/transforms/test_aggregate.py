"""Aggregates against numpy on what the mask leaves, with clean gradients; and the combinations made of them."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay import transforms
from assay.scores import Scores, Status
from assay.spec import Spec
from assay.transforms import aggregate, uncertainty

NAN = math.nan


def lse(x):
    return float(0.5 * np.log(np.mean(np.exp(x / 0.5))))


CASES = {
    "mean": (aggregate.mean, np.mean),
    "median": (aggregate.median, np.median),
    "minimum": (aggregate.minimum, np.min),
    "maximum": (aggregate.maximum, np.max),
    "total": (aggregate.total, np.sum),
    "product": (aggregate.product, np.prod),
    "variance": (aggregate.variance, np.var),
    "deviation": (aggregate.deviation, np.std),
    "mean_minus_std": (partial(aggregate.mean_minus_std, k=2.0), lambda x: np.mean(x) - 2 * np.std(x)),
    "mean_minus_variance": (partial(aggregate.mean_minus_variance, k=2.0), lambda x: np.mean(x) - 2 * np.var(x)),
    "log_sum_exp": (partial(aggregate.log_sum_exp, temperature=0.5), lse),
}
case = pytest.mark.parametrize(("by", "expected"), CASES.values(), ids=CASES.keys())
VALUES = st.lists(st.floats(-5, 5), min_size=1, max_size=6)


@case
@given(VALUES, st.data())
def test_what_is_masked_takes_no_part(by, expected, values, data) -> None:
    mask = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    column = torch.tensor([v if kept else NAN for v, kept in zip(values, mask, strict=True)], dtype=torch.float64)
    found = by(column.unsqueeze(1), torch.tensor(mask).unsqueeze(1), 0)
    kept = np.array(values)[mask]
    assert found.shape == (1,)
    if not kept.size:
        assert bool(found.isnan())
    else:
        assert float(found) == pytest.approx(float(expected(kept)), abs=1e-9)


@case
def test_without_a_mask_along_any_axis_with_a_true_gradient(by, expected) -> None:
    values = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for dim in (0, 1, -1):
        found = by(values, None, dim).detach().numpy()
        assert np.allclose(found, np.apply_along_axis(expected, dim, values.detach().numpy()), atol=1e-9)
    mask = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(1)) > 0.3
    mask[0, 0] = True
    assert torch.autograd.gradcheck(lambda x: torch.nan_to_num(by(x, mask, 2)), (values,))


@case
def test_nothing_there_gives_nan_and_no_gradient(by, expected) -> None:
    values = torch.tensor([[1.0, NAN], [2.0, math.inf]], requires_grad=True)
    mask = torch.tensor([[True, False], [True, False]])
    found = by(values, mask, 0)
    assert bool(found[1].isnan())
    found[0].backward()
    assert bool(torch.isfinite(values.grad).all())
    assert values.grad[:, 1].tolist() == [0.0, 0.0]
    assert by(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.bool), 0).isnan().tolist() == [True, True]


def test_weights_of_what_is_there_are_renormalised() -> None:
    values = torch.tensor([[1.0, 5.0], [3.0, NAN], [9.0, 1.0]], dtype=torch.float64)
    mask = ~values.isnan()
    found = aggregate.weighted(values, mask, 0, weights=[1.0, 2.0, 1.0])
    assert found.tolist() == pytest.approx([(1 + 6 + 9) / 4, (5 + 1) / 2])
    assert aggregate.weighted(values, mask, 0, weights=[0.0, 1.0, 0.0]).isnan().tolist() == [False, True]
    each = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    assert aggregate.weighted(values, mask, 0, weights=each).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="2 weights for 3"):
        aggregate.weighted(values, mask, 0, weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="negative"):
        aggregate.weighted(values, mask, 0, weights=[1.0, -2.0, 1.0])


def test_conjunction_is_the_log_probability_that_all_hold() -> None:
    values = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    expected = sum(-math.log1p(math.exp(-(v - r))) for v, r in zip(values.tolist(), (0.0, 1.0, -1.0), strict=True))
    assert float(aggregate.conjunction(values, references=[0.0, 1.0, -1.0])) == pytest.approx(expected, abs=1e-12)
    part = aggregate.conjunction(values, torch.tensor([True, False, True]))
    both = -math.log1p(math.exp(-1.0)) - math.log1p(math.exp(-0.5))
    assert float(part) == pytest.approx(1.5 * both, abs=1e-12)
    with pytest.raises(ValueError, match="2 references for 3"):
        aggregate.conjunction(values, references=[0.0, 1.0])


def test_log_sum_exp_runs_from_the_mean_to_the_extremes() -> None:
    values = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    assert float(aggregate.log_sum_exp(values, temperature=1e4)) == pytest.approx(5 / 3, abs=1e-3)
    assert float(aggregate.log_sum_exp(values, temperature=1e-3)) == pytest.approx(4.0, abs=2e-3)
    assert float(aggregate.log_sum_exp(values, temperature=-1e-3)) == pytest.approx(0.0, abs=2e-3)
    assert float(aggregate.log_sum_exp(torch.full((5,), 3.0), temperature=0.7)) == pytest.approx(3.0, abs=1e-6)
    for maker in (partial(aggregate.log_sum_exp, values), transforms.log_sum_exp):
        with pytest.raises(ValueError, match="0"):
            maker(temperature=0.0)


def member(values):
    tensor = torch.tensor(values)
    return Scores(values=tensor, group=torch.arange(len(values)), ids=tuple(f"r{i}/0" for i in range(len(values))))


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (transforms.median(), [2.0, 3.5]),
        (transforms.best_case(), [5.0, 4.0]),
        (transforms.product(), [10.0, 12.0]),
        (transforms.mean_minus_variance(0.5), [8 / 3 - 0.5 * np.var([1, 2, 5]), 3.5 - 0.5 * 0.25]),
    ],
    ids=repr,
)
def test_combinations_leave_abstaining_members_out(by, expected) -> None:
    members = [member([1.0, NAN, 1.0]), member([2.0, 3.0, NAN]), member([5.0, 4.0, NAN])]
    lenient = transforms.all_abstain(members, by(members))
    assert lenient.values.tolist()[:2] == pytest.approx(expected)
    strict = transforms.any_abstains(members, by(members))
    assert strict.status == (Status.OK, Status.NON_FINITE, Status.NON_FINITE)


def test_disagreement_needs_both() -> None:
    found = transforms.disagreement()([member([1.0, NAN]), member([-2.0, 1.0])])
    assert found.values[0] == 3.0
    assert found.status[1] is Status.NON_FINITE
    assert transforms.disagreement().spec_after(Spec(), Spec()).better == "lower"
    with pytest.raises(ValueError, match="compares two"):
        transforms.disagreement()([member([1.0])] * 3)
    with pytest.raises(ValueError, match="3 references for 2"):
        transforms.conjunction(0.0, 1.0, 2.0)([member([1.0])] * 2)


def test_a_spike_in_one_reward_buys_nothing_under_conjunction() -> None:
    helpful, harmless = member([1.0, 9.0]), member([1.0, -2.0])
    assert int(transforms.weighted_sum(1.0, 1.0)([helpful, harmless]).values.argmax()) == 1
    assert int(transforms.conjunction()([helpful, harmless]).values.argmax()) == 0


def test_confidence_falls_from_one_with_uncertainty() -> None:
    first, second = torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])
    found = uncertainty.confidence(uncertainty.absolute_difference(first, second))
    assert found.tolist() == pytest.approx([1.0, math.exp(-2)])
    logits = torch.tensor([[2.0, 0.0, -1.0]], dtype=torch.float64)
    assert uncertainty.divergence(logits, logits + 3).abs().item() < 1e-12
    other = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    p, q = torch.softmax(logits, -1), torch.softmax(other, -1)
    assert uncertainty.divergence(logits, other).item() == pytest.approx(float((p * (p / q).log()).sum()), abs=1e-12)
