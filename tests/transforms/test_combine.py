import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay import transforms
from assay.scores import Scores, Status
from assay.spec import Spec

NAN = math.nan


def member(values, status=(), messages=(), **columns):
    tensor = values if isinstance(values, torch.Tensor) else torch.tensor(values)
    ids = tuple(f"r{i}/0" for i in range(tensor.numel()))
    group = torch.arange(tensor.numel())
    return Scores(values=tensor, group=group, ids=ids, status=status, messages=messages, **columns)


def timed_out(values):
    reasons = tuple(Status.TIMEOUT if math.isnan(value) else Status.OK for value in values)
    return member(values, reasons, tuple(f"row {i}" if s is Status.TIMEOUT else "" for i, s in enumerate(reasons)))


def test_weighted_sum_adds_up():
    combined = transforms.weighted_sum(1.0, -0.2)([member([1.0, 2.0]), member([5.0, 10.0])])
    assert combined.values.tolist() == pytest.approx([1 - 0.2 * 5, 2 - 0.2 * 10])


def test_weighted_sum_needs_a_weight_a_member():
    with pytest.raises(ValueError, match="2 weights for 1"):
        transforms.weighted_sum(1.0, 2.0)([member([1.0])])
    with pytest.raises(ValueError, match="a weight for each"):
        transforms.weighted_sum()


def test_mean_and_worst_case():
    members = [member([1.0, 4.0]), member([3.0, -4.0])]
    assert transforms.mean()(members).values.tolist() == [2.0, 0.0]
    assert transforms.worst_case()(members).values.tolist() == [1.0, -4.0]


def test_ensemble_is_mean_less_k_std_and_shows_the_std():
    combined = transforms.ensemble(k=2.0)([member([1.0, 5.0]), member([3.0, 5.0])])
    assert combined.values.tolist() == [2 - 2 * 1, 5 - 2 * 0]
    assert combined.std.tolist() == [1.0, 0.0]


def test_gate_gives_the_floor_or_gated_below_the_threshold():
    first = member([0.9, 0.5, 0.1])
    second = member([7.0, 8.0, 9.0], std=torch.ones(3), critiques=("a", "b", "c"))
    floored = transforms.gate(0.5, floor=-1.0)([first, second])
    assert floored.values.tolist() == [7.0, 8.0, -1.0]
    assert floored.std.tolist() == [1.0, 1.0, 0.0]
    assert floored.critiques == ("a", "b", "c")
    gated = transforms.gate(0.5)([first, second])
    assert gated.status == (Status.OK, Status.OK, Status.GATED)
    assert "0.5" in gated.messages[2]
    with pytest.raises(ValueError, match="takes two"):
        transforms.gate(0.5)([first])


def test_a_gate_that_could_not_be_judged_stays_shut_under_every_rule():
    first, second = timed_out([NAN, 0.1, 0.9]), member([1.0, NAN, NAN], (Status.OK, Status.REFUSED, Status.REFUSED))
    members = [first, second]
    combined = transforms.all_abstain(members, transforms.gate(0.5, floor=0.0)(members))
    assert combined.status == (Status.TIMEOUT, Status.OK, Status.REFUSED)
    assert combined.values[1].item() == 0.0


@pytest.mark.parametrize(
    "by",
    [transforms.weighted_sum(1.0, 3.0), transforms.mean(), transforms.worst_case(), transforms.ensemble(1.0)],
    ids=repr,
)
def test_who_abstains_is_the_rule_given(by):
    one = member([1.0, NAN, NAN], (Status.OK, Status.TIMEOUT, Status.EMPTY), ("", "slow", "nothing"))
    two = member([2.0, 2.0, NAN], (Status.OK, Status.OK, Status.REFUSED), ("", "", "no"))
    members = [one, two]
    strict = transforms.any_abstains(members, by(members))
    assert strict.status == (Status.OK, Status.TIMEOUT, Status.EMPTY)
    assert strict.messages == ("", "slow", "nothing")
    lenient = transforms.all_abstain(members, by(members))
    assert lenient.status == (Status.OK, Status.OK, Status.EMPTY)
    assert transforms.fewer_than(2)(members, by(members)).status == strict.status
    assert transforms.fewer_than(1)(members, by(members)).status == lenient.status


def test_a_missing_member_leaves_the_row_on_the_scale_of_the_others():
    members = [timed_out([NAN, 2.0]), member([2.0, 2.0])]
    assert transforms.weighted_sum(1.0, 3.0)(members).values.tolist() == [2 * 3 * (1 + 3) / 3, 2 + 3 * 2]
    assert transforms.mean()(members).values.tolist() == [2.0, 2.0]
    assert transforms.worst_case()(members).values.tolist() == [2.0, 2.0]
    assert transforms.ensemble(1.0)(members).std.tolist() == [0.0, 0.0]


def test_each_row_keeps_its_own_reason():
    member_one = timed_out([NAN, 1.0, NAN])
    combined = transforms.any_abstains([member_one], transforms.mean()([member_one]))
    assert combined.messages == ("row 0", "", "row 2")


def test_fewer_than_needs_at_least_one():
    with pytest.raises(ValueError, match="at least 1"):
        transforms.fewer_than(0)


def test_members_that_scored_other_rows_are_refused():
    other = Scores(values=torch.ones(1), group=torch.zeros(1), ids=("else/0",))
    with pytest.raises(ValueError, match="different responses"):
        transforms.mean()([member([1.0]), other])


def test_an_overflow_is_non_finite_rather_than_a_score():
    combined = transforms.weighted_sum(1.0, 1.0)([member([3e38]), member([3e38])])
    assert combined.status == (Status.NON_FINITE,)


def test_equal_members_give_an_ensemble_a_finite_gradient():
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    combined = transforms.ensemble(1.0)([member(values), member([1.0, 3.0])])
    combined.values.sum().backward()
    assert bool(torch.isfinite(values.grad).all())


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=4), st.floats(-3, 3), st.data())
def test_the_declared_range_holds_for_every_combination(bounds, k, data):
    specs = [Spec(low=-5.0, high=bound) for bound in bounds]
    cells = [data.draw(st.floats(-5.0, bound)) for bound in bounds]
    members = [member(torch.tensor([cell], dtype=torch.float64)) for cell in cells]
    weights = data.draw(st.lists(st.floats(-2, 2), min_size=len(bounds), max_size=len(bounds)))
    combinations = [
        transforms.mean(),
        transforms.worst_case(),
        transforms.ensemble(k),
        transforms.weighted_sum(*weights),
    ]
    for by in combinations:
        spec = by.spec_after(*specs)
        value = by(members).values.item()
        assert spec.low - 1e-9 <= value <= spec.high + 1e-9, by


def test_what_a_combination_declares():
    one = Spec(low=0, high=1, unit="points", needs=("a",), differentiable=True, modalities=frozenset({"image"}))
    two = Spec(low=0, high=4, unit="points", needs=("b", "a"), deterministic=False, scale="within_group")
    spec = transforms.weighted_sum(1.0, -0.5).spec_after(one, two)
    assert (spec.low, spec.high) == (0 - 0.5 * 4, 1.0)
    assert spec.needs == ("a", "b")
    assert spec.modalities == {"image", "text"}
    assert not spec.deterministic
    assert not spec.differentiable
    assert spec.scale == "within_group"
    assert transforms.mean().spec_after(one, two).unit == "points"
    assert transforms.worst_case().spec_after(one, Spec()).high == 1
    assert transforms.worst_case().spec_after(one, Spec()).low is None
    gated = transforms.gate(0.5, floor=-1.0).spec_after(two, one)
    assert (gated.low, gated.high, gated.needs) == (-1.0, 1, ("b", "a"))
    lower = Spec(better="lower")
    assert transforms.weighted_sum(-1.0).spec_after(lower).better == "higher"
    assert transforms.mean().spec_after(lower, lower).better == "lower"
