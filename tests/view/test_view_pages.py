"""The page of scores asked over HTTP: what it shows, what it refuses, and that nothing foreign acts in it."""

import html
import re
from html.parser import HTMLParser
from urllib.parse import quote

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from view_gallery import HOSTILE
from view_site import create_view, viewed_in

from assay.media import Audio, Image, Video
from assay.records import Critique, Record, read, write
from assay.rewards.base import scores_of
from assay.rewards.rules.length import length
from assay.runs.score import score_file
from assay.view.media import content_type
from assay.view.serve import hosts_of
from assay.view.shelf import shelve
from assay.view.table import open_table
from assay.view.viewer import Viewed


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    return viewed_in(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def client(viewed):
    return TestClient(create_view(viewed), base_url="http://127.0.0.1")


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))


def links(page, pattern):
    return [html.unescape(found) for found in re.findall(rf'href="({pattern}[^"]*)"', page)]


def test_every_link_of_every_page_leads_somewhere(client):
    seen, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        place = re.sub(r"&?(at|sort|keep)=[^&]*", "", path) if path.startswith("/row") else path
        if place in seen or path.startswith("/at/"):
            continue
        seen.add(place)
        response = client.get(path)
        assert response.status_code == 200, path
        if response.headers["content-type"].startswith("text/html"):
            waiting += links(response.text, "/")
        assert len(seen) < 2000
    assert len([path for path in seen if path.startswith("/row")]) == 25
    assert any(path.startswith("/media/") for path in seen)


def test_a_row_has_a_lasting_address(client, viewed):
    for record in viewed.shelf:
        page = client.get(f"/row?record={quote(record.id)}&response=1")
        assert page.status_code == 200
        assert '<article class="card candidate chosen" id="response-1"' in page.text
        assert page.text.count('<article class="card candidate') == len(record.responses)


def test_the_worst_errors_come_first(client, viewed):
    page = client.get("/?sort=-error&keep=error+%3E+0").text
    column = viewed.table.column("error")
    first = viewed.table.read([int(np.nanargmax(column))])[0]
    assert links(page, "/row")[0].startswith(f"/row?record={first['record']}")
    assert f"&response={first['response']}&" in links(page, "/row")[0]


def test_foreign_text_is_escaped_and_could_not_run_anyway(client):
    shown = ["/", "/row?record=hostile", f"/?keep={quote(HOSTILE)}", f"/row?record={quote(HOSTILE)}"]
    for path in shown:
        response = client.get(path)
        assert "<script>document" not in response.text
        assert "<img src=x" not in response.text
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        tags = Tags()
        tags.feed(response.text)
        assert {dict(attributes).get("src") for tag, attributes in tags.found if tag == "script"} == {"/static/view.js"}
        assert not [each for _, attributes in tags.found for each, _ in attributes if each.startswith(("on", "style"))]


def test_media_are_had_by_record_and_place_alone(client, viewed):
    record = next(iter(viewed.shelf))
    picture = next(part for part in record.parts() if isinstance(part, Image))
    response = client.get("/media/0/0")
    assert response.content == picture.path.read_bytes()
    assert response.headers["content-type"] == "image/png"
    assert "sandbox" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-cache"  # other data may come to the same address
    for path in ("0/1", "0/99", "99/0", "-1/0", "0/-1", "8/1/9", "8/1/-1"):
        assert client.get(f"/media/{path}").status_code == 404, path


def test_media_that_cannot_be_read_say_so_in_their_place(tmp_path):
    (tmp_path / "empty.wav").touch()
    gone = [[Image.from_path(tmp_path / "gone.png")], [Video.from_path(tmp_path / "gone.mp4")]]
    made = [Record.of("Which?", [*gone, [Audio.from_path(tmp_path / "empty.wav")]], id="gone")]
    write(made, tmp_path / "data.jsonl")
    score_file(lambda records: scores_of(records, torch.zeros(3)), made, tmp_path / "scores.parquet")
    viewed = Viewed(open_table(tmp_path / "scores.parquet", tmp_path), shelve(tmp_path / "data.jsonl", tmp_path))
    client = TestClient(create_view(viewed), base_url="http://127.0.0.1")
    page = client.get("/row?record=gone").text
    for said in ("image: missing file", "video: missing file", "audio: empty file"):
        assert said in page
    assert not [tag for tag in ("<img", "<video", "<audio") if tag in page]
    (reason,) = links(page, "/media/0/1")
    assert "gone.png: no such file" in client.get(reason).text


TRICKS = [
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "0/..%2f..%2fpictures%2fred.png",
    "/etc/passwd",
    "file:///etc/passwd",
    "0/0%00.png",
    "0/0/../../../../etc/passwd",
    "pictures/red.png",
]


@pytest.mark.parametrize("start", ["/media/", "/static/", "/"])
@pytest.mark.parametrize("trick", TRICKS)
def test_no_path_of_an_address_reaches_a_file(client, start, trick):
    response = client.get(start + trick)
    assert response.status_code in (400, 404, 405, 422)
    assert "root:" not in response.text


def test_a_video_is_sent_by_range(client, viewed):
    number = viewed.shelf.number("films")
    whole = client.get(f"/media/{number}/1")
    assert whole.headers["content-type"] == "video/mp4"
    part = client.get(f"/media/{number}/1", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])


def test_a_sound_in_memory_is_sent_by_range(client, viewed):
    path = f"/media/{viewed.shelf.number('sounds')}/1"
    whole = client.get(path).content
    size = len(whole)
    end = whole[-4:]
    for asked, expected in (("0-3", b"RIFF"), (f"{size - 4}-", end), ("-4", end), ("4-9999999", whole[4:])):
        part = client.get(path, headers={"range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, expected)
        assert part.headers["content-range"].endswith(f"/{size}")
    assert client.get(path, headers={"range": f"bytes={size}-"}).status_code == 416
    assert client.get(path, headers={"range": "lines=1-2"}).content == whole


def test_frames_are_pictures(client, viewed):
    number = viewed.shelf.number("frames/one & two")
    assert client.get(f"/media/{number}/1/2").headers["content-type"] == "image/png"
    assert client.get(f"/media/{number}/1").status_code == 404


def test_bytes_that_are_no_medium_are_never_sent_as_one():
    assert content_type(b"<html><script>") is None
    assert content_type(b"<svg xmlns=") is None
    assert content_type(b"%PDF-1.7") is None
    assert content_type(b"\x89PNG\r\n\x1a\n") == "image/png"


def test_a_filter_that_cannot_be_read_is_said_and_kept_in_its_field(client):
    response = client.get("/?keep=value+%3E")
    assert response.status_code == 400
    assert "expected a number or the name of a column" in html.unescape(response.text)
    assert 'value="value &gt;"' in response.text
    assert client.get("/?sort=nothing").status_code == 400
    assert client.get("/at/0?keep=nothing").status_code == 400


def test_what_is_not_there_is_said(client):
    assert client.get("/row?record=nothing").status_code == 404
    assert client.get("/nothing").status_code == 404
    assert client.get("/row").status_code == 422
    assert client.get("/at/99999", follow_redirects=False).headers["location"] == "/"


def test_another_name_for_this_machine_is_refused(viewed):
    stranger = TestClient(create_view(viewed), base_url="http://evil.example")
    assert stranger.get("/").status_code == 400
    assert TestClient(create_view(viewed, ("*",)), base_url="http://evil.example").get("/").status_code == 200


def test_without_data_scores_alone_are_shown(tmp_path):
    whole = viewed_in(tmp_path, ".jsonl")
    alone = TestClient(create_view(type(whole)(whole.table)), base_url="http://127.0.0.1")
    assert alone.get("/row?record=steps").status_code == 200
    assert "0.95" in alone.get("/row?record=steps").text
    assert alone.get("/media/0/0").status_code == 404


def test_scores_of_other_data_say_so(viewed, tmp_path):
    lacking = type(viewed)(viewed.table, None, viewed.other)
    write([record for record in viewed.shelf if record.id != "steps"], tmp_path / "less.jsonl")
    shelf = shelve(tmp_path / "less.jsonl", tmp_path / "cache")
    page = TestClient(create_view(type(viewed)(lacking.table, shelf)), base_url="http://127.0.0.1").get(
        "/row?record=steps"
    )
    assert "no record of this id" in page.text


def test_where_lower_is_better_ranks_and_errors_turn(tmp_path):
    viewed = viewed_in(tmp_path, sign=-1.0)
    client = TestClient(create_view(viewed), base_url="http://127.0.0.1")
    values = {row["response"]: row["value"] for row in viewed.table.read(viewed.table.span("shapes-0"))}
    page = client.get("/row?record=shapes-0").text
    shown = [int(each) for each in re.findall(r'id="response-(\d)"', page)]
    assert shown == sorted(values, key=lambda each: values[each])


def test_the_gallery_is_what_was_written(viewed):
    assert list(viewed.shelf) == list(read(viewed.shelf.root / "data.jsonl"))


def test_text_that_is_no_unicode_is_shown_all_the_same(tmp_path):
    made = [Record.of("\ud800 what?", ["\udfff this", "that"], id="odd")]
    write(made, tmp_path / "data.jsonl")
    score_file(length(per_words=3.0), made, tmp_path / "scores.parquet")
    viewed = Viewed(open_table(tmp_path / "scores.parquet", tmp_path), shelve(tmp_path / "data.jsonl", tmp_path))
    client = TestClient(create_view(viewed), base_url="http://127.0.0.1")
    assert "? what?" in client.get("/").text
    assert "? this" in client.get("/row?record=odd").text


@pytest.mark.parametrize("number", ["9" * 18, "9" * 40, "-" + "9" * 40])
def test_numbers_out_of_all_bounds_break_nothing(client, number):
    assert client.get(f"/?at={number}").status_code == 200
    assert client.get(f"/row?record=steps&response={number}&at={number}").status_code == 200
    assert client.get(f"/at/{number}").status_code == 200
    for path in (f"{number}/0", f"0/{number}", f"8/1/{number}"):
        assert client.get(f"/media/{path}").status_code == 404


@pytest.mark.parametrize("number", [-1, 25, 999_999])
def test_a_place_outside_of_the_list_is_not_told(client, number):
    assert "of 25" in client.get("/row?record=steps&at=24").text
    assert "of 25" not in client.get(f"/row?record=steps&at={number}").text


def test_a_place_before_the_first_is_the_first(client):
    assert "row 1 of 25" in client.get("/at/-3").text


@pytest.mark.parametrize("expression", ["0 < value < 1 < 2", "1 < 2 and value > 0", "not 1 > 2 and value > 0"])
def test_a_filter_may_compare_numbers_alone_in_a_part_of_it(client, expression):
    page = client.get("/", params={"keep": expression})
    assert page.status_code == 200
    assert page.text.count('class="open"') > 0


def test_text_runs_in_its_own_direction(tmp_path):
    hebrew = "\u05e9\u05dc\u05d5\u05dd!"
    made = [Record.of(hebrew, [hebrew, "\u202eturned"], id=hebrew, feedback=[Critique(0, hebrew)])]
    write(made, tmp_path / "data.jsonl")
    score_file(length(per_words=3.0), made, tmp_path / "scores.parquet")
    viewed = Viewed(open_table(tmp_path / "scores.parquet", tmp_path), shelve(tmp_path / "data.jsonl", tmp_path))
    client = TestClient(create_view(viewed), base_url="http://127.0.0.1")
    for path in ("/", f"/row?record={quote(hebrew)}"):
        page = client.get(path).text.partition("<body>")[2]
        assert hebrew in page
        for before in re.findall(rf"<([^<>]*)>[^<>]*{hebrew}", re.sub(r"<span( class=\"step\")?>", "", page)):
            assert 'dir="auto"' in before or before.startswith(("bdi", "caption")), before


def test_this_machine_has_its_loopback_names_alone(viewed):
    app = create_view(viewed, hosts_of("::1"))
    for host, status in (("[::1]:8400", 200), ("localhost:8400", 200), ("evil.example", 400)):
        assert TestClient(app, base_url="http://127.0.0.1").get("/", headers={"host": host}).status_code == status
    assert hosts_of("127.0.0.1") == ("127.0.0.1", "localhost")
    assert hosts_of("0.0.0.0") == ("*",)
