"""Statements: their feedback says what is true of them, in every shape and medium."""

from __future__ import annotations

import pytest

from assay.media import Audio, Image, Text, Video
from assay.records import Preference, Ranking, Rating, SpanLabels, StepLabels
from assay.records.check import check
from assay.records.steps import step_texts
from assay.worlds.statements import (
    COLOURS,
    MEDIA,
    PITCHES,
    SHAPES,
    STEPS,
    TONES,
    Sample,
    as_spans,
    gate,
    one,
    samples,
    two,
    users,
)


def said(sample: Sample) -> list[list[bool]]:
    """Whether each statement of a text is right, read off the text itself."""
    prompt = sample.record.prompt[0].text
    shown = next(colour for colour in COLOURS if f" {colour}." in prompt)
    return [[text.split()[-1] == shown for text in step_texts(response)] for response in sample.record.responses]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_called_right_is_right(shape: str) -> None:
    for sample in samples(MEDIA["text"], SHAPES[shape], one, 24):
        truth = said(sample)
        assert [list(row) for row in sample.facts] == truth
        assert sample.counts[None] == tuple(map(sum, truth))


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("shape", SHAPES)
def test_feedback_follows_the_counts(shape: str, medium: str) -> None:
    for sample in samples(MEDIA[medium], SHAPES[shape], two, 12):
        for item in sample.record.feedback:
            if item.criterion is None:
                continue
            counts = sample.counts[item.criterion]
            if isinstance(item, Preference):
                apart = counts[item.better] - counts[item.worse]
                assert item.tie == (apart == 0 and shape == "ties")
                assert (item.probability > 0.5) == (apart > 0) or item.tie
                assert item.margin is None or item.margin == apart > 0
            elif isinstance(item, Rating):
                assert item.value == counts[item.response]
            elif isinstance(item, Ranking):
                pairs = [(a, b) for a in range(3) for b in range(3)]
                assert all((item.ranks[a] < item.ranks[b]) == (counts[a] > counts[b]) for a, b in pairs)
            elif isinstance(item, StepLabels) and None not in item.labels:
                assert sum(item.labels) == counts[item.response]


def test_shapes_hold_what_they_are_called() -> None:
    ties = [sample.record.feedback[0] for sample in samples(MEDIA["text"], SHAPES["ties"], one, 10)]
    assert [item.tie for item in ties] == [False, True] * 5
    missing = samples(MEDIA["text"], SHAPES["missing cells"], one, 30)
    rated = [item for sample in missing for item in sample.record.feedback if isinstance(item, Rating)]
    labels = [
        label
        for sample in missing
        for item in sample.record.feedback
        if isinstance(item, StepLabels)
        for label in item.labels
    ]
    assert 20 < len(rated) < 50
    assert 60 < sum(label is not None for label in labels) < 150


@pytest.mark.parametrize(("medium", "kinds"), [("image", Image), ("video", Video), ("audio", Audio), ("text", Text)])
def test_the_medium_alone_says_which_words_are_right(medium: str, kinds: type) -> None:
    """What is shown stands in the prompt, and the words of a response are as often right as wrong."""
    found = samples(MEDIA[medium], SHAPES["ratings"], one, 60)
    assert all(isinstance(sample.record.prompt[0].parts[0], kinds) for sample in found)
    names = PITCHES if medium == "audio" else COLOURS
    for word in names:
        facts = [
            fact
            for sample in found
            for response, row in zip(sample.record.responses, sample.facts, strict=True)
            for text, fact in zip(step_texts(response), row, strict=True)
            if text.split()[-1] == word
        ]
        assert 0.35 < sum(facts) / len(facts) < 0.65


def test_responses_may_differ_in_their_media_alone() -> None:
    for sample in samples(MEDIA["media that differ"], SHAPES["pairs"], one, 8):
        for response in sample.record.responses:
            kinds = [type(part) for part in response.messages[0].parts]
            assert kinds == [Image, Text] * STEPS
            assert set(response.text.replace("rude", "kind").split("kind")) == {""}


@pytest.mark.parametrize("medium", MEDIA)
def test_spans_are_the_labelled_steps(medium: str) -> None:
    for sample in samples(MEDIA[medium], SHAPES["missing cells"], one, 10):
        record = as_spans(sample.record)
        labels = [item for item in record.feedback if isinstance(item, StepLabels)]
        spans = [item for item in record.feedback if isinstance(item, SpanLabels)]
        for steps, marked in zip(labels, spans, strict=True):
            response = record.responses[steps.response]
            wanted = [
                (text, label)
                for text, label in zip(step_texts(response), steps.labels, strict=True)
                if label is not None
            ]
            assert [(response.text[span.start : span.end], span.value) for span in marked.spans] == wanted


def test_users_and_gates_ask_for_opposite_or_other_things() -> None:
    found = samples(MEDIA["text"], SHAPES["ratings"], users, 8)
    for sample in found:
        truth = [sum(row) for row in said(sample)]
        likes = truth if sample.record.context["who"] == "anna" else [STEPS - count for count in truth]
        assert sample.counts[None] == tuple(likes)
    for sample in samples(MEDIA["text"], SHAPES["ratings"], gate, 8):
        kind = [sum(TONES[1] in text for text in step_texts(response)) for response in sample.record.responses]
        truth = [sum(row) for row in said(sample)] if sample.record.context["wanted"] == "right" else kind
        assert sample.counts[None] == tuple(truth)
        assert sample.record.context["wanted"] in sample.record.prompt[0].text


def test_records_are_sound_and_drawn_from_the_seed() -> None:
    for medium in MEDIA:
        records = [sample.record for sample in samples(MEDIA[medium], SHAPES["rankings"], one, 6)]
        again = [sample.record for sample in samples(MEDIA[medium], SHAPES["rankings"], one, 6)]
        other = [sample.record for sample in samples(MEDIA[medium], SHAPES["rankings"], one, 6, seed=1)]
        assert records == again
        assert records != other
        assert check(records).ok
