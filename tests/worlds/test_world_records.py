import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import pytest

from assay.media import Image
from assay.records import Preference, StepLabels
from assay.rewards.base import Spec, score, scores_of
from assay.worlds.captions import MISTAKES, caption_pairs, counterfactual_pairs, edited, sample_statement
from assay.worlds.films import heard, recall, sample_film, tell, tone_records, tune, tune_text, video_records
from assay.worlds.language import NUMBERS, parse, verify
from assay.worlds.questions import QUESTIONS, SLIPS, question_records, sample_question, solve, step_records
from assay.worlds.scenes import Scene, holds, render

MAKERS = [caption_pairs, counterfactual_pairs, question_records, step_records, video_records, tone_records]


def better(record) -> int:
    return next(item.better for item in record.feedback if isinstance(item, Preference))


@dataclass(frozen=True)
class Truth:
    """A scripted reward that reads the scene: the control every test of a reward starts from."""

    spec = Spec(needs=("scene",))

    def __call__(self, records, /):
        return scores_of(
            records,
            [verify(r.text, Scene.from_dict(rec.context["scene"])).truth for rec in records for r in rec.responses],
        )


@pytest.mark.parametrize("make", MAKERS)
def test_records_are_deterministic_named_apart_and_plain(make):
    records = make(12, seed=3)
    assert make(12, seed=3) == records
    assert make(12, seed=4) != records
    assert len({record.id for record in records}) == len(records)
    for record in records:
        assert len({response.text for response in record.responses}) == 2
        assert json.loads(json.dumps(record.context)) == record.context


@pytest.mark.parametrize("make", MAKERS)
def test_the_place_of_the_better_response_says_nothing(make):
    places = [better(record) for record in make(300, seed=1)]
    first, total = places.count(0), len(places)
    assert abs(first - total / 2) < 4 * math.sqrt(total) / 2


@pytest.mark.parametrize("make", [caption_pairs, question_records, video_records, tone_records])
def test_the_words_alone_do_not_tell(make):
    """A lookup of what each word won in one half predicts the other half no better than chance."""
    records = make(3000 if make in (caption_pairs, question_records) else 1000, seed=2)
    half = len(records) // 2
    won: defaultdict[str, int] = defaultdict(int)

    def keys(record, response: int) -> list[str]:
        words = Counter(record.responses[response].text.split())
        other = Counter(record.responses[1 - response].text.split())
        asked = record.prompt[0].text if make is question_records else ""
        return [f"{asked}|{word}" for word in words - other] + list(words - other)

    for record in records[:half]:
        for response in (0, 1):
            for key in keys(record, response):
                won[key] += 1 if response == better(record) else -1
    right = 0.0
    for record in records[half:]:
        first, second = (sum(won[key] for key in keys(record, response)) for response in (0, 1))
        guess = 0.5 if first == second else float((first < second) == bool(better(record)))
        right += guess
    total = len(records) - half
    assert abs(right / total - 0.5) < 4 * 0.5 / math.sqrt(total)


def test_the_truth_scorer_gets_every_pair_of_captions_right():
    records = [*caption_pairs(100, seed=5), *counterfactual_pairs(100, seed=5)]
    values = score(Truth(), records).values.reshape(-1, 2)
    assert [int(row.argmax()) for row in values] == [better(record) for record in records]
    assert {record.context["kind"] for record in records} == set(MISTAKES)
    assert not math.isnan(float(values.sum()))


def test_the_picture_shows_the_scene_in_the_context():
    for record in caption_pairs(5):
        (image,) = [part for part in record.prompt[0].parts if isinstance(part, Image)]
        assert np.array_equal(np.asarray(image.pil()), render(Scene.from_dict(record.context["scene"])))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_edit_is_minimal_and_turns_the_truth_round(mistake):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        statement = sample_statement(rng, mistake)
        after = edited(statement, rng)
        assert holds(after, statement.wrong)
        assert not holds(after, statement.true)
        before_set, after_set = set(statement.scene.things), set(after.things)
        assert len(before_set - after_set) <= (2 if mistake == "relation" else 1)
        assert len(after_set - before_set) <= (2 if mistake == "relation" else 1)
        assert len({(thing.row, thing.col) for thing in after.things}) == len(after.things)
        assert not np.array_equal(render(after), render(statement.scene))


def test_counterfactual_couples_turn_the_preference_and_keep_the_words():
    records = counterfactual_pairs(20)
    for first, second in zip(records[::2], records[1::2], strict=True):
        assert first.context["couple"] == second.context["couple"]
        assert first.responses == second.responses
        assert better(first) != better(second)
        assert first.prompt != second.prompt


@pytest.mark.parametrize("kind", QUESTIONS)
def test_answers_follow_from_the_scene(kind):
    """The answer is computed again here from the scene alone, in another way than `solve` does."""
    for seed in range(80):
        question = sample_question(np.random.default_rng(seed), kind)
        scene = question.scene
        have = [f"{thing.colour} {thing.shape}" for thing in scene.shapes]
        if kind == "exists":
            expected = "yes" if question.subject[0] in have else "no"
        elif kind == "count":
            expected = ["no", "one", "two", "three"][sum(question.subject[0] in words.split() for words in have)]
        elif kind == "compare":
            first, second = (sum(shape in words.split() for words in have) for shape in question.subject)
            expected = "yes" if first > second else "no"
        elif kind == "colour":
            (expected,) = [words.split()[0] for words in have if words.endswith(question.subject[0])]
        elif kind == "sum":
            expected = str(sum(int(thing.text) for thing in scene.signs))
        else:
            a, b = (scene.shapes[have.index(question.subject[k])] for k in (0, 2))
            true = {"left of": a.col < b.col, "right of": a.col > b.col, "above": a.row < b.row, "below": a.row > b.row}
            expected = "yes" if true[question.subject[1]] else "no"
        assert question.answer == expected != question.wrong


@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_slip_spoils_the_step_it_names(kind):
    for slip in SLIPS[kind]:
        for seed in range(40):
            rng = np.random.default_rng(seed)
            question = sample_question(rng, kind)
            right, wrong = solve(question), solve(question, slip, rng)
            assert len(right) == len(wrong)
            errors = [i for i, (a, b) in enumerate(zip(right, wrong, strict=True)) if a != b]
            seen = sum("so " not in step and "answer" not in step and "+" not in step for step in right)
            if slip == "perception":
                assert errors[0] < seen
            elif slip == "answer":
                assert errors == [len(right) - 1]
            elif slip in ("logic", "arithmetic"):
                assert errors == [len(right) - 2, len(right) - 1]
            else:
                assert errors
                assert right[errors[0]].startswith(("there is", "there are"))


@pytest.mark.parametrize("slip", ["perception", "count"])
def test_what_follows_a_slip_follows_from_it(slip):
    for seed in range(200):
        rng = np.random.default_rng(seed)
        question = sample_question(rng, "compare")
        *_, first, second, conclusion, answer = solve(question, slip, rng)
        numbers = [NUMBERS.index(step.split()[2]) for step in (first, second)]
        assert ("not more" not in conclusion) == (numbers[0] > numbers[1]) == (answer == "answer: yes.")


def test_what_a_count_is_shown_with_does_not_hint_at_it():
    for record in caption_pairs(200, mistakes=("count",), extra=2):
        *shared, last = parse(record.responses[0].text)
        assert all(last.what not in (fact.shape, fact.colour) for fact in shared)


def test_step_records_label_every_step():
    for record in step_records(60, seed=2):
        labels = {item.response: item.labels for item in record.feedback if isinstance(item, StepLabels)}
        right = better(record)
        for response, values in labels.items():
            assert len(values) == len(record.responses[response].step_ends)
        assert set(labels[right]) == {1.0}
        assert labels[1 - right].index(0.0) == record.context["first_error"]
        assert record.responses[right].text.endswith(f"answer: {record.context['answer']}.")


def test_films_show_what_is_told():
    for seed in range(60):
        film = sample_film(np.random.default_rng(seed))
        assert recall(tell(film.events)) == film.events
        changes = []
        for event in film.events:
            places = [
                next(((t.row, t.col) for t in scene.things if f"{t.colour} {t.shape}" == event.thing), None)
                for scene in film.scenes
            ]
            moments = [i for i in range(1, len(places)) if places[i] != places[i - 1]]
            changes.append(moments[0])
            start, end = places[0], places[-1]
            if event.verb == "appears":
                assert start is None
                assert end is not None
            elif event.verb == "vanishes":
                assert start is not None
                assert end is None
            else:
                assert start is not None
                assert end is not None
                assert end[1] - start[1] == (2 if event.verb == "moves right" else -2)
                assert end[0] == start[0]
        assert changes[0] < changes[1]
        assert all(len({(t.row, t.col) for t in scene.things}) == len(scene.things) for scene in film.scenes)


def test_video_records_carry_eight_frames_and_the_events():
    for record in video_records(6):
        (video,) = [part for part in record.prompt[0].parts if hasattr(part, "frames")]
        assert (len(video), video.rate) == (8, 4.0)
        told = [[event.thing, event.verb] for event in recall(record.responses[better(record)].text)]
        assert told == record.context["events"]
        wrong = [[event.thing, event.verb] for event in recall(record.responses[1 - better(record)].text)]
        assert (sorted(told) == sorted(wrong)) == (record.context["kind"] == "order")


def test_tunes_sound_as_written():
    samples, rate = tune(["low", "high", "middle"]).samples()
    assert rate == 8000
    beeps = samples[0].numpy().reshape(3, 1200)[:, :800]
    peaks = [int(np.abs(np.fft.rfft(beep)).argmax()) * 10 for beep in beeps]
    assert peaks == [330, 1320, 660]
    assert heard(tune_text(["low", "high", "middle"])) == ("low", "high", "middle")
    for wrong in ("two beeps: low.", "one beep: loud.", "hello"):
        with pytest.raises(ValueError, match="no account"):
            heard(wrong)
    with pytest.raises(ValueError, match="no event"):
        recall("the red circle sleeps.")


def test_tone_records_prefer_the_pitches_in_the_context():
    for record in tone_records(20):
        assert list(heard(record.responses[better(record)].text)) == record.context["pitches"]
        wrong = heard(record.responses[1 - better(record)].text)
        assert (len(wrong) == len(record.context["pitches"])) == (record.context["kind"] == "pitch")
