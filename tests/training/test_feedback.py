"""Feedback becomes pairs, lists and ratings over the flat batch."""

import math
from functools import partial

import pytest
import torch

from assay.models.outputs import Outputs
from assay.objectives import listwise, pairwise, pointwise
from assay.records import Preference, Ranking, Rating, Record
from assay.training.feedback import lists_of, pairs_of, ratings_of
from assay.training.supervision import on_lists, on_pairs, on_ratings, supervise


def record(responses: int, *feedback, name: str = "r") -> Record:
    return Record.of("question", [f"answer {i}" for i in range(responses)], id=name, feedback=feedback)


def pair_list(pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.better.tolist(), pairs.worse.tolist(), strict=True))


def test_pairs_are_offset_by_the_responses_before_them() -> None:
    records = [record(3, Preference(2, 0)), record(2), record(2, Preference(0, 1, probability=0.8, margin=1.5))]
    pairs = pairs_of(records)
    assert pair_list(pairs) == [(2, 0), (5, 6)]
    assert math.isnan(pairs.margin[0])
    assert float(pairs.margin[1]) == 1.5
    assert pairs.probability.tolist() == pytest.approx([1.0, 0.8])
    assert pairs.silent == 1


def test_a_ranking_gives_a_pair_for_each_two_ranks_apart_and_none_for_equal_ones() -> None:
    assert pair_list(pairs_of([record(4, Ranking((1, 0, 1, None)))])) == [(1, 0), (1, 2)]


def test_raters_are_heard_where_they_are_asked_for_and_else_their_verdict() -> None:
    said = record(2, Preference(1, 0), Preference(0, 1, rater="a"), Preference(1, 0, rater="b"))
    assert pair_list(pairs_of([said])) == [(1, 0)]
    assert pair_list(pairs_of([said], select=lambda item: item.rater is not None)) == [(0, 1), (1, 0)]


def test_ratings_are_compared_within_one_rater_and_criterion() -> None:
    feedback = (Rating(0, 3.0, rater="a"), Rating(1, 5.0, rater="a"), Rating(0, 1.0, rater="b"))
    assert pair_list(pairs_of([record(2, *feedback)])) == [(1, 0)]


def test_only_the_most_direct_feedback_counts() -> None:
    both = record(2, Preference(0, 1), Ranking((0, 1)), Rating(0, 2.0), Rating(1, 1.0))
    assert len(pairs_of([both]).better) == 1
    assert len(lists_of([both]).index) == 1


def test_lists_are_padded_and_masked() -> None:
    lists = lists_of([record(2, Ranking((1, 0))), record(3, Ranking((0, None, 2)), Ranking((2, 1, 0)))])
    assert lists.index.tolist() == [[0, 1, 0], [2, 4, 0], [2, 3, 4]]
    assert lists.mask.tolist() == [[True, True, False], [True, True, False], [True, True, True]]
    assert lists.ranks[lists.mask].tolist() == [1, 0, 0, 2, 2, 1, 0]


def test_preferences_that_share_their_winner_are_one_list() -> None:
    lists = lists_of([record(4, Preference(2, 0), Preference(2, 1), Preference(2, 3), Preference(0, 1, tie=True))])
    assert lists.index.tolist() == [[2, 0, 1, 3]]
    assert lists.ranks.tolist() == [[0, 1, 1, 1]]


def test_a_list_of_equals_is_silent() -> None:
    assert lists_of([record(3, Ranking((1, 1, 1)))]).silent == 1


def test_ratings_and_weights() -> None:
    records = [record(2, Rating(1, 4.0, rater="expert"), Rating(0, 2.0, rater="crowd"))]
    ratings = ratings_of(records, weigh=lambda _, item: 3.0 if item.rater == "expert" else 1.0)
    assert (ratings.index.tolist(), ratings.targets.tolist(), ratings.weight.tolist()) == ([1, 0], [4.0, 2.0], [3, 1])


def test_select_keeps_one_criterion() -> None:
    feedback = (Preference(0, 1, criterion="helpful"), Preference(1, 0, criterion="harmless"))
    assert pair_list(pairs_of([record(2, *feedback)], select=lambda item: item.criterion == "harmless")) == [(1, 0)]


def test_pairs_reach_the_objective_with_every_tensor_it_names() -> None:
    records = [record(2, Preference(1, 0, margin=0.5)), record(2, Preference(0, 1, tie=True))]
    values = torch.tensor([0.2, 1.0, 0.5, 0.4], dtype=torch.float64)
    losses = on_pairs(partial(pairwise.bradley_terry, tie_theta=5.0))(Outputs(values), records)
    expected = pairwise.bradley_terry(
        values[[1, 2]],
        values[[0, 3]],
        margin=torch.tensor([0.5, 0.0]),
        tie=torch.tensor([False, True]),
        tie_theta=5.0,
    )
    assert torch.equal(losses.items, expected)
    assert losses.metrics["accuracy"] == (1.0, 1.0)


def test_a_pair_without_a_margin_has_the_objectives_own() -> None:
    values = torch.tensor([0.25, 0.0, 0.25, 0.0])
    records = [record(2, Preference(0, 1)), record(2, Preference(0, 1, margin=0.5))]
    assert on_pairs(pairwise.hinge)(Outputs(values), records).items.tolist() == [0.75, 0.25]
    assert on_pairs(partial(pairwise.hinge, margin=2.0))(Outputs(values), records).items.tolist() == [1.75, 1.75]
    plain = on_pairs(pairwise.bradley_terry)(Outputs(values), records).items
    assert float(plain[0]) == pytest.approx(math.log1p(math.exp(-0.25)))
    assert float(plain[1]) == pytest.approx(math.log1p(math.exp(0.25)))


def test_an_abstained_response_drops_its_pairs_counts_them_and_leaves_the_gradient_clean() -> None:
    records = [record(2, Preference(0, 1)), record(2, Preference(0, 1))]
    values = torch.tensor([1.0, 0.0, 2.0, math.nan], requires_grad=True)
    losses = on_pairs(pairwise.bradley_terry)(Outputs(values), records)
    losses.items.sum().backward()
    assert (len(losses.items), losses.excluded) == (1, 1)
    assert values.grad is not None
    assert values.grad[2:].tolist() == [0.0, 0.0]
    assert float(values.grad[0]) < 0


def test_lists_mask_what_abstained_and_drop_what_is_left_alone() -> None:
    records = [record(3, Ranking((0, 1, 2))), record(2, Ranking((0, 1)))]
    values = torch.tensor([1.0, 0.0, math.nan, 2.0, math.nan], requires_grad=True)
    losses = on_lists(listwise.plackett_luce)(Outputs(values), records)
    losses.items.sum().backward()
    assert float(losses.items.detach()) == pytest.approx(math.log1p(math.exp(-1.0)), abs=1e-6)
    assert losses.excluded == 1
    assert values.grad is not None
    assert bool(torch.isfinite(values.grad).all())


def test_equal_scores_are_half_right() -> None:
    records = [record(2, Preference(0, 1)), record(3, Ranking((0, 1, 1)))]
    losses = on_pairs(pairwise.bradley_terry)(Outputs(torch.zeros(5)), records)
    assert losses.metrics == {"accuracy": (1.5, 3.0), "tied": (3.0, 3.0)}
    losses = on_lists(listwise.top_one)(Outputs(torch.zeros(5)), records)
    assert losses.metrics["accuracy"] == (1.5, 3.0)
    assert losses.metrics["first"] == pytest.approx((1 / 2 + 1 / 3, 2.0))


def test_a_soft_label_below_half_expects_the_other() -> None:
    losses = on_pairs(pairwise.bradley_terry)(
        Outputs(torch.tensor([0.0, 1.0])), [record(2, Preference(0, 1, probability=0.1))]
    )
    assert losses.metrics["accuracy"] == (1.0, 1.0)


def test_an_objective_that_cannot_take_a_tie_refuses_it() -> None:
    with pytest.raises(ValueError, match="tie"):
        on_pairs(pairwise.hinge)(Outputs(torch.zeros(2)), [record(2, Preference(0, 1, tie=True))])


def test_ratings_measure_the_absolute_error() -> None:
    losses = on_ratings(pointwise.squared_error)(
        Outputs(torch.tensor([1.0, math.nan])), [record(2, Rating(0, 3.0), Rating(1, 1.0))]
    )
    assert losses.items.tolist() == [4.0]
    assert losses.metrics == {"absolute_error": (2.0, 1.0)}
    assert losses.excluded == 1


@pytest.mark.parametrize(
    ("objective", "feedback"),
    [
        (pairwise.bradley_terry, Preference(0, 1)),
        (pairwise.centred(pairwise.bradley_terry), Preference(0, 1)),
        (partial(pairwise.bradley_terry, tie_theta=5.0), Preference(0, 1)),
        (listwise.plackett_luce, Ranking((0, 1))),
        (pointwise.huber, Rating(0, 1.0)),
    ],
)
def test_the_view_is_read_off_the_arguments(objective, feedback) -> None:
    assert len(supervise(objective)(Outputs(torch.tensor([0.0, 1.0])), [record(2, feedback)]).items) == 1


def test_a_function_that_is_no_objective_is_refused() -> None:
    with pytest.raises(TypeError, match="chosen, rejected"):
        supervise(lambda left, right: left - right)


@pytest.mark.parametrize("objective", [pairwise.bradley_terry, listwise.plackett_luce, pointwise.squared_error])
def test_a_batch_without_feedback_gives_no_items(objective) -> None:
    losses = supervise(objective)(Outputs(torch.zeros(2)), [record(2)])
    assert (len(losses.items), losses.silent) == (0, 1)
