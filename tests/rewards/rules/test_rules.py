import threading

import pytest

from assay.media import Image
from assay.records import Message, Record, Response
from assay.rewards import rules
from assay.rewards.base import score
from assay.rewards.rules.match import last_number
from assay.scores import Status


def judged(reward, *responses, **context):
    scores = score(reward, [Record.of("question", responses, id="r", **context)])
    return [
        value if status is Status.OK else status
        for value, status in zip(scores.values.tolist(), scores.status, strict=True)
    ]


def test_length_counts_words_or_characters():
    assert judged(rules.length(per_words=2), "one two three", "", "  ") == [3 / 2, 0.0, 0.0]
    assert judged(rules.length(per_characters=4), "ab cd") == [5 / 4]
    for wrong in ({}, {"per_words": 0}, {"per_words": 1, "per_characters": 1}):
        with pytest.raises(ValueError, match="length needs"):
            rules.length(**wrong)


def test_format_matches_the_whole_text():
    reward = rules.format(r"<think>.*</think>\s*<answer>\d+</answer>")
    right = "<think>a\nb</think>\n<answer>4</answer>"
    assert judged(reward, right, right + " so", "<answer>4</answer>", "") == [1.0, 0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="no regular expression"):
        rules.format("(")


def test_a_pattern_that_backtracks_for_ever_times_out():
    assert judged(rules.format(r"(\w|\w\w)*X.", timeout=0.05), "a" * 80 + "X", "abXc") == [Status.TIMEOUT, 1.0]


def test_exact_match_folds_case_space_and_quotes():
    reward = rules.exact_match()
    assert judged(reward, " Forty  two. ", '"forty two"', "forty-two", "", answer="forty two") == [1.0, 1.0, 0.0, 0.0]
    assert judged(reward, "b", "c", answer=["A", "B"]) == [1.0, 0.0]
    assert judged(reward, "\N{FULLWIDTH DIGIT SEVEN}", answer=7) == [1.0]
    assert judged(rules.exact_match("gold", normalise=str.strip), " A ", "a", gold="A") == [1.0, 0.0]


@pytest.mark.parametrize("reward", [rules.exact_match(), rules.numeric_match(), rules.math_match()], ids=repr)
def test_a_reference_that_is_missing_or_unreadable_judges_nobody(reward):
    assert judged(reward, "1") == [Status.MISSING_CONTEXT]
    assert judged(reward, "1", answer=None) == [Status.MISSING_CONTEXT]
    assert judged(reward, "", "1", answer="") == [Status.UNPARSABLE, Status.UNPARSABLE]
    assert judged(reward, "", "1", answer=[]) == [Status.UNPARSABLE, Status.UNPARSABLE]


def test_numeric_match_reads_the_last_number_within_the_tolerance():
    reward = rules.numeric_match(tolerance=0.01)
    assert judged(reward, "first 3, so 1,002", "1000 or 3", "none", "", answer=1000) == [1.0, 0.0, 0.0, 0.0]
    assert judged(reward, "0.005", "0.02", answer="zero is 0") == [1.0, 0.0]
    assert judged(reward, "1", answer="none") == [Status.UNPARSABLE]
    assert judged(reward, "nan", "1", answer=float("nan")) == [Status.UNPARSABLE, Status.UNPARSABLE]
    with pytest.raises(ValueError, match="tolerance"):
        rules.numeric_match(tolerance=-1)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("x = -3/4", -0.75), ("1,234,567.5 kg", 1234567.5), ("-2e-3", -0.002), ("a-2", 2.0), ("5.", 5.0),
        (".5", 0.5), ("\N{MINUS SIGN}7", -7.0), ("1/0 after 3", 3.0), ("9e999", None), ("v1.2.3", None), ("no", None),
    ],
)  # fmt: skip
def test_how_numbers_are_read(text, number):
    assert last_number(text) == number


def test_math_match_compares_as_mathematics():
    reward = rules.math_match()
    assert judged(reward, "0.5", r"so $\frac{2}{4}$", r"\boxed{1/2}", "2", answer="1/2") == [1.0, 1.0, 1.0, 0.0]
    assert judged(reward, "$1+x^2$", "x^2 + 1", "x^2", answer="x^2+1") == [1.0, 1.0, 0.0]
    assert judged(reward, "2", "3", answer=["1", "2"]) == [1.0, 0.0]


def test_a_response_without_mathematics_is_wrong_and_a_reference_without_it_judges_nobody():
    assert judged(rules.math_match(), "I do not know", "", answer="42") == [0.0, 0.0]
    for words in ("Paris", "A", r"\text{even}"):
        assert judged(rules.math_match(), words, answer=words) == [Status.UNPARSABLE]


def test_an_answer_that_takes_for_ever_times_out():
    assert judged(rules.math_match(timeout=1), "$10^{10^{10^{10}}}$", "10", answer="10") == [Status.TIMEOUT, 1.0]
    with pytest.raises(ValueError, match="at least 1 s"):
        rules.math_match(timeout=0)


def test_math_match_works_in_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.extend(judged(rules.math_match(), "0.50", answer="1/2")))
    thread.start()
    thread.join()
    assert found == [1.0]


def test_a_response_of_media_alone_is_not_read_as_empty_text():
    picture = Response((Message("assistant", (Image.from_bytes(b"not decoded"),)),))
    assert judged(rules.length(per_words=1), picture, "two words") == [Status.UNSUPPORTED_MODALITY, 2.0]
