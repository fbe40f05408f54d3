"""The check finds what is wrong, counts what is there, and notices which way things point."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_strategies import png

from assay.media import Image, Text
from assay.records import Critique, Message, Preference, Ranking, Rating, Record, Response, Span, SpanLabels, StepLabels
from assay.records import preferences_of as implied
from assay.records.check import DuplicateIdsError, SeenIds, check, refuse_duplicates

PAIR = [Preference(0, 1)]


def codes(record: Record, **options: bool) -> dict[str, int]:
    return check([record], **options).counts


def test_nothing_is_wrong_with_a_sound_record() -> None:
    report = check([Record.of("q", ["a", "b"], feedback=[*PAIR, Rating(0, 1.0), Ranking((0, 1)), Critique(0, "ok")])])
    assert report.ok
    assert report.findings == []
    assert (report.records, report.responses, report.preferences) == (1, 2, 1)
    assert report.feedback == {"Preference": 1, "Rating": 1, "Ranking": 1, "Critique": 1}
    assert any("rank 0 is best" in direction for direction in report.directions)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (Record.of("q", []), "no_responses"),
        (Record.of([], ["a"]), "empty_prompt"),
        (Record.of("q", ["a", " \n"]), "empty_response"),
        (Record.of("q", ["a", "a"], feedback=PAIR), "equal_answers"),
        (Record.of("q", ["a", "b"], feedback=[Preference(0, 2)]), "bad_feedback"),
        (Record.of("q", ["a", "b"], feedback=[Preference(1, 1)]), "bad_feedback"),
        (Record.of("q", ["a", "b"], feedback=[Ranking((0,))]), "bad_feedback"),
        (Record.of("q", ["a"], feedback=[Rating(1, 0.0)]), "bad_feedback"),
        (Record.of("q", ["a"], feedback=[Rating(0, float("nan"))]), "bad_feedback"),
        (Record.of("q", [Response.from_steps(["a", "b"])], feedback=[StepLabels(0, (1.0,))]), "bad_feedback"),
        (Record.of("q", ["abc"], feedback=[SpanLabels(0, (Span(1, 4, "x"),))]), "bad_feedback"),
        (Record.of([Image.from_path("/no/such.png")], ["a"]), "missing_media"),
        (Record.of([Image.from_bytes(b"")], ["a"]), "empty_media"),
    ],
)
def test_each_fault_has_its_code(record: Record, code: str) -> None:
    assert codes(record) == {code: 1}


def test_tool_calls_and_pictures_are_something(tmp_path: Path) -> None:
    call = Message("assistant", (), tool_calls=({"type": "function"},))
    (tmp_path / "a.png").write_bytes(png(1))
    picture = Image.from_path(tmp_path / "a.png")
    assert codes(Record.of("q", [Response((call,)), [picture]])) == {}
    (tmp_path / "a.png").write_bytes(b"")
    assert codes(Record.of("q", [[picture]])) == {"empty_media": 1}
    assert codes(Record.of("q", [[picture]]), media=False) == {}


def test_modalities_are_counted_together() -> None:
    image = Image.from_bytes(png(2))
    report = check([Record.of([image, "q"], ["a"], id="1"), Record.of("q", ["a"], id="2"), Record.of(image, [[image]])])
    assert report.modalities == {"image+text": 1, "text": 1, "image": 1}


def test_first_and_length_shares() -> None:
    pairs = [
        Record.of(str(n), ["aaaa", "b"], id=str(n), feedback=[Preference(n % 4 == 0, n % 4 != 0)]) for n in range(40)
    ]
    report = check(pairs)
    assert report.first_is_best == 0.75
    assert report.longer_is_better == 0.75
    assert report.notes == []


@pytest.mark.parametrize(("better", "words"), [(0, "a judge that always says 'first'"), (1, "direction is reversed")])
def test_one_sided_positions_are_noted(better: int, words: str) -> None:
    pairs = [Record.of(str(n), ["a", "b"], id=str(n), feedback=[Preference(better, 1 - better)]) for n in range(30)]
    (note,) = check(pairs).notes
    assert words in note


def test_findings_are_bounded_and_counts_are_not() -> None:
    report = check(Record.of("q", [], id=str(n)) for n in range(1500))
    assert len(report.findings) == 1000
    assert report.counts == {"no_responses": 1500}
    assert (report.findings[3].record, report.findings[3].position) == ("3", 3)


def test_duplicates_name_both_positions() -> None:
    records = [Record.of("q", ["a"], id=name) for name in ("x", "y", "x", "z", "x")]
    report = check(records)
    assert [(found.record, found.message) for found in report.findings] == [
        ("x", "also at position 0"),
        ("x", "also at position 0"),
    ]
    with pytest.raises(DuplicateIdsError, match="'x' at 0 and 2; 'x' at 0 and 4") as caught:
        list(refuse_duplicates(records))
    assert caught.value.duplicates == (("x", 0, 2), ("x", 0, 4))
    assert list(refuse_duplicates(records[:2])) == records[:2]


@given(st.lists(st.one_of(st.text(max_size=3), st.sampled_from(["", "\ud800", "a"])), max_size=60))
def test_seen_ids_are_a_dictionary(names: list[str]) -> None:
    seen, known = SeenIds(), dict[str, int]()
    for position, name in enumerate(names):
        assert seen.add(name, position) == known.get(name)
        known.setdefault(name, position)


def test_seen_ids_grow() -> None:
    seen = SeenIds()
    names = [str(random.Random(5).random()) + str(n) for n in range(5000)]
    assert [seen.add(name, n) for n, name in enumerate(names)] == [None] * 5000
    assert [seen.add(name, 0) for name in names] == list(range(5000))


def test_preferences_come_from_the_most_direct_feedback_alone() -> None:
    ratings = [
        Rating(0, 1.0, criterion="x"),
        Rating(1, 2.5, criterion="x"),
        Rating(2, 9.0, criterion="y"),
        Rating(2, 2.5, criterion="x"),
    ]
    rankings = [Ranking((1, None, 0), rater="r"), Ranking((0, 0, 0), rater="s")]
    stated = [Preference(1, 2, probability=0.7)]

    def implied_by(feedback: list[Any]) -> tuple[Preference, ...]:
        return implied(Record.of("q", ["a", "b", "c"], feedback=feedback))

    assert implied_by([*ratings, *rankings, *stated]) == tuple(stated)
    assert implied_by([*ratings, *rankings]) == (Preference(2, 0, rater="r"),)
    assert implied_by(ratings) == (
        Preference(1, 0, margin=1.5, criterion="x"),
        Preference(2, 0, margin=1.5, criterion="x"),
    )


def test_content_ids() -> None:
    image = Image.from_bytes(png(4))
    assert Record.of("q", ["a"]).id == Record.of([Text("q")], ["a"]).id
    others = [
        Record.of("q", ["b"]),
        Record.of("q", ["a", "b"]),
        Record.of("qa", [""]),
        Record.of([image, "q"], ["a"]),
        Record.of([Image.from_path("x.png"), "q"], ["a"]),
        Record.of("q", [Message("user", (Text("a"),))]),
        Record.of("\ud800", ["a"]),
    ]
    assert len({Record.of("q", ["a"]).id, *(record.id for record in others)}) == 8
    assert all(len(record.id) == 16 for record in others)
    assert Record.of("q", ["a"], id="mine").id == "mine"


def test_dictionaries_are_not_parts() -> None:
    with pytest.raises(TypeError, match=r"Record\.chat"):
        Record.of([{"role": "user", "content": "q"}], ["a"])
    with pytest.raises(TypeError, match=r"Record\.chat"):
        Record.of("q", [{"role": "assistant", "content": "a"}])


def test_rankings_that_count_from_one_are_noted() -> None:
    (note,) = check([Record.of("q", ["a", "b"], feedback=[Ranking((1, 2))])]).notes
    assert note == "1 rankings count from 1; a lower rank was read as better all the same"
