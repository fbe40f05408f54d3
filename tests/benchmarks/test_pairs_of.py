from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.benchmarks.base import clusters, pairs_of, score_in_batches, shuffled, values_of
from assay.media import Image, Text
from assay.records import Preference, Ranking, Rating, Record
from assay.rewards.base import Spec, scores_of
from assay.scores import Scores


def record(feedback, responses=3, prompt="q"):
    return Record.of(prompt, [f"a{i}" for i in range(responses)], id="r", feedback=feedback)


def listed(pairs):
    return sorted(zip(pairs.better.tolist(), pairs.worse.tolist(), strict=True))


def test_a_verdict_counts_once_and_not_once_more_for_each_rater():
    assert listed(pairs_of([record([Preference(1, 0), Preference(0, 1, rater="a")])])) == [(1, 0)]
    assert len(pairs_of([record([Preference(1, 0, rater="b"), Preference(0, 1, rater="a")])])) == 2


def test_a_ranking_implies_every_pair_of_unequal_ranks_and_counts_equal_ones():
    pairs = pairs_of([record([Ranking((0, 1, 1))])])
    assert listed(pairs) == [(0, 1), (0, 2)]
    assert pairs.ties == 1
    partial = pairs_of([record([Ranking((1, None, 0))])])
    assert listed(partial) == [(2, 0)]


def test_rows_count_over_the_whole_batch_and_weights_can_sum_to_one_a_record():
    records = [record([Preference(1, 0)], 2), record([Ranking((0, 1, 2))])]
    pairs = pairs_of(records, per_record=True)
    assert listed(pairs) == [(1, 0), (2, 3), (2, 4), (3, 4)]
    assert pairs.record.tolist() == [0, 1, 1, 1]
    assert pairs.weight.tolist() == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    assert pairs_of(records).weight.tolist() == [1, 1, 1, 1]


def test_soft_preferences_point_to_the_likelier_side_and_ties_are_no_pairs():
    pairs = pairs_of([record([Preference(0, 1, 0.3), Preference(0, 2, tie=True), Preference(1, 2, 0.5)])])
    assert listed(pairs) == [(1, 0)]
    assert pairs.probability.tolist() == pytest.approx([0.7])
    assert pairs.ties == 2


def test_ratings_compare_within_one_rater_and_criterion_only():
    ratings = [Rating(0, 1.0, "ann"), Rating(1, 5.0, "ann"), Rating(2, 3.0, "bob"), Rating(2, 3.0, "ann", "style")]
    assert listed(pairs_of([record(ratings)])) == [(1, 0)]


def test_feedback_on_a_missing_response_names_the_record():
    with pytest.raises(ValueError, match="'r' has 2 responses, its feedback names number 2"):
        pairs_of([record([Preference(0, 2)], 2)])


def test_nothing_compared_is_no_pairs():
    pairs = pairs_of([record([])])
    assert len(pairs) == 0
    assert pairs.outcomes(np.zeros(3)).size == 0


def test_records_that_share_a_picture_are_one_cluster_also_through_others(tmp_path: Path):
    pictures = [Image.from_bytes(bytes([i])) for i in range(3)]
    prompts = [[pictures[0]], [pictures[0], pictures[1]], [pictures[1]], [pictures[2]]]
    records = [Record.of([*found, Text("same words")], ["a"]) for found in prompts]
    assert clusters(records).tolist() == [0, 0, 0, 1]
    missing = [Record.of([Image.from_path(tmp_path / name)], ["a"]) for name in ("x.png", "y.png", "x.png")]
    assert clusters(missing).tolist() == [0, 1, 0]


def test_text_records_cluster_by_prompt():
    records = [Record.of(prompt, ["a"]) for prompt in ("one", "two", "one")]
    assert clusters(records).tolist() == [0, 1, 0]


@given(st.integers(0, 1000), st.lists(st.integers(2, 5), min_size=1, max_size=4))
def test_shuffling_changes_no_comparison(seed: int, sizes: list[int]):
    records = [record([Ranking(tuple(range(size))), Preference(size - 1, 0), Rating(1, 2.0)], size) for size in sizes]
    mixed, orders = shuffled(records, seed)
    before, after = pairs_of(records), pairs_of(mixed)

    def texts(some, pairs):
        flat = [response.text for item in some for response in item.responses]
        return sorted((flat[b], flat[w]) for b, w in zip(pairs.better, pairs.worse, strict=True))

    assert texts(records, before) == texts(mixed, after)
    for original, now, order in zip(records, mixed, orders, strict=True):
        assert [original.responses[i] for i in order] == list(now.responses)


def text_length(records):
    return scores_of(records, [float(len(r.text)) for record in records for r in record.responses])


class Lower:
    spec = Spec(better="lower")

    def __call__(self, records) -> Scores:
        return text_length(records)


def test_scoring_in_batches_gives_the_rows_of_one_call_and_reports_progress():
    records = [Record.of(f"q{i}", ["a", "bb"], id=str(i)) for i in range(5)]
    told: list[int] = []
    scores = score_in_batches(text_length, records, size=2, advance=told.append)
    assert torch.equal(scores.values, text_length(records).values)
    assert scores.group.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert told == [2, 2, 1]
    assert values_of(Lower(), scores).tolist() == [-1.0, -2.0] * 5
