from __future__ import annotations

import numpy as np

from assay.benchmarks.base import clusters, pairs_of
from assay.benchmarks.slices import by_answer, by_context, by_length, by_question, worst_slices
from assay.records import Preference, Record


def record(number: int, kind: str, better: str = "red", worse: str = "blue") -> Record:
    prompt = f"what colour is thing {number}?" if number % 2 else f"how many are there in {number}?"
    return Record.of(prompt, [better, worse], id=str(number), feedback=[Preference(0, 1)], kind=kind, note="x" * 99)


def test_a_weak_slice_is_found_ranked_first_and_significant():
    rng = np.random.default_rng(0)
    records = [record(i, "hard" if i % 4 == 0 else "easy") for i in range(400)]
    outcomes = np.array([float(rng.random() < (0.55 if i % 4 == 0 else 0.95)) for i in range(400)])
    found = worst_slices(records, pairs_of(records), outcomes, clusters(records))
    assert (found[0].column, found[0].value) == ("kind", "hard")
    assert found[0].p_value < 1e-3
    assert found[0].accuracy.n == 100
    assert found[0].accuracy.high < outcomes.mean()
    assert [item.accuracy.low for item in found] == sorted(item.accuracy.low for item in found)


def test_without_a_weak_slice_nothing_is_significant():
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        records = [record(i, f"kind {i % 7}", ("red", "green", "teal")[i % 3]) for i in range(300)]
        outcomes = (rng.random(300) < 0.8).astype(float)
        found = worst_slices(records, pairs_of(records), outcomes, clusters(records))
        assert len(found) > 8
        alarms += any(item.p_value < 0.05 for item in found)
    assert alarms <= 4  # corrected for the search: about one in twenty


def test_bounds_are_wider_for_more_slices():
    records = [record(i, f"kind {i % 2}") for i in range(200)]
    outcomes = np.tile([1.0, 1.0, 0.0, 1.0], 50)
    few = worst_slices(records, pairs_of(records), outcomes, clusters(records), slicers=[by_context])
    many = worst_slices(
        records, pairs_of(records), outcomes, clusters(records), slicers=[by_context, by_question, many_ways]
    )
    narrow = next(item for item in few if item.value == "kind 0")
    wide = next(item for item in many if item.value == "kind 0")
    assert wide.accuracy.low < narrow.accuracy.low
    assert wide.accuracy.level > narrow.accuracy.level


def many_ways(records, pairs):
    return {f"way {k}": np.array([str((i * (k + 3)) % 5) for i in range(len(pairs))], dtype=object) for k in range(5)}


def test_small_repeated_and_complete_slices_are_left_out():
    records = [record(i, "all", "red", "blue") for i in range(100)] + [record(100 + i, "rare") for i in range(4)]
    found = worst_slices(records, pairs_of(records), np.ones(104), clusters(records), slicers=[by_context, by_answer])
    assert [(item.column, item.value) for item in found] == [("kind", "all")]
    same = [
        Record.of("one prompt", ["a", "b"], id=str(i), feedback=[Preference(0, 1)], kind=str(i % 2)) for i in range(90)
    ]
    assert worst_slices(same, pairs_of(same), np.ones(90), clusters(same)) == ()  # one cluster only


def test_columns_questions_answers_and_lengths_are_named():
    records = [record(1, "a", "longer answer", "no"), record(2, "b", "no", "longer answer")]
    pairs = pairs_of(records)
    context = by_context(records, pairs)
    assert context["kind"].tolist() == ["a", "b"]
    assert context["note"].tolist() == [None, None]
    assert by_question(records, pairs)["question starts with"].tolist() == ["what colour", "how many"]
    assert by_answer(records, pairs)["right answer"].tolist() == ["longer answer", "no"]
    assert by_length(records, pairs)["right answer is"].tolist() == ["longer", "shorter"]


def test_abstentions_are_in_no_slice():
    records = [record(i, f"k{i % 2}") for i in range(100)]
    outcomes = np.where(np.arange(100) % 10 == 0, np.nan, 1.0)
    found = worst_slices(records, pairs_of(records), outcomes, clusters(records), slicers=[by_context])
    assert {item.accuracy.n for item in found} == {40, 50}
