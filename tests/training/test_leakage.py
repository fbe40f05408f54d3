"""The overlap report finds what the definition says, and nothing beside it."""

import io

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.media import Image, Text
from assay.records import Record
from assay.training.leakage import overlap

LONG = "the quick brown fox jumps over the lazy dog while the farmer watches from the old wooden gate"


def picture(shade: int) -> Image:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (4, 4), (shade, 0, 0)).save(buffer, "PNG")
    return Image.from_bytes(buffer.getvalue())


def test_each_kind_is_found_once_under_its_closest() -> None:
    train = [Record.of(LONG, ["a"], id="t0"), Record.of("What is two plus two?", ["four"], id="t1")]
    evaluate = [
        Record.of(LONG, ["b"], id="e-exact"),
        Record.of("what is  TWO plus two", ["five"], id="e-normalised"),
        Record.of(LONG.replace("gate", "fence"), ["c"], id="e-near"),
        Record.of("an unrelated question about the weather in spring", ["d"], id="e-new"),
    ]
    report = overlap(train, evaluate)
    kinds = {match.evaluation: (match.kind, match.train) for match in report.prompts.examples}
    assert kinds == {"e-exact": ("exact", "t0"), "e-normalised": ("normalised", "t1"), "e-near": ("near", "t0")}
    assert report.prompts.fraction == 0.75
    assert not report.clean


def test_one_question_about_two_pictures_is_no_overlap_but_one_picture_is() -> None:
    question = Text("what shape is in the image?")
    train = [Record.of([picture(1), question], ["circle"], id="t")]
    other = overlap(train, [Record.of([picture(2), question], ["circle"], id="e")])
    assert other.clean
    same = overlap(train, [Record.of([picture(1), Text("is there a circle?")], ["yes"], id="e")])
    assert (same.prompts.found, same.media.found) == (0, 1)


def test_an_answer_counts_with_its_prompt() -> None:
    report = overlap([Record.of("q", ["yes", "no"], id="t")], [Record.of("q", ["no", "perhaps"], id="e")])
    assert (report.prompts.exact, report.answers.exact, report.answers.total) == (1, 1, 2)


def test_unreadable_media_are_counted(tmp_path) -> None:
    report = overlap([Record.of("q", ["a"])], [Record.of([Image.from_path(tmp_path / "gone.png")], ["a"])])
    assert report.unreadable == 1
    assert any("could not be read" in line for line in report.lines())


def test_disjoint_sets_are_clean_and_say_so() -> None:
    report = overlap([Record.of("one thing", ["a"])], [Record.of("another matter", ["b"])])
    assert report.clean
    assert report.lines()[0].startswith("prompts: 0 of 1")


SENTENCES = st.lists(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=14).map(" ".join), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(SENTENCES, SENTENCES, st.sampled_from([0.5, 0.8, 1.0]), st.integers(1, 3))
def test_the_filter_finds_what_comparing_everything_finds(left, right, threshold, words) -> None:
    def grams(text: str) -> set[tuple[str, ...]]:
        tokens = text.split()
        return {tuple(tokens[i : i + words]) for i in range(max(1, len(tokens) - words + 1))}

    def alike(a: str, b: str) -> bool:
        return len(grams(a) & grams(b)) / len(grams(a) | grams(b)) >= threshold

    expected = sum(any(alike(a, b) for a in left) for b in right)
    report = overlap(
        [Record.of(text, ["x"]) for text in left],
        [Record.of(text, ["y"]) for text in right],
        words=words,
        threshold=threshold,
    )
    assert report.prompts.found == expected


@pytest.mark.parametrize(("words", "threshold"), [(0, 0.8), (5, 0.0), (5, 1.5)])
def test_refuses_senseless_settings(words: int, threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        overlap([], [], words=words, threshold=threshold)
