"""flow_grpo's requests as ``flow_grpo/rewards.py`` of yifan123/flow_grpo (54809b5fcf4d) builds them."""

import io
import math
import pickle

import numpy as np
import PIL.Image
import pytest
from asked import client, offline

from assay.records import Record


def jpegs(count):
    found = []
    for _ in range(count):
        buffer = io.BytesIO()
        PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, format="JPEG")
        found.append(buffer.getvalue())
    return found


@pytest.fixture(scope="module")
def http():
    with client(pickle=True) as asked:
        yield asked


def ask(http, request, path="/flow_grpo", protocol=None, code=200):
    answer = http.post(path, content=pickle.dumps(request, protocol=protocol))
    assert answer.status_code == code, answer.content
    return pickle.loads(answer.content)


def value(prompt):
    return offline([Record.of(prompt, [""])])[0] + 10


@pytest.mark.parametrize("path", ["/flow_grpo", "/"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_its_request_in_every_protocol(http, path, protocol):
    prompts = np.array_split(["a cat", "a longer dog"], 1)[0]
    answer = ask(http, {"images": jpegs(2), "prompts": prompts}, path, protocol)
    assert answer["outputs"] == answer["scores"] == [value("a cat"), value("a longer dog")]
    assert answer["status"] == ["ok", "ok"]


def test_pixels_are_not_counted_as_json(http, monkeypatch):
    monkeypatch.setattr("assay.serving.body.MOST_VALUES", 1_000)
    for path in ("/flow_grpo", "/"):
        answer = ask(http, {"images": np.full((2, 30, 30, 3), ord("{"), np.uint8), "prompts": ["a", "bb"]}, path)
        assert answer["scores"] == [value("a"), value("bb")]


def test_pictures_without_prompts(http):
    assert ask(http, {"images": jpegs(1)})["outputs"] == [value("")]


def test_verl_omnis_metadata_are_columns(http):
    answer = ask(http, {"images": jpegs(1), "prompts": ["a"], "metadata": {"label": "x"}})
    assert answer["scores"] == [value("a")]


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_pixels(http, order):
    images = np.asarray(np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), dtype=np.uint8), order=order)
    for protocol in (2, 4, 5):
        assert ask(http, {"images": images, "prompts": ["a", "b"]}, protocol=protocol)["scores"] == [value("a")] * 2


def test_a_picture_that_cannot_be_read_is_nan_and_the_others_are_scored(http):
    answer = ask(http, {"images": [b"", *jpegs(1)], "prompts": ["a", "b"]})
    assert math.isfinite(answer["scores"][1])
    wrong = ask(http, {"images": [np.zeros((4, 4), np.float64)], "prompts": ["a"]})
    assert math.isnan(wrong["scores"][0])
    assert wrong["status"] == ["unreadable_media"]


@pytest.mark.parametrize(
    "request_",
    [
        [],
        {},
        {"images": jpegs(1), "prompts": ["a", "b"]},
        {"images": 3, "prompts": ["a"]},
        {"images": jpegs(1), "meta_datas": [{"prompt": "a"}], "only_strict": True},
    ],
)
def test_what_makes_no_sense_is_an_error_in_a_pickle(http, request_):
    assert ask(http, request_, code=422).keys() == {"error"}


def test_without_the_switch_there_is_no_such_address():
    with client() as http:
        assert http.post("/flow_grpo", content=pickle.dumps({"images": jpegs(1)})).status_code == 404
        assert http.post("/", content=pickle.dumps({"images": jpegs(1)})).status_code == 404


def test_a_body_over_the_limit_is_refused_before_it_is_read():
    from assay.serving.policy import MediaPolicy

    with client(pickle=True, policy=MediaPolicy(max_body=1_000)) as http:
        assert http.post("/flow_grpo", content=pickle.dumps({"images": [b"x" * 2_000]})).status_code == 413


def test_more_pictures_than_a_request_may_hold_are_refused_before_one_is_encoded():
    from assay.serving.policy import MediaPolicy

    one = np.zeros((4, 4, 3), np.uint8)
    with client(pickle=True, policy=MediaPolicy(max_parts=2)) as http:
        assert ask(http, {"images": [one] * 2, "prompts": ["a", "b"]})["status"] == ["ok"] * 2
        assert "too_many_parts" in ask(http, {"images": [one] * 3, "prompts": ["a"] * 3}, code=422)["error"]


def test_a_hostile_pickle_is_refused(http):
    class Hostile:
        def __reduce__(self):
            return (eval, ("1",))

    answer = http.post("/flow_grpo", content=pickle.dumps({"images": [Hostile()]}))
    assert answer.status_code == 422
    assert "builtins.eval" in pickle.loads(answer.content)["error"]
