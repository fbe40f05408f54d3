"""The page of judgements asked over HTTP: what a rater sees and sends, and what is refused."""

import html
import re
import sqlite3

import pytest
from fastapi.testclient import TestClient
from view_gallery import gallery
from view_site import annotation_in, create_annotator

from assay.records import Preference, Ranking, Rating, StepLabels, read
from assay.view.tasks import ranking, rating, steps


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("annotate")
    gallery(made)
    return made


@pytest.fixture
def page(folder):
    """Opens the page of a task."""
    opened = []

    def annotate(task=None, **more):
        annotation = annotation_in(folder, task, **more)
        opened.append(annotation)
        return annotation, TestClient(create_annotator(annotation), base_url="http://127.0.0.1")

    yield annotate
    for annotation in opened:
        annotation.judgements.close()
        annotation.judgements.path.unlink()


def entered(client, name="Ann"):
    assert client.post("/enter", data={"name": name}).status_code == 200
    return client


def shown_in(text):
    return int(re.search(r'name="shown" value="(\d+)"', text)[1])


def test_a_rater_needs_a_name(page):
    annotation, client = page()
    assert "Who is judging?" in client.get("/").text
    for name in ("", "  ", "x" * 61, "a\u0000b"):
        assert client.post("/enter", data={"name": name}).status_code == 400
    assert client.post("/judge", data={"shown": "1", "verdict": "0"}).status_code == 403
    assert annotation.judgements.counts() == {}
    assert "Which response is better?" in entered(client, "Zo\u00eb  M\u00fcller").get("/").text
    assert "Zo\u00eb M\u00fcller" in client.get("/").text


def test_judging_goes_on_until_nothing_is_left(page):
    annotation, client = page()
    entered(client)
    for count in range(20):
        text = client.get("/").text
        assert f"{count} of 20" in text
        verdict = {"verdict": ("0", "1", "tie")[count % 3]} if count % 4 else {"skip": "1"}
        answered = client.post("/judge", data={"shown": shown_in(text), **verdict}, follow_redirects=False)
        assert (answered.status_code, answered.headers["location"]) == (303, "/")
    assert "Nothing is left to judge" in client.get("/").text
    assert len(annotation.judgements.answers()) == 15
    assert shown_in(client.post("/undo").text)


def test_raters_at_once_are_not_asked_more_than_the_overlap(page):
    annotation, ann = page(overlap=1)
    bob = TestClient(ann.app, base_url="http://127.0.0.1")
    seen = [shown_in(entered(client, name).get("/").text) for client, name in ((ann, "Ann"), (bob, "Bob"))]
    asked = [annotation.judgements.shown(number).question for number in seen]
    assert len(set(asked)) == 2
    for client in (ann, bob):
        while "Nothing is left" not in (text := client.get("/").text):
            client.post("/judge", data={"shown": shown_in(text), "verdict": "tie"})
    assert {len(said) for said in annotation.judgements.standing.values()} == {1}
    assert len(annotation.judgements.answers()) == len(annotation.choice.questions)


def test_the_page_does_not_say_which_response_is_which(page):
    annotation, client = page()
    text = entered(client).get("/").text
    shown = annotation.judgements.shown(shown_in(text))
    question = annotation.questions[shown.question]
    record = annotation.record(question.record)
    for told in (record.id, question.key, "0.6", "value", "parquet"):
        assert told not in re.sub(r'value="[^"]*"', "", text), told
    picture = re.findall(r'src="(/media/[^"]+)"', text)
    assert all(address.startswith(f"/media/{shown.id}/") for address in picture)


def test_media_are_those_of_the_side(page):
    annotation, client = page()
    entered(client)
    number = annotation.shelf.number("drawn")
    shown = annotation.judgements.show("Ann", f"{number}:0-2", (0, 2))
    record = annotation.record(number)
    for side, response in enumerate(shown.sides):
        expected = record.responses[response].messages[0].parts[0].data
        assert client.get(f"/media/{shown.id}/{side}/0").content == expected
    for path in ("prompt/0", "2/0", "0/1", "-1/0", "0/-1", "prompt/9", "x/0", "\u0663/0"):
        assert client.get(f"/media/{shown.id}/{path}").status_code == 404, path
    assert client.get("/media/999/0/0").status_code == 404
    pictured = annotation.judgements.show("Ann", "0:0-1", (0, 1))
    assert client.get(f"/media/{pictured.id}/prompt/0").headers["content-type"] == "image/png"


def test_a_medium_that_is_lost_does_not_tell_its_name(page, folder):
    annotation, client = page()
    entered(client)
    pictured = annotation.judgements.show("Ann", "0:0-1", (0, 1))
    lost = folder / "pictures" / "red.png"
    moved = lost.rename(folder / "elsewhere.png")
    try:
        assert "image: missing file" in client.get(f"/?shown={pictured.id}").text
        reply = client.get(f"/media/{pictured.id}/prompt/0")
        assert reply.status_code == 404
        assert "red.png" not in reply.text
    finally:
        moved.rename(lost)


def test_a_question_of_somebody_else_is_not_answered(page):
    annotation, client = page()
    other = annotation.judgements.show("Bob", "0:0-1", (0, 1))
    entered(client)
    assert client.post("/judge", data={"shown": other.id, "verdict": "0"}).status_code == 403
    assert client.post("/judge", data={"shown": "x", "verdict": "0"}).status_code == 422
    assert client.post("/judge", data={"shown": "9" * 30, "verdict": "0"}).status_code == 403
    assert shown_in(client.get(f"/?shown={other.id}").text) != other.id
    assert annotation.judgements.counts() == {}


def test_an_answer_sent_twice_counts_once(page):
    annotation, client = page()
    form = {"shown": shown_in(entered(client).get("/").text), "verdict": "tie"}
    for _ in range(3):
        assert client.post("/judge", data=form).status_code == 200
    assert annotation.judgements.counts() == {"Ann": 1}


def test_another_site_cannot_judge(page):
    annotation, client = page()
    form = {"shown": shown_in(entered(client).get("/").text), "verdict": "0"}
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:9"},
    ):
        assert client.post("/judge", data=form, headers=headers).status_code == 403
        assert client.post("/undo", headers=headers).status_code == 403
    assert annotation.judgements.counts() == {}
    assert client.post("/judge", data=form, headers={"origin": "http://127.0.0.1"}).status_code == 200
    assert annotation.judgements.counts() == {"Ann": 1}


def test_a_form_without_end_is_refused(page):
    _, client = page()
    assert client.post("/enter", content=b"name=" + b"x" * (1 << 21)).status_code == 413


@pytest.mark.parametrize(
    ("task", "form", "kind"),
    [
        (ranking(), {"rank-0": "2", "rank-1": "1", "rank-2": "2"}, Ranking),
        (rating(["good"]), {"rate-0-0": "5"}, Rating),
        (steps(), {"step-0": "right"}, StepLabels),
    ],
    ids=["ranking", "rating", "steps"],
)
def test_each_task_has_its_form_and_its_feedback(page, task, form, kind, tmp_path):
    _, client = page(task, scores=False)
    text = entered(client).get("/").text
    for name in form:
        assert f'name="{name}"' in text
    empty = client.post("/judge", data={"shown": shown_in(text)})
    assert empty.status_code == 400
    assert 'role="alert"' in empty.text
    assert client.post("/judge", data={"shown": shown_in(text), **form}).status_code == 200
    answer = client.get("/export")
    (tmp_path / "judged.jsonl").write_bytes(answer.content)
    (record,) = read(tmp_path / "judged.jsonl")
    assert [type(item) for item in record.feedback if item.rater == "Ann"] == [kind]
    if kind is StepLabels:
        assert all(response.step_ends for response in record.responses)


def test_a_form_that_is_sent_back_keeps_what_was_picked(page):
    _, client = page(ranking(), scores=False)
    shown = shown_in(entered(client).get("/").text)
    text = client.post("/judge", data={"shown": shown, "rank-1": "3"}).text
    assert re.search(r'name="rank-1" value="3" checked', text)
    assert "Give response 1 a place" in text


def test_exports_are_files_of_the_formats_that_are_written(page, tmp_path):
    annotation, client = page()
    text = entered(client).get("/").text
    shown = annotation.judgements.shown(shown_in(text))
    client.post("/judge", data={"shown": shown.id, "verdict": "0"})
    listed = re.findall(r"<option[^>]*>(\w+)</option>", client.get("/progress").text)
    assert {"native", "trl", "ultrafeedback_binarized"} & set(listed) >= {"native", "trl"}
    for name in ("native", "trl"):
        answer = client.get("/export", params={"to": name})
        path = tmp_path / re.search(r'filename="([^"]+)"', answer.headers["content-disposition"])[1]
        path.write_bytes(answer.content)
        found = [each for record in read(path) for each in record.feedback if isinstance(each, Preference)]
        assert found
    assert client.get("/export", params={"to": "no such format"}).status_code == 422


def test_what_a_format_cannot_hold_is_said(page):
    annotation, client = page()
    hostile = annotation.shelf.number("hostile")
    shown = annotation.judgements.show("Ann", f"{hostile}:0-1", (0, 1))
    entered(client).post("/judge", data={"shown": shown.id, "verdict": "tie"})
    answer = client.get("/export", params={"to": "trl"})
    assert answer.status_code == 422
    assert "cannot be written as trl" in html.unescape(answer.text)


def test_progress_shows_raters_and_agreement(page):
    _, client = page()
    for name in ("Ann", "Bob"):
        entered(client, name)
        for verdict in ("0", "1", "tie"):
            client.post("/judge", data={"shown": shown_in(client.get("/").text), "verdict": verdict})
    text = client.get("/progress").text
    assert re.search(r'<th scope="row">Ann</th><td class="n">3</td><td class="n">15 %</td>', text)
    assert re.search(r'<th scope="row">pairs</th><td class="n">\S+</td><td class="n">2</td><td class="n">3</td>', text)
    assert client.post("/leave").status_code == 200
    assert "Who is judging?" in client.get("/").text


def test_an_answer_that_cannot_be_kept_is_not_confirmed(page):
    annotation, client = page()
    connection, questions = annotation.judgements._connection, annotation.choice.questions
    shown = shown_in(entered(client).get("/").text)
    others = [annotation.judgements.show(str(n), questions[n % 20].key, (0, 1)) for n in range(400)]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        [annotation.judgements.judge(other, {"better": 0}) for other in others]
    answered = len(annotation.judgements.answers())
    refused = client.post("/judge", data={"shown": shown, "verdict": "0"})
    assert refused.status_code == 507
    assert "was not kept" in refused.text
    assert "Ann" not in annotation.judgements.counts()
    new = ({"cookie": f"assay-rater={'x' * 50}{number}"} for number in range(300))
    stranger = TestClient(client.app, base_url="http://127.0.0.1")
    assert any(stranger.get("/", headers=headers).status_code == 507 for headers in new)
    connection.execute("PRAGMA max_page_count = 1000000")
    assert client.post("/judge", data={"shown": shown, "verdict": "0"}).status_code == 200
    assert annotation.judgements.counts()["Ann"] == 1
    assert len(annotation.judgements.answers()) == answered + 1


@pytest.mark.parametrize("number", ["0", "-1", "9" * 18, "9" * 40])
def test_numbers_that_nothing_has_are_not_found(page, number):
    _, client = page()
    entered(client)
    assert client.get(f"/media/{number}/0/0").status_code == 404
    assert client.get(f"/?shown={number}").status_code == 200
