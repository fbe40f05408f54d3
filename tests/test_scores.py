import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.scores import Scores, Status


def make(values, **columns):
    tensor = torch.tensor(values, dtype=torch.float32)
    return Scores(
        values=tensor,
        group=columns.pop("group", torch.arange(len(values))),
        ids=tuple(f"r{i}/0" for i in range(len(values))),
        **columns,
    )


def full():
    return make(
        [1.0, math.nan, 3.0],
        status=(Status.OK, Status.TIMEOUT, Status.OK),
        std=torch.tensor([0.1, 0.2, 0.3]),
        attributes={"clarity": torch.tensor([1.0, math.nan, math.nan])},
        steps=(torch.tensor([1.0, 2.0]), torch.tensor([]), torch.tensor([math.nan])),
        critiques=("good", None, "fair"),
        messages=("", "slow", ""),
    )


def test_a_value_that_is_not_finite_becomes_a_non_finite_abstention():
    scores = make([1.0, math.inf, -math.inf, math.nan])
    assert scores.status == (Status.OK, Status.NON_FINITE, Status.NON_FINITE, Status.NON_FINITE)
    assert scores.values.isnan().tolist() == [False, True, True, True]
    assert scores.ok.tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("value", "status"),
    [(math.nan, Status.OK), (math.inf, Status.OK), (0.0, Status.FAILED), (math.inf, Status.FAILED)],
)
def test_a_value_and_status_that_contradict_are_refused(value, status):
    with pytest.raises(ValueError, match="abstention is NaN"):
        make([value], status=(status,))


@pytest.mark.parametrize(
    "columns",
    [
        {"std": torch.ones(2)},
        {"status": (Status.OK,) * 2},
        {"messages": ("",) * 2},
        {"attributes": {"a": torch.ones(2)}},
        {"steps": (torch.ones(1),) * 2},
        {"critiques": ("",) * 2},
        {"group": torch.zeros(2)},
    ],
)
def test_a_column_of_another_length_is_refused(columns):
    with pytest.raises(ValueError, match="one cell a response"):
        make([1.0, 2.0, 3.0], **columns)


def test_columns_that_are_not_flat_floats_are_refused():
    with pytest.raises(ValueError, match="flat"):
        Scores(values=torch.ones(3, 1), group=torch.zeros(3), ids=("a", "b", "c"))
    with pytest.raises(ValueError, match="float type"):
        Scores(values=torch.ones(1, dtype=torch.long), group=torch.zeros(1), ids=("a",))


def test_an_attribute_may_not_take_the_name_of_a_column():
    with pytest.raises(ValueError, match="'value'"):
        make([1.0], attributes={"value": torch.ones(1)})


def test_a_negative_std_is_refused_and_an_abstention_has_none():
    with pytest.raises(ValueError, match="negative"):
        make([1.0], std=torch.tensor([-0.1]))
    assert full().std.isnan().tolist() == [False, True, False]


def test_cells_say_why_they_are_empty():
    scores = full()
    assert scores.attribute_status["clarity"] == (Status.OK, Status.TIMEOUT, Status.NON_FINITE)
    assert scores.step_status == ((Status.OK, Status.OK), (), (Status.NON_FINITE,))


def test_a_cell_status_that_contradicts_its_cell_is_refused():
    with pytest.raises(ValueError, match="clarity"):
        make([1.0], attributes={"clarity": torch.ones(1)}, attribute_status={"clarity": (Status.REFUSED,)})
    with pytest.raises(ValueError, match="not attributes"):
        make([1.0], attribute_status={"clarity": (Status.OK,)})


@given(st.lists(st.integers(-3, 2), max_size=6))
def test_chosen_rows_keep_every_column(rows):
    scores = full()
    chosen = scores[rows]
    assert chosen.ids == tuple(scores.ids[i] for i in rows)
    assert chosen.status == tuple(scores.status[i] for i in rows)
    assert chosen.critiques == tuple(scores.critiques[i] for i in rows)
    assert chosen.messages == tuple(scores.messages[i] for i in rows)
    assert chosen.step_status == tuple(scores.step_status[i] for i in rows)
    assert np.array_equal(chosen.values.numpy(), scores.values.numpy()[rows], equal_nan=True)
    assert np.array_equal(chosen.std.numpy(), scores.std.numpy()[rows], equal_nan=True)


def test_slices_masks_and_single_rows_choose_alike():
    scores = full()
    assert scores[::-1].ids == scores[[2, 1, 0]].ids
    assert scores[torch.tensor([True, False, True])].ids == scores[[0, 2]].ids
    assert scores[-1].ids == ("r2/0",)
    assert [row.ids for row in scores] == [("r0/0",), ("r1/0",), ("r2/0",)]
    with pytest.raises(IndexError):
        scores[[3]]
    with pytest.raises(IndexError, match="mask"):
        scores[torch.tensor([True, False])]


def test_slices_concatenate_to_the_whole():
    scores = full()
    whole = Scores.concatenate([scores[:1], scores[1:]])
    assert whole.ids == scores.ids
    assert whole.status == scores.status
    assert whole.attribute_status == scores.attribute_status
    assert whole.step_status == scores.step_status
    assert whole.critiques == scores.critiques
    assert np.array_equal(whole.std.numpy(), scores.std.numpy(), equal_nan=True)


def test_concatenating_keeps_records_apart():
    first = make([1.0, 2.0], group=torch.tensor([0, 0]))
    second = make([3.0, 4.0], group=torch.tensor([0, 1]))
    assert Scores.concatenate([first, first[:0], second]).group.tolist() == [0, 0, 1, 2]
    assert len(Scores.concatenate([])) == 0


def test_a_part_of_abstentions_does_not_cost_the_others_their_columns():
    failed = make([math.nan], status=(Status.FAILED,), messages=("boom",))
    whole = Scores.concatenate([failed, full()])
    assert whole.std.isnan().tolist() == [True, False, True, False]
    assert whole.attribute_status["clarity"][0] is Status.FAILED
    assert whole.critiques[0] is None
    assert whole.steps[0].numel() == 0
    assert Scores.concatenate([make([1.0]), full()]).std is None


def test_new_values_keep_judgements_of_their_own_and_drop_what_is_in_the_old_unit():
    scores = full().with_values(torch.tensor([5.0, 5.0, math.inf]))
    assert scores.status == (Status.OK, Status.TIMEOUT, Status.NON_FINITE)
    assert scores.values.isnan().tolist() == [False, True, True]
    assert scores.std is None
    assert scores.steps is None
    assert scores.step_status is None
    assert "clarity" in scores.attributes
    assert scores.critiques == ("good", None, "fair")


def test_abstaining_takes_one_reason_or_one_a_row():
    scores = make([1.0, 2.0, 3.0], std=torch.ones(3))
    mask = torch.tensor([True, False, True])
    one = scores.abstain(mask, Status.GATED, "shut")
    assert one.status == (Status.GATED, Status.OK, Status.GATED)
    assert one.messages == ("shut", "", "shut")
    assert one.std.isnan().tolist() == [True, False, True]
    each = scores.abstain(mask, [Status.EMPTY, Status.OK, Status.REFUSED], ["a", "b", "c"])
    assert each.status == (Status.EMPTY, Status.OK, Status.REFUSED)
    assert each.messages == ("a", "", "c")


def test_gradients_pass_around_abstentions():
    values = torch.tensor([1.0, math.nan, 2.0], requires_grad=True)
    scores = Scores(values=values, group=torch.arange(3), ids=("a", "b", "c"))
    filled = scores.filled(4.0)
    assert filled.tolist() == [1.0, 4.0, 2.0]
    filled.log().sum().backward()
    assert values.grad.tolist() == [1.0, 0.0, 0.5]


def test_pandas_has_a_row_a_response_and_says_why_cells_are_empty():
    frame = full().to_pandas()
    assert list(frame["id"]) == ["r0/0", "r1/0", "r2/0"]
    assert frame["value"].isna().tolist() == [False, True, False]
    assert list(frame["status"]) == ["ok", "timeout", "ok"]
    assert list(frame["clarity.status"]) == ["ok", "timeout", "non_finite"]
    assert frame["steps"][0] == [1.0, 2.0]
    precise = Scores(values=torch.tensor([0.1], dtype=torch.float64), group=torch.zeros(1), ids=("a",))
    assert precise.to_pandas()["value"][0] == 0.1
    half = Scores(values=torch.tensor([0.5], dtype=torch.bfloat16), group=torch.zeros(1), ids=("a",))
    assert half.to_pandas()["value"][0] == 0.5


def test_replacing_steps_or_attributes_takes_their_status_anew():
    scores = full().replace(steps=None, attributes={"depth": torch.tensor([1.0, 2.0, math.nan])})
    assert scores.step_status is None
    assert scores.attribute_status == {"depth": (Status.OK, Status.OK, Status.NON_FINITE)}


def test_groups_are_rows_of_one_record():
    scores = make([1.0, 2.0, 3.0], group=torch.tensor([4, 4, 2]))
    assert [rows.tolist() for rows in scores.groups()] == [[0, 1], [2]]
