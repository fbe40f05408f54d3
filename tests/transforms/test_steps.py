"""Step scores: one number of them, bounded rewards, and what a step that is missing or failed does."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from assay.rewards.base import chain
from assay.scores import Scores, Status
from assay.transforms import steps as step_transforms
from assay.transforms.steps import (
    aggregate_steps,
    bounded,
    clip_delta,
    fit_clip_delta,
    last,
    leave_out,
    maximum,
    mean,
    minimum,
    product,
    total,
)
from assay.transforms.written import read, written

NAN = math.nan
OK, GATED, BAD = Status.OK, Status.GATED, Status.NON_FINITE


def scores(*rows: list[float], status: tuple[tuple[Status, ...], ...] | None = None) -> Scores:
    cells = tuple(torch.tensor(row, dtype=torch.float64) for row in rows)
    return Scores(
        values=torch.zeros(len(rows), dtype=torch.float64),
        group=torch.zeros(len(rows), dtype=torch.long),
        ids=tuple(f"a/{n}" for n in range(len(rows))),
        steps=cells,
        step_status=status,
        std=torch.ones(len(rows), dtype=torch.float64),
    )


EXAMPLE = scores([0.9, 0.5, 0.8], [0.2])


@pytest.mark.parametrize(
    ("how", "expected"),
    [(product, 0.36), (minimum, 0.5), (last, 0.8), (mean, 2.2 / 3), (maximum, 0.9), (total, 2.2)],
    ids=["product", "minimum", "last", "mean", "maximum", "total"],
)
def test_the_value_is_made_of_the_steps(how: step_transforms.Aggregate, expected: float) -> None:
    found = aggregate_steps(how)(EXAMPLE)
    assert found.values.tolist() == pytest.approx([expected, 0.2])
    assert found.std is None
    assert found.steps is EXAMPLE.steps
    assert repr(aggregate_steps(how)) == f"aggregate_steps(steps.{how.__name__})"


def test_masked_steps_count_for_nothing_and_have_no_gradient() -> None:
    for how in (product, minimum, last, mean, maximum, total):
        values = torch.tensor([[0.4, NAN, 0.7, math.inf]], dtype=torch.float64, requires_grad=True)
        mask = torch.tensor([[True, False, True, False]])
        found = how(values, mask, 1)
        (slope,) = torch.autograd.grad(found.sum(), values)
        assert torch.equal(found, how(torch.tensor([[0.4, 0.7]], dtype=torch.float64), None, 1))
        assert slope[0, [1, 3]].tolist() == [0, 0]
        assert bool(slope.isfinite().all())
        assert how(values, torch.zeros_like(mask), 1).isnan().tolist() == [True]
    assert last(torch.zeros(2, 0), None, 1).isnan().all()


def test_gated_steps_are_left_out_and_failed_ones_make_the_response_abstain() -> None:
    rows = ((OK, GATED, OK), (OK, BAD), (GATED,), ())
    given_scores = scores([0.5, NAN, 0.25], [0.5, NAN], [NAN], [], status=rows)
    found = aggregate_steps(product)(given_scores)
    assert found.status == (OK, BAD, Status.EMPTY, Status.EMPTY)
    assert found.values.tolist()[0] == 0.125
    assert found.values[1:].isnan().all()
    assert "of its steps" in found.messages[1]


def test_an_abstention_stays_what_it_was() -> None:
    before = EXAMPLE.abstain(torch.tensor([False, True]), Status.TOO_LONG, "long")
    found = aggregate_steps(minimum)(before)
    assert found.status == (OK, Status.TOO_LONG)
    assert found.messages == ("", "long")


def test_scores_without_steps_are_refused() -> None:
    bare = EXAMPLE.replace(steps=None)
    for transform in (aggregate_steps(), clip_delta(0.5)):
        with pytest.raises(ValueError, match="have no steps"):
            transform(bare)
    with pytest.raises(ValueError, match="no steps to leave out"):
        leave_out(bare, [[True]])


def test_steps_of_the_environment_are_left_out() -> None:
    kept = leave_out(EXAMPLE, [[True, False, True], [True]])
    assert kept.step_status == ((OK, GATED, OK), (OK,))
    assert aggregate_steps(minimum)(kept).values.tolist() == [0.8, 0.2]
    with pytest.raises(ValueError, match=r"\[2, 1\] steps for responses with \[3, 1\]"):
        leave_out(EXAMPLE, [[True, False], [True]])


numbers = st.lists(st.floats(-2, 2), min_size=1, max_size=7)


def column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@settings(deadline=None)
@given(numbers, st.floats(-1, 1), st.data())
def test_clipped_steps_never_add_up_to_more_than_nothing(values: list[float], eta: float, data: st.DataObject) -> None:
    there = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    clipped = bounded(column(values), there, eta=eta, delta=False)
    assert float(clipped.sum()) <= 0
    expected = torch.where(there, (column(values) - eta).clamp(max=0), 0)
    torch.testing.assert_close(clipped, expected, rtol=0, atol=0)


@settings(deadline=None)
@given(numbers, st.floats(-1, 1), st.booleans(), st.data())
def test_from_each_step_on_the_rewards_add_up_to_its_score(
    values: list[float], eta: float, clip: bool, data: st.DataObject
) -> None:
    there = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    made = bounded(column(values), there, eta=eta, clip=clip)
    q = (column(values) - eta).clamp(max=0) if clip else column(values)
    places = there.nonzero().flatten().tolist()
    to_go = made.flip(0).cumsum(0).flip(0)
    for place in places[:-1]:
        torch.testing.assert_close(to_go[place], q[place], rtol=0, atol=1e-12)
    for place in places[-1:]:
        assert made[place] == 0
    assert made[~there].tolist() == [0] * int((~there).sum())


def test_repeating_a_good_step_gains_nothing() -> None:
    once, often = (column([0.9] * count + [0.5]) for count in (1, 10))
    assert float(once.sum()) < float(often.sum())
    for delta in (False, True):
        sums = [float(bounded(row[:-1], eta=0.75, delta=delta).sum()) for row in (once, often)]
        assert sums == [0, 0]
    dense = [float(bounded(row, eta=0.75, clip=False).sum()) for row in (once, often)]
    assert dense == pytest.approx([0.9, 0.9])


def test_neither_clip_nor_delta_is_nothing() -> None:
    values = column([0.3, -2.0])
    assert torch.equal(bounded(values, eta=0.5, clip=False, delta=False), values)
    assert bounded(values[:0], eta=0.5).numel() == 0


def test_clip_delta_changes_the_steps_alone() -> None:
    status = ((OK, GATED, OK, OK), (OK,))
    before = scores([0.9, NAN, 0.5, 0.1], [0.2], status=status)
    after = clip_delta(0.75)(before)
    assert after.steps is not None
    assert after.step_status == status
    assert torch.equal(after.values, before.values)
    torch.testing.assert_close(after.steps[0], column([0.25, NAN, -0.25, 0.0]), equal_nan=True)
    assert after.steps[1].tolist() == [0]
    summed = chain(lambda _: before, clip_delta(0.75), aggregate_steps(total))
    assert "clip_delta(eta=0.75, clip=True, delta=True)" in repr(summed)


def test_eta_is_fitted_so_that_most_steps_give_nothing() -> None:
    cells = torch.linspace(0, 1, 101, dtype=torch.float64)
    fitted = fit_clip_delta(scores(cells.tolist()), share=0.8)
    made = fitted(scores(cells.tolist())).steps
    assert made is not None
    assert repr(fitted).startswith("clip_delta(eta=0.2")
    clipped = bounded(cells, eta=0.2, delta=False)
    assert float((clipped == 0).double().mean()) == pytest.approx(0.8, abs=0.01)
    with pytest.raises(ValueError, match="no step to fit"):
        fit_clip_delta(scores([]))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        fit_clip_delta(EXAMPLE, share=2)
    with pytest.raises(ValueError, match="eta must be a number"):
        clip_delta(math.nan)


@pytest.mark.parametrize("transform", [aggregate_steps(minimum), aggregate_steps(last), clip_delta(0.5, delta=False)])
def test_a_transform_of_steps_is_written_and_read_back(transform) -> None:
    form = written(transform)
    assert json.loads(json.dumps(form)) == form
    assert read(form) == transform


def test_an_aggregate_of_ones_own_has_no_written_form() -> None:
    with pytest.raises(ValueError, match="only aggregates of"):
        written(aggregate_steps(lambda values, mask, dim: values.sum(dim)))
    with pytest.raises(ValueError, match="no aggregate is called 'eval'; there are product"):
        read({"transform": "aggregate_steps", "how": {"aggregate": "eval"}})
