"""Judgements: what a form says, what is kept of it, that a kill loses none, who is asked what next, who agrees."""

import contextlib
import json
import math
import multiprocessing
import os
import random
import re
import signal
import sqlite3
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view_gallery import gallery
from view_site import annotation_in, serve_until_killed

from assay.benchmarks.agreement import rater_agreement
from assay.records import Preference, Ranking, Rating, Record, Response, StepLabels
from assay.view.choosing import Choice, by_margin, by_std, choice
from assay.view.judged import agreements, judged_records
from assay.view.judgements import JudgementsError, open_judgements
from assay.view.tasks import AnswerError, Question, pairs, ranking, rating, steps

RECORD = Record.of("q", [Response.from_steps(["a", "b"]), "c", "d"], id="r")
FACTS = {"task": "pairs", "data": "x"}


def asked(task):
    return task.questions(RECORD, 7)


def test_questions_are_every_two_the_whole_or_each_response_with_steps():
    assert [each.key for each in asked(pairs())] == ["7:0-1", "7:0-2", "7:1-2"]
    assert [each.key for each in asked(ranking())] == ["7:0-1-2"]
    assert [each.key for each in asked(rating(["good"]))] == ["7:0-1-2"]
    assert [(each.key, each.steps) for each in asked(steps())] == [("7:0", 2)]
    with pytest.raises(ValueError, match="an aspect"):
        rating([])


@pytest.mark.parametrize(
    ("task", "place", "sides", "form", "feedback", "labels"),
    [
        (pairs(), 1, (2, 0), {"verdict": "0"}, [Preference(2, 0, rater="ann")], [("", "7:0-2", -1.0)]),
        (pairs(), 1, (2, 0), {"verdict": "1"}, [Preference(0, 2, rater="ann")], [("", "7:0-2", 1.0)]),
        (pairs(), 1, (2, 0), {"verdict": "tie"}, [Preference(0, 2, 0.5, True, rater="ann")], [("", "7:0-2", 0.0)]),
        (
            ranking(),
            0,
            (1, 2, 0),
            {"rank-0": "3", "rank-1": "1", "rank-2": "1"},
            [Ranking((0, 1, 0), rater="ann")],
            [("", "7:0-1-2/0", 0.0), ("", "7:0-1-2/1", 1.0), ("", "7:0-1-2/2", 0.0)],
        ),
        (
            rating(["good", "true"]),
            0,
            (1, 2, 0),
            {"rate-0-0": "4", "rate-1-2": "1"},
            [Rating(1, 4.0, "ann", "good"), Rating(0, 1.0, "ann", "true")],
            [("good", "7:0-1-2/1", 4.0), ("true", "7:0-1-2/0", 1.0)],
        ),
        (steps(), 0, (0,), {"step-1": "wrong"}, [StepLabels(0, (None, 0.0), "ann")], [("", "7:0/1", 0.0)]),
    ],
    ids=["left", "right", "tie", "ranking", "rating", "steps"],
)
def test_a_form_is_what_was_meant_whatever_side_it_was_shown_on(task, place, sides, form, feedback, labels):
    question = asked(task)[place]
    answer = json.loads(json.dumps(task.read(form, question, sides)))
    assert task.feedback(answer, question, "ann") == feedback
    assert task.labels(answer, question) == labels


@pytest.mark.parametrize(
    ("task", "form"),
    [
        (pairs(), {}),
        (pairs(), {"verdict": "2"}),
        (ranking(), {"rank-0": "1", "rank-1": "2"}),
        (ranking(), {"rank-0": "1", "rank-1": "2", "rank-2": "9"}),
        (ranking(), {"rank-0": "1", "rank-1": "2", "rank-2": "\u0663"}),
        (rating(["good"]), {}),
        (rating(["good"]), {"rate-0-0": "-1"}),
        (steps(), {"step-0": "perhaps"}),
    ],
)
def test_a_form_that_does_not_answer_is_refused(task, form):
    question = asked(task)[0]
    with pytest.raises(AnswerError):
        task.read(form, question, question.responses)


@pytest.fixture
def store(tmp_path):
    opened = open_judgements(tmp_path / "j", FACTS)
    yield opened
    opened.close()


def test_an_answer_is_kept_once_undone_and_given_again(store):
    shown = store.show("ann", "0:0-1", (0, 1))
    assert store.judge(shown, {"tie": True})
    assert not store.judge(shown, {"better": 0})
    other = store.show("ann", "0:0-2", (0, 2))
    store.judge(other, {"skip": True})
    assert store.undo("ann") == other
    assert store.undo("ann") == shown
    assert store.undo("ann") is None
    assert store.undo("bob") is None
    assert store.judge(shown, {"better": 1})
    assert store.answers() == [("0:0-1", "ann", {"better": 1})]
    assert store.counts() == {"ann": 1}


def test_what_stands_is_there_again_and_what_was_taken_back_is_history(store, tmp_path):
    for question in ("0:0-1", "1:0-1", "2:0-1"):
        store.judge(store.show("ann", question, (0, 1)), {"better": 0})
    store.undo("ann")
    standing = dict(store.standing)
    store.close()
    again = open_judgements(tmp_path / "j", FACTS)
    assert {key: said for key, said in standing.items() if said} == again.standing
    again.close()
    rows = sqlite3.connect(tmp_path / "j").execute("SELECT undone IS NULL FROM judgements").fetchall()
    assert rows == [(1,), (1,), (0,)]


def test_the_file_is_flushed_at_each_commit(store):
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_sides_are_drawn_for_each_rater_and_stay(store):
    chance = random.Random(0)
    first = {name: store.show(name, "0:0-1", (0, 1), chance).sides for name in map(str, range(200))}
    assert 60 < sum(sides == (0, 1) for sides in first.values()) < 140
    again = {name: store.show(name, "0:0-1", (0, 1)).sides for name in first}
    assert again == first
    left = sum(store.show("ann", f"{n}:0-1", (0, 1)).sides == (0, 1) for n in range(200))
    assert 60 < left < 140


def test_another_page_other_data_or_another_file_is_refused(store, tmp_path):
    with pytest.raises(JudgementsError, match="close the page"):
        open_judgements(tmp_path / "j", FACTS)
    store.close()
    with pytest.raises(JudgementsError, match="another data"):
        open_judgements(tmp_path / "j", FACTS | {"data": "y"})
    (tmp_path / "text").write_text("no database, but long enough to look like a file of one " * 20)
    with pytest.raises(JudgementsError, match="holds no judgements"):
        open_judgements(tmp_path / "text", FACTS)


QUESTIONS = tuple(Question(n, (0, 1)) for n in range(4))


def test_the_least_sure_comes_first_and_unknown_last():
    sure = {"0:0-1": 2.0, "1:0-1": math.nan, "2:0-1": 0.1, "3:0-1": 1.0}
    order = Choice(QUESTIONS, sure).ordered()
    assert [each.record for each in order] == [2, 3, 0, 1]
    chosen = Choice(order, sure)
    assert chosen.next("ann", {}).record == 2
    assert chosen.next("ann", {"2:0-1": {"ann": {"skip": True}}}).record == 3
    assert chosen.next("bob", {"2:0-1": {"ann": {"skip": True}}}).record == 2


def test_without_scores_the_fewest_judged_comes_first():
    said = {"better": 0}
    two, one = {"a": said, "b": said}, {"a": said}
    standing = {"0:0-1": two, "1:0-1": one, "2:0-1": two, "3:0-1": one}
    assert Choice(QUESTIONS).next("c", standing).record == 1
    assert Choice(QUESTIONS).next("a", standing) is None
    assert Choice(QUESTIONS, overlap=1).next("c", standing) is None
    assert Choice(QUESTIONS, overlap=2).next("c", standing).record == 1
    assert Choice(QUESTIONS, overlap=1).next("c", standing | {"3:0-1": {"a": {"skip": True}}}).record == 3


def test_what_others_have_before_them_counts_as_asked():
    assert Choice(QUESTIONS, overlap=1).next("b", {}, {"0:0-1": 1}).record == 1
    assert Choice(QUESTIONS, overlap=2).next("b", {}, {"0:0-1": 1}).record == 0
    assert Choice(QUESTIONS, overlap=2).next("b", {"0:0-1": {"c": {"better": 0}}}, {"0:0-1": 1}).record == 1
    assert Choice(QUESTIONS).next("b", {}, {"0:0-1": 1}).record == 0


def test_a_question_is_held_until_it_is_answered_or_left(tmp_path):
    now = [0.0]
    kept = open_judgements(tmp_path / "held", FACTS, clock=lambda: now[0])
    shown = kept.show("ann", "0:0-1", (0, 1))
    assert kept.held("bob") == {"0:0-1": 1}
    assert kept.held("ann") == {}
    kept.judge(shown, {"better": 0})
    assert kept.held("bob") == {}
    kept.hold("ann", kept.undo("ann").question)
    assert kept.held("bob") == {"0:0-1": 1}
    now[0] = 1801.0
    assert kept.held("bob") == {}
    kept.show("ann", "1:0-1", (0, 1))
    kept.hold("ann", None)
    assert kept.held("bob") == {}
    kept.close()


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=5), st.floats(0.1, 3))
@settings(max_examples=40, deadline=None)
def test_margins_are_in_units_of_their_spread(values, std):
    array, stds = np.array(values), np.full(len(values), std)
    gaps = np.diff(np.sort(array))
    assert by_margin(array, stds) == pytest.approx(gaps.min() / (std * math.sqrt(2)))
    assert by_margin(array, np.full(len(values), np.nan)) == pytest.approx(gaps.min())
    assert by_std(array, stds) == -std


def test_a_question_of_which_the_reward_says_nothing_is_asked_last(tmp_path):
    annotation = annotation_in(tmp_path)
    keys = [each.key for each in annotation.choice.questions]
    frames = annotation.shelf.number("frames/one & two")
    assert keys[-1] == f"{frames}:0-1"
    known = [annotation.choice.sure[key] for key in keys[:-1]]
    assert known == sorted(known)
    assert choice(annotation.choice.questions).sure is None
    annotation.judgements.close()


def test_exported_records_carry_each_raters_feedback_after_what_they_had(tmp_path):
    annotation = annotation_in(tmp_path, scores=False)
    judgements = annotation.judgements
    for rater, better in (("ann", 0), ("bob", 1)):
        judgements.judge(judgements.show(rater, "0:0-1", (0, 1)), {"better": better})
    judgements.judge(judgements.show("ann", "1:0-1", (0, 1)), {"skip": True})
    (record,) = judged_records(annotation.record, judgements, annotation.task, annotation.questions)
    before = annotation.shelf.at(0)
    assert record.feedback == (*before.feedback, Preference(0, 1, rater="ann"), Preference(1, 0, rater="bob"))
    assert (record.prompt, record.responses) == (before.prompt, before.responses)
    judgements.close()


def test_agreement_is_that_of_the_records(tmp_path):
    annotation, chance = annotation_in(tmp_path, scores=False), random.Random(3)
    judgements = annotation.judgements
    for rater in ("ann", "bob", "cyd"):
        for question in annotation.choice.questions:
            if chance.random() < 0.8:
                answer = chance.choice([{"better": 0}, {"better": max(question.responses)}, {"tie": True}])
                if answer.get("better", question.responses[0]) in question.responses:
                    judgements.judge(judgements.show(rater, question.key, question.responses), answer)
    (found,) = agreements(judgements, annotation.task, annotation.questions)
    records = [
        Record(each.id, each.prompt, each.responses, each.feedback[len(annotation.shelf.record(each.id).feedback) :])
        for each in judged_records(annotation.record, judgements, annotation.task, annotation.questions)
    ]
    expected = rater_agreement(records)
    assert found.alpha == pytest.approx(expected.alpha.value)
    assert (found.raters, found.units) == (expected.raters, expected.items)
    judgements.close()


def killed_pages(folder, kills, seed):
    """Judge while the page is killed again and again; what it confirmed: {number shown: the answer}."""
    context, chance, confirmed = multiprocessing.get_context("forkserver"), random.Random(seed), {}
    context.set_forkserver_preload(["view_site"])
    for kill in range(kills):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=serve_until_killed, args=(folder, send))
        process.start()
        address = receive.recv()
        killer = threading.Timer(chance.uniform(0.0, 0.03), os.kill, (process.pid, signal.SIGKILL))
        first = chance.randint(1, 3)
        with contextlib.suppress(httpx.TransportError), httpx.Client(base_url=address, timeout=20) as client:
            client.post("/enter", data={"name": f"rater {kill}"})
            for count in range(1000):
                if count == first:
                    killer.start()
                shown = re.search(r'name="shown" value="(\d+)"', client.get("/").text)
                if shown is None:
                    break
                verdict = chance.choice(["0", "1", "tie"])
                assert client.post("/judge", data={"shown": shown[1], "verdict": verdict}).status_code == 303
                confirmed[int(shown[1])] = verdict
        killer.join()
        process.join()
    return confirmed


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_nothing_confirmed_is_lost_or_doubled_by_kills(tmp_path, kills, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))
    gallery(tmp_path)
    confirmed = killed_pages(tmp_path, kills, seed=5)
    annotation = annotation_in(tmp_path, scores=False)
    kept = {}
    for question, rater, answer in annotation.judgements.answers():
        shown = annotation.judgements.show(rater, question, ())
        verdict = "tie" if answer.get("tie") else str(shown.sides.index(answer["better"]))
        assert shown.id not in kept
        kept[shown.id] = verdict
    print(f"{kills} kills: {len(confirmed)} confirmed, {len(kept)} kept")
    assert confirmed.items() <= kept.items()
    assert len(kept) - len(confirmed) <= kills
    assert len(confirmed) >= kills
    annotation.judgements.close()
