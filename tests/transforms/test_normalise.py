"""Scores put on a scale: of bounds, of a distribution, of the prompt, of an anchor."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from assay import transforms
from assay.scores import Scores, Status
from assay.spec import Spec

NAN = math.nan


def scores(values, groups=None, **columns):
    tensor = torch.tensor(values, dtype=torch.float64)
    group = list(range(len(values))) if groups is None else groups
    ids = tuple(f"r{g}/{group[:i].count(g)}" for i, g in enumerate(group))
    return Scores(values=tensor, group=torch.tensor(group), ids=ids, **columns)


def test_a_rating_of_one_to_five_and_a_cosine_meet_on_one_range() -> None:
    rating = transforms.unit_range(1, 5)(scores([1.0, 3.0, 5.0], std=torch.ones(3)))
    assert rating.values.tolist() == [0.0, 0.5, 1.0]
    assert rating.std.tolist() == [0.25] * 3
    assert transforms.unit_range(-1, 1)(scores([-1.0, 0.0, 1.0])).values.tolist() == [0.0, 0.5, 1.0]
    fitted = transforms.fit_unit_range(scores([4.0, NAN, -2.0]))
    assert fitted == transforms.unit_range(-2.0, 4.0)
    with pytest.raises(ValueError, match="low below high"):
        transforms.unit_range(1, 1)
    with pytest.raises(ValueError, match="all equal"):
        transforms.fit_unit_range(scores([2.0, 2.0, NAN]))


@dataclass
class Reference:
    mean: float = 2.0
    std: float = 4.0
    quantiles: tuple[float, ...] = (0.0, 1.0, 5.0)


def test_a_reference_standardises() -> None:
    assert transforms.standardised(Reference()) == transforms.scale(2.0, 4.0)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=12), st.floats(-7, 7))
def test_percentile_of_a_whole_sample_is_scipys_at_its_own_points(sample, value) -> None:
    knots = sorted(float(v) for v in sample)
    if knots[0] == knots[-1]:
        return
    found = transforms.percentile(knots)(scores([*knots, value])).values.numpy()
    assert ((found >= 0) & (found <= 1)).all()
    n = len(knots)
    mean_rank = [percentileofscore(knots, v, "mean") / 100 * n - 0.5 for v in knots]
    assert np.allclose(found[:n] * (n - 1), mean_rank, atol=1e-9)
    order = np.argsort([*knots, value], kind="stable")
    assert (np.diff(found[order]) >= -1e-12).all()


def test_percentile_is_linear_between_quantiles_and_flat_beyond() -> None:
    transform = transforms.percentile([0.0, 1.0, 5.0])
    assert transform(scores([-3.0, 0.5, 3.0, 9.0])).values.tolist() == [0.0, 0.25, 0.75, 1.0]
    with pytest.raises(ValueError, match="rise"):
        transforms.percentile([0.0, 2.0, 1.0])
    with pytest.raises(ValueError, match="rise"):
        transforms.percentile([1.0, 1.0])


GROUPED = [1.0, 3.0, NAN, 10.0, 10.0, 7.0]
GROUPS = [0, 0, 0, 1, 1, 2]


def test_each_prompt_is_its_own_scale() -> None:
    given = scores(GROUPED, GROUPS)
    centred = transforms.prompt_centred()(given)
    assert centred.values[centred.ok].tolist() == [-1.0, 1.0, 0.0, 0.0, 0.0]
    standard = transforms.prompt_standardised()(given)
    assert standard.values[standard.ok].tolist() == [-1.0, 1.0, 0.0, 0.0, 0.0]
    assert centred.status == standard.status == given.status
    assert transforms.prompt_standardised(epsilon=1.0)(given).values[1] == 0.5
    for transform in (transforms.prompt_centred(), transforms.prompt_standardised()):
        assert transform.spec_after(Spec(low=0.0, high=1.0)).scale == "within_group"


def test_adding_a_number_to_a_prompt_or_stretching_it_changes_nothing() -> None:
    given = scores([1.0, 3.0, 8.0, 2.0, 5.0], [0, 0, 0, 1, 1])
    moved = given.with_values(
        given.values * torch.tensor([3.0, 3.0, 3.0, 1.0, 1.0]) + torch.tensor([5.0] * 3 + [0.0] * 2)
    )
    standard = transforms.prompt_standardised()
    assert torch.allclose(standard(moved).values, standard(given).values, atol=1e-12)


def test_groups_need_not_lie_side_by_side() -> None:
    mixed = transforms.prompt_centred()(scores([1.0, 10.0, 3.0, 20.0], [0, 1, 0, 1]))
    assert mixed.values.tolist() == [-1.0, -5.0, 1.0, 5.0]


def test_equal_responses_pull_nothing_and_break_no_gradient() -> None:
    leaf = torch.tensor([2.0, 2.0], requires_grad=True)
    given = Scores(values=leaf, group=torch.tensor([0, 0]), ids=("a/0", "a/1"))
    transforms.prompt_standardised()(given).values.sum().backward()
    assert leaf.grad.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="epsilon"):
        transforms.prompt_standardised(-1.0)


def test_anchors_shift_each_record_and_a_record_without_one_abstains() -> None:
    given = scores([1.0, 3.0, NAN, 10.0], [0, 0, 1, 2])
    found = transforms.anchored({"r0": 2.0, "r1": 0.0})(given)
    assert found.values[:2].tolist() == [-1.0, 1.0]
    assert found.status == (Status.OK, Status.OK, Status.NON_FINITE, Status.MISSING_CONTEXT)
    assert "fit_anchors" in found.messages[3]
    with pytest.raises(ValueError, match="not finite"):
        transforms.anchored({"a": NAN})


def test_anchors_are_fitted_to_a_quantile_of_each_record() -> None:
    samples = scores([0.0, 1.0, 2.0, 3.0, 4.0, NAN, 7.0, NAN], [0, 0, 0, 0, 0, 0, 1, 2])
    assert transforms.fit_anchors(samples, 0.75) == transforms.anchored({"r0": 3.0, "r1": 7.0})
    with pytest.raises(ValueError, match="quantile"):
        transforms.fit_anchors(samples, 1.5)
