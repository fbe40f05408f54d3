import math

import pytest

from assay.curation.sift import judged, rank_and_sift, verdict
from assay.records import Preference, Record
from assay.rewards.base import scores_of
from assay.scores import Status


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Answer 1 is better.", 0),
        ("Clearly, response 2 is better than the other.", 1),
        ("ANSWER 2 IS MUCH BETTER", 1),
        ("Answer 1 is not better.", None),
        ("Answer 1 is better. Answer 2 is better.", None),
        ("Both answers have their merits.", None),
        ("Answer 1 is worse.", None),
        ("", None),
        ("Answer 12 is better.", None),
    ],
)
def test_a_verdict_is_read_or_not_there(text, named):
    assert verdict(text) == named


def by_length(records):
    return scores_of(records, [float(len(r.text)) for record in records for r in record.responses])


def longer(record, first, second):
    a, b = (len(record.responses[i].text) for i in (first, second))
    return None if a == b else (first if a > b else second)


RECORDS = [Record.of(f"p{i}", ["a", "bb", "ccc", "dddd"], id=str(i)) for i in range(30)]


def test_the_winner_of_the_highest_and_the_loser_of_the_lowest_score_are_paired():
    sifted = rank_and_sift(longer, by_length, rounds=30)(RECORDS)
    assert [record.feedback for record in sifted] == [(Preference(3, 0, strength=3.0),)] * 30
    once = rank_and_sift(longer, by_length, rounds=1)(RECORDS)
    pairs = {(record.feedback[0].better, record.feedback[0].worse) for record in once}
    assert len(pairs) > 1
    assert all(better > worse for better, worse in pairs)


def test_the_same_seed_draws_the_same_pairs():
    one, again, other = (rank_and_sift(longer, by_length, rounds=1, seed=s)(RECORDS) for s in (1, 1, 2))
    assert one == again
    assert one != other


def test_what_names_nobody_is_a_tie_and_never_the_first():
    silent = judged(lambda record, first, second: "Both answers have their merits.")
    assert silent(RECORDS[0], 0, 3) is None
    assert rank_and_sift(silent, by_length)(RECORDS) == []
    named = judged(lambda record, first, second: "Answer 2 is better.")
    assert named(RECORDS[0], 3, 0) == 0


def test_a_pair_that_scores_deny_stays_out():
    def shorter(record, first, second):
        return first if longer(record, first, second) == second else second

    assert rank_and_sift(shorter, by_length, rounds=1)(RECORDS) == []


def test_unjudged_responses_are_neither_winner_nor_loser():
    def partly(records):
        values = [math.nan if len(r.text) == 4 else float(len(r.text)) for record in records for r in record.responses]
        return scores_of(records, values, [Status.REFUSED if math.isnan(v) else Status.OK for v in values])

    sifted = rank_and_sift(longer, partly, rounds=30)(RECORDS)
    assert {(record.feedback[0].better, record.feedback[0].worse) for record in sifted} == {(2, 0)}


def test_records_of_one_response_stay_out_and_rounds_are_needed():
    assert rank_and_sift(longer, by_length)([Record.of("p", ["a"])]) == []
    with pytest.raises(ValueError, match="rounds"):
        rank_and_sift(longer, by_length, rounds=0)
