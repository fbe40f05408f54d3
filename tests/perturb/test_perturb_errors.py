"""Errors put into responses: real changes, where they are said to be, and of the kind they are said to be."""

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.media import Image
from assay.perturb import entities, inject_errors, negation, numbers
from assay.perturb.errors import Edit, applied, drawn
from assay.perturb.responses import MADE, preferred
from assay.records import Message, Preference, Ranking, Rating, Record, Response, SpanLabels

TEXT = "The tower is 324 metres tall. It was built in 1889 by Gustave Eiffel in Paris and weighs 7300.5 tons."


def rng(seed: int = 0) -> random.Random:
    return random.Random(seed)


@given(st.integers(0, 9999), st.integers(0, 10_000))
def test_a_number_becomes_another_of_the_same_form(seed: int, value: int) -> None:
    (whole,) = numbers(f"about {value} of them", rng(seed))
    assert re.fullmatch(r"\d+", whole.after)
    assert int(whole.after) != value
    (decimal,) = numbers(f"about {value}.50 of them", rng(seed))
    assert re.fullmatch(r"\d+\.\d\d", decimal.after)
    assert decimal.after != f"{value}.50"


def test_numbers_inside_words_dates_and_paths_are_left_alone() -> None:
    assert numbers("h264, 2020-01-02, 3/4, v1.2.3, B2", rng()) == []


def test_entities_are_exchanged_within_the_text_or_from_a_pool() -> None:
    found = entities()(TEXT, rng())
    assert {TEXT[e.start : e.end] for e in found} == {"Gustave Eiffel", "Paris"}
    assert {e.after for e in found} == {"Paris", "Gustave Eiffel"}
    (pooled,) = entities(["Rome"])("He lives in Oslo.", rng())
    assert pooled.after == "Rome"
    assert entities()("He lives in Oslo.", rng()) == []


def test_negation_is_added_or_taken_away() -> None:
    (first,) = negation("It is red.", rng())
    assert applied("It is red.", [first])[0] == "It is not red."
    (second,) = negation("It is not red.", rng())
    assert applied("It is not red.", [second])[0] == "It is red."
    assert negation("Is it? It is.", rng())[0].start == 0


def test_edits_say_where_they_stand_afterwards() -> None:
    edits = [Edit("b", 6, 7, "XYZ"), Edit("a", 0, 2, "")]
    assert applied("abcdefg", edits) == ("cdefXYZ", [(0, 0), (4, 7)])
    with pytest.raises(ValueError, match="overlaps"):
        applied("abcdefg", [Edit("a", 0, 3, ""), Edit("b", 2, 4, "")])
    with pytest.raises(ValueError, match="leaves the text"):
        applied("abc", [Edit("a", 2, 5, "")])


@given(st.integers(0, 1000), st.integers(1, 6))
def test_drawn_edits_never_overlap_and_are_as_many_as_asked_for_or_possible(seed: int, count: int) -> None:
    edits = drawn(TEXT, (numbers, entities(), negation), count, rng(seed))
    assert len(edits) == min(count, 7)
    text, places = applied(TEXT, edits)
    assert text != TEXT
    for edit, (start, end) in zip(edits, places, strict=True):
        assert text[start:end] == edit.after


RECORDS = [
    Record.of("Tell me.", ["no idea", TEXT], id="tower", feedback=[Preference(1, 0)]),
    Record.of("Tell me.", ["nothing to change here", "-"], id="plain"),
    Record.of("Tell me.", [TEXT, "hm"], id="ranked", feedback=[Ranking((0, 1))]),
    Record.of("Tell me.", [], id="none"),
    Record.of("Show me.", [Image.from_bytes(b"x")], id="picture"),
]


def test_the_new_response_is_below_its_original_with_its_errors_marked() -> None:
    found = inject_errors(RECORDS, seed=3)
    assert found.rows == (0, 2)
    assert [bool(reason) for reason in found.reasons] == [False, True, False, True, True]
    assert "2 of 5 records got a worse response" in found.note
    record = found.records[0]
    assert record.responses[:2] == RECORDS[0].responses
    assert record.feedback[0] == Preference(1, 0)
    assert record.feedback[1] == Preference(1, 2, rater=MADE)
    marks = record.feedback[2]
    assert isinstance(marks, SpanLabels)
    assert marks.response == 2
    assert 1 <= len(marks.spans) <= 5
    worse = record.responses[2].text
    assert [worse[span.start : span.end] for span in marks.spans] == [edit.after for edit in found.edits[0]]
    assert [span.label for span in marks.spans] == [edit.kind for edit in found.edits[0]]
    assert worse != TEXT


def test_what_a_ranking_says_of_pairs_is_still_said() -> None:
    record = inject_errors(RECORDS, seed=3).records[2]
    assert record.feedback[0] == Ranking((0, 1, None))
    assert [f for f in record.feedback if isinstance(f, Preference)] == [
        Preference(0, 1),
        Preference(0, 2, rater=MADE),
    ]


def test_the_draw_follows_from_the_seed_and_the_record_alone() -> None:
    assert inject_errors(RECORDS[2:3], seed=3).records[0] == inject_errors(RECORDS, seed=3).records[2]
    assert inject_errors(RECORDS[:1], seed=4).edits != inject_errors(RECORDS[:1], seed=5).edits


def test_one_kind_alone_and_the_response_that_is_asked_for() -> None:
    record = replace(RECORDS[0], responses=(*RECORDS[0].responses, Response.of("It is 5 now.")))
    found = inject_errors([record], [numbers], of=lambda record: 2)
    assert found.edits[0][0].kind == "number"
    assert found.records[0].feedback[1] == Preference(2, 3, rater=MADE)
    with pytest.raises(ValueError, match="kind of error"):
        inject_errors(RECORDS, [])


def test_the_preferred_response_wins_most() -> None:
    record = Record.of("p", ["a", "b", "c"], feedback=[Rating(0, 1.0), Rating(1, 2.0), Rating(2, 5.0)])
    assert preferred(record) == 2
    assert preferred(RECORDS[1]) == 0
    assert preferred(RECORDS[3]) is None


def test_only_the_last_text_of_a_dialogue_changes() -> None:
    turns = (Message("assistant", ("first 1.",)), Message("assistant", ("second 2.",)))
    response = Response.of([Message(m.role, Response.of(m.parts[0]).messages[0].parts) for m in turns])
    (record,) = inject_errors([Record.of("p", [response], id="d")], [numbers]).records
    worse = record.responses[1]
    assert worse.messages[0] == response.messages[0]
    span = next(f for f in record.feedback if isinstance(f, SpanLabels)).spans[0]
    assert worse.text[span.start : span.end].isdigit()
    assert span.start >= len("first 1.second ")
