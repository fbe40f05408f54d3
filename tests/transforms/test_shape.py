import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay import transforms
from assay.scores import Scores, Status
from assay.spec import Spec


def scores_of(values, **columns):
    tensor = values if isinstance(values, torch.Tensor) else torch.tensor(values)
    rows = tensor.numel()
    return Scores(values=tensor, group=torch.arange(rows), ids=tuple(f"r{i}/0" for i in range(rows)), **columns)


def test_clip_bounds_both_sides_or_one():
    scores = scores_of([-2.0, 0.5, 3.0])
    assert transforms.clip(0, 1)(scores).values.tolist() == [0.0, 0.5, 1.0]
    assert transforms.clip(high=1)(scores).values.tolist() == [-2.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="above high"):
        transforms.clip(1, 0)
    with pytest.raises(ValueError, match="low or high"):
        transforms.clip()


def test_scale_divides_values_and_std_by_the_reference_std():
    scaled = transforms.scale(mean=1.0, std=2.0)(scores_of([1.0, 5.0], std=torch.tensor([1.0, 4.0])))
    assert scaled.values.tolist() == [(1 - 1) / 2, (5 - 1) / 2]
    assert scaled.std.tolist() == [1 / 2, 4 / 2]
    with pytest.raises(ValueError, match="above 0"):
        transforms.scale(0.0, 0.0)


def test_fit_scale_takes_its_statistics_from_the_judged_rows():
    fitted = transforms.fit_scale(scores_of([1.0, 3.0, math.nan]))
    assert repr(fitted) == f"scale(mean={(1 + 3) / 2}, std={math.sqrt(2.0)!r})"
    with pytest.raises(ValueError, match="only 1 of 2"):
        transforms.fit_scale(scores_of([1.0, math.nan]))
    with pytest.raises(ValueError, match="equal"):
        transforms.fit_scale(scores_of([2.0, 2.0]))


def test_log_sigmoid_is_the_log_probability_of_beating_the_reference():
    shaped = transforms.log_sigmoid(reference=1.0)(scores_of([1.0, 3.0], std=torch.ones(2)))
    assert shaped.values.tolist() == pytest.approx([math.log(0.5), -math.log1p(math.exp(-2.0))])
    assert shaped.std is None


def test_fit_log_sigmoid_takes_a_quantile_of_the_judged_rows():
    fitted = transforms.fit_log_sigmoid(scores_of([0.0, 1.0, 2.0, 3.0, 4.0, math.nan]), quantile=0.5)
    assert repr(fitted) == "log_sigmoid(reference=2.0)"
    with pytest.raises(ValueError, match=r"0\.\.1"):
        transforms.fit_log_sigmoid(scores_of([1.0]), quantile=1.5)
    with pytest.raises(ValueError, match="only 0 of 1"):
        transforms.fit_log_sigmoid(scores_of([math.nan]))


finite = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)


@given(st.lists(finite, min_size=2, max_size=30), finite, st.sampled_from([torch.float32, torch.bfloat16]))
def test_sigmoids_never_swap_two_responses(values, reference, dtype):
    scores = scores_of(torch.tensor(values, dtype=dtype).sort().values)
    for transform in (transforms.log_sigmoid(reference), transforms.sigmoid()):
        shaped = transform(scores).values
        assert bool((shaped[1:] >= shaped[:-1]).all())
        assert shaped.dtype == dtype


@given(st.floats(-20, 20, width=32), st.integers(1, 40))
def test_log_sigmoid_never_swaps_neighbouring_floats(start, steps):
    values = [torch.tensor(start)]
    for _ in range(steps):
        values.append(torch.nextafter(values[-1], torch.tensor(torch.inf)))
    shaped = transforms.log_sigmoid(0.3)(scores_of(torch.stack(values))).values
    assert bool((shaped[1:] >= shaped[:-1]).all())


def test_log_sigmoid_stays_finite_far_out():
    shaped = transforms.log_sigmoid()(scores_of([-1e30, 1e30]))
    assert shaped.values.tolist() == pytest.approx([-1e30, 0.0])
    assert shaped.status == (Status.OK, Status.OK)


def test_negate_flips_the_direction_and_keeps_the_std():
    negated = transforms.negate()(scores_of([1.0, -2.0], std=torch.tensor([0.5, 0.5])))
    assert negated.values.tolist() == [-1.0, 2.0]
    assert negated.std.tolist() == [0.5, 0.5]


def test_what_a_transform_makes_of_the_declared_range():
    spec = Spec(low=-1.0, high=3.0, unit="points", needs=("answer",))
    assert transforms.clip(0, 9).spec_after(spec).low == 0
    assert transforms.clip(0, 9).spec_after(spec).high == 3
    assert transforms.clip(5, 9).spec_after(spec) == Spec(low=5, high=5, unit="points", needs=("answer",))
    scaled = transforms.scale(1.0, 2.0).spec_after(spec)
    assert (scaled.low, scaled.high, scaled.unit) == ((-1 - 1) / 2, (3 - 1) / 2, "standard deviations")
    negated = transforms.negate().spec_after(spec)
    assert (negated.low, negated.high, negated.better) == (-3, 1, "lower")
    assert transforms.log_sigmoid().spec_after(Spec()).high == 0
    assert transforms.sigmoid().spec_after(Spec()).low == 0
