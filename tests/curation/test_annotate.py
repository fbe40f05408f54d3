"""Annotation by judges: ratings, rankings, pairs, what failed and what it cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.benchmarks.agreement import rater_agreement
from assay.curation.annotate import COLUMN, PEOPLE, TOGETHER, annotated, is_whole, preferences, ranked, spent, voters
from assay.records import Critique, Preference, Ranking, Rating, Record, write
from assay.records.pairs import preferences_of
from assay.records.reading import read
from assay.rewards.base import scores_of
from assay.scores import Scores, Status

RECORDS = [
    Record.of("p", ["a", "aaa", "aa"], id="x", feedback=[Preference(1, 0)]),
    Record.of("q", ["aa", "aa"], id="y"),
]


def longer(records: Sequence[Record]) -> Scores:
    lengths = [float(len(response.text)) for record in records for response in record.responses]
    cost = torch.full((len(lengths),), 2.0)
    words = tuple(f"{length:.0f} letters" for length in lengths)
    columns = {"calls": cost, "tokens_read": 10 * cost, "aspect": torch.tensor(lengths) / 10}
    return scores_of(records, lengths, attributes=columns, critiques=words)


def shorter(records: Sequence[Record]) -> Scores:
    return longer(records).with_values(-100 * longer(records).values)


def silent(records: Sequence[Record]) -> Scores:
    texts = [response.text for record in records for response in record.responses]
    mute = [text == "aaa" for text in texts]
    values = [math.nan if quiet else float(len(text)) for quiet, text in zip(mute, texts, strict=True)]
    status = [Status.REFUSED if quiet else Status.OK for quiet in mute]
    return scores_of(records, values, status, ["I cannot" if quiet else "" for quiet in mute])


def of(record: Record, kind: type) -> list:
    return [item for item in record.feedback if isinstance(item, kind)]


def test_ratings_aspects_critiques_ranking_and_pairs_of_one_judge() -> None:
    first, second = annotated(RECORDS, {"length": longer}, aspects=["aspect"])
    assert [item.value for item in of(first, Rating) if item.criterion is None] == [1, 3, 2]
    assert [item.value for item in of(first, Rating) if item.criterion == "aspect"] == pytest.approx([0.1, 0.3, 0.2])
    assert of(first, Critique)[1] == Critique(1, "3 letters", rater="length")
    assert of(first, Ranking) == [Ranking((2, 0, 1), rater="length")]
    made = [(item.better, item.worse) for item in of(first, Preference) if item.rater == "length"]
    assert sorted(made) == [(1, 0), (1, 2), (2, 0)]
    assert (of(second, Ranking)[0].ranks, of(second, Preference)) == ((0, 0), [])


def test_what_people_said_stays_and_wins() -> None:
    first, _ = annotated(RECORDS, {"length": shorter})
    assert Preference(1, 0) in preferences_of(first)
    assert not [item for item in preferences_of(first) if (item.better, item.worse) == (0, 1)]


def test_several_judges_are_pooled_by_their_ranks_and_not_by_their_scales() -> None:
    judges = {"long": longer, "short": shorter, "long again": longer}
    first, _ = annotated(RECORDS, judges)
    assert of(first, Ranking) == [Ranking((2, 0, 1), rater=TOGETHER)]
    assert {item.rater for item in of(first, Rating)} == set(judges)


def test_a_response_that_was_not_judged_has_no_rating_and_no_rank_and_says_why() -> None:
    first, second = annotated(RECORDS, {"silent": silent, "length": longer})
    assert [item.response for item in of(first, Rating) if item.rater == "silent"] == [0, 2]
    assert of(first, Ranking)[0].ranks == (1, None, 0)
    told = first.context[COLUMN]["silent"]
    assert told["status"] == ["ok", "refused", "ok"]
    assert told["messages"] == {"1": "I cannot"}
    assert [is_whole(first), is_whole(second)] == [False, True]
    found = spent([first, second])
    assert (found.judged, dict(found.failed), found.cost.calls, found.cost.read) == (9, {"refused": 1}, 10, 100)


def test_a_judge_that_breaks_takes_no_row_along() -> None:
    def broken(records: Sequence[Record]) -> Scores:
        if any(record.id == "x" for record in records):
            raise RuntimeError("no")
        return longer(records)

    first, second = annotated(RECORDS, {"broken": broken}, aspects=["aspect"])
    assert (of(first, Rating), len(of(second, Rating))) == ([], 4)
    assert first.context[COLUMN]["broken"]["status"] == ["failed"] * 3


def test_agreement_of_judges_and_with_people() -> None:
    rows = [Record.of("p", [str(i), "b" * (i + 2)], id=str(i), feedback=[Preference(1, 0)]) for i in range(12)]
    good, bad = (rater_agreement(voters(annotated(rows, judges))) for judges in ({"a": longer}, {"a": shorter}))
    assert good is not None
    assert bad is not None
    assert {name for name, _, _ in good.alone} == {"a", PEOPLE}
    assert good.alone[0][1] == 1.0
    assert bad.alone[0][1] == 0.0
    ranked_rows = [
        replace(row, feedback=(Ranking((1, 0), rater="ann"), Ranking((0, 1), criterion="tone"))) for row in rows
    ]
    by_name = rater_agreement(voters(annotated(ranked_rows, {"a": longer})))
    assert by_name is not None
    assert {name: share for name, share, _ in by_name.alone} == {"a": 1.0, "ann": 1.0}
    both = rater_agreement(voters(annotated(rows[:2], {"a": longer, "b": longer})))
    assert both is not None
    assert (both.raters, both.items) == (3, 2)


@given(st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(math.nan)), max_size=7))
def test_a_ranking_gives_every_pair_but_ties_and_the_unranked(values: list[float]) -> None:
    pairs = preferences(Ranking(ranked(values)))
    wanted = {
        (i, j) if values[i] > values[j] else (j, i)
        for i, j in combinations(range(len(values)), 2)
        if values[i] != values[j] and not math.isnan(values[i] + values[j])
    }
    assert {(item.better, item.worse) for item in pairs} == wanted
    assert len(pairs) == len(wanted)


def test_near_scores_share_a_rank() -> None:
    assert ranked([1.0, 1.05, 0.5], 0.1) == (0, 0, 2)
    assert ranked([1.0, 1.05, 0.5]) == (1, 0, 2)


def test_annotated_records_go_through_files_of_other_formats(tmp_path) -> None:
    done = annotated(RECORDS, {"length": longer})
    assert write(done, tmp_path / "native.jsonl").rows == 2
    assert list(read(tmp_path / "native.jsonl")) == done
    assert write(done[:1], tmp_path / "trl.jsonl", format="trl").rows >= 1


@pytest.mark.parametrize(
    "wrong", [{"judges": {}}, {"judges": {"a": longer}, "tied": -1}, {"judges": {"a": longer}, "aspects": ["zeal"]}]
)
def test_annotations_that_make_no_sense(wrong) -> None:
    with pytest.raises(ValueError, match=r"needs a judge|has no 'zeal'"):
        annotated(RECORDS, **wrong)


def test_an_earlier_annotation_stays_beside_a_new_one() -> None:
    once = annotated(RECORDS, {"length": longer})
    twice = annotated(once, {"short": shorter, "silent": silent})
    third = annotated(twice, {"a": longer, "b": longer})
    assert list(third[0].context[COLUMN]) == ["length", "short", "silent", "a", "b"]
    assert third[0].context[COLUMN]["length"] == once[0].context[COLUMN]["length"]
    assert third[0].feedback[: len(twice[0].feedback)] == twice[0].feedback
    assert [item.rater for item in of(third[0], Ranking)] == ["length", TOGETHER, f"{TOGETHER} 2"]
    assert {vote.rater for vote in voters(third)[0].feedback} == {"length", "short", "silent", "a", "b", PEOPLE}
    assert spent(third).judged == 5 * spent(once).judged - 1
    assert spent(third, ["a", "b"]) == replace(spent(once), cost=spent(once).cost + spent(once).cost, judged=10)
    assert (is_whole(third[0]), is_whole(third[0], ["a", "b"]), is_whole(third[0], ["nobody"])) == (False, True, False)


def test_what_would_be_overwritten_is_refused_with_a_remedy() -> None:
    once = annotated(RECORDS, {"length": longer})
    with pytest.raises(ValueError, match="annotated by 'length' already: give this judge another name"):
        annotated(once, {"length": shorter})
    for own in ("a label of mine", {"mine": 3}, ["x"]):
        with pytest.raises(ValueError, match="no judge wrote, and it is not overwritten: rename it"):
            annotated([replace(RECORDS[0], context={COLUMN: own})], {"length": longer})
