"""Splitting responses into steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.media import Image, Text
from assay.records import Message, Record, Response
from assay.records.record import StepEnd
from assay.records.steps import Split, lines, sentences, separator, split_steps, step_texts, turns, up_to_step


def texts(text: str, split: Split) -> list[str]:
    record = split_steps(Record.of("q", [text]), split)
    return [step.strip() for step in step_texts(record.responses[0])]


def test_lines_end_before_their_break_and_blank_ones_are_none() -> None:
    assert texts("one\n\n  two \n \nthree\n", lines) == ["one", "two", "three"]
    (response,) = split_steps(Record.of("q", ["one\ntwo"])).responses
    assert response.step_ends == (StepEnd(0, 0, 3), StepEnd(0, 0, 7))
    assert response == Response.from_steps(["one", "two"])


def test_sentences_stop_at_their_marks_and_not_inside_numbers() -> None:
    text = 'It is 3.14, e.g. pi. Is it? No. "Yes!" so B. And\n1. first'
    assert texts(text, sentences) == ["It is 3.14, e.g. pi.", "Is it?", "No.", '"Yes!"', "so B.", "And\n1. first"]
    assert texts("no mark", sentences) == ["no mark"]
    assert texts("\u662f\u3002\u5426\u3002", sentences) == ["\u662f\u3002", "\u5426\u3002"]


def test_a_separator_stands_between_steps() -> None:
    response = split_steps(Record.of("q", ["a\nb\n\nc\n\n"]), separator("\n\n")).responses[0]
    assert [end.offset for end in response.step_ends] == [3, 6]
    within = split_steps(Record.of("q", ["a +\nb +\n"]), separator(" +", within=True)).responses[0]
    assert [end.offset for end in within.step_ends] == [3, 7]
    with pytest.raises(ValueError, match="empty separator"):
        separator("")


def test_tools_have_no_steps_and_pictures_belong_to_the_step_before() -> None:
    picture = Image(path=None, data=b"x")
    said = (
        Message("assistant", (Text("look\nhere:"), picture, Text("red"))),
        Message("tool", (Text("42\n43"),)),
        Message("assistant", (Text("it is 42"),)),
    )
    record = split_steps(Record.of("q", [Response(said)]))
    ends = record.responses[0].step_ends
    assert ends == (StepEnd(0, 0, 4), StepEnd(0, 1), StepEnd(0, 2, 3), StepEnd(2, 0, 8))
    assert step_texts(record.responses[0])[-1] == "42\n43it is 42"
    assert turns(Response(said)) == (StepEnd(0, 2, 3), StepEnd(2, 0, 8))
    cut = up_to_step(record.responses[0], 1)
    assert cut.messages == (Message("assistant", (Text("look\nhere:"), picture)),)
    assert cut.step_ends == ends[:2]
    assert up_to_step(record.responses[0], 3) == record.responses[0]


def test_marked_steps_stay() -> None:
    response = Response.from_steps(["a b", "c"], " ")
    assert split_steps(Record.of("q", [response]), sentences).responses == (response,)


@given(st.text(st.sampled_from("ab .\n!?1")), st.sampled_from([lines, sentences, separator("\n"), turns]))
def test_steps_are_in_order_hold_something_and_lose_nothing(text: str, split: Split) -> None:
    response = split_steps(Record.of("q", [text]), split).responses[0]
    offsets = [end.offset for end in response.step_ends]
    assert offsets == sorted(set(offsets), key=lambda offset: offset or 0)
    found = step_texts(response)
    assert text.startswith("".join(found))
    if split is not turns:
        assert all(step.strip() for step in found)
        assert not text[len("".join(found)) :].strip()
        for number, step in enumerate(found):
            assert step_texts(up_to_step(response, number))[-1] == step
