"""cosmos-rl's requests as ``reward_service/cosmos_rl_reward/example/image_client.py`` (0766726776c8) builds them."""

import io
import json
import time

import numpy as np
import pytest
from asked import client, offline, told

from assay.records import Record


@pytest.fixture(scope="module")
def http():
    with client(told("told"), told("more", more=0.5)) as asked:
        yield asked


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def enqueue(http, array, prompts, reward_fn=None, **more):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    data = {"media_type": "image", "prompts": prompts, "reward_fn": reward_fn or {"told": 1.0}, **more}
    payload = json.dumps(data).encode() + b"\n" + buffer.getvalue()
    return http.post("/api/reward/enqueue", content=payload, headers={"Content-Type": "application/octet-stream"})


def pull(http, uuid, kind):
    ends = time.monotonic() + 20
    while True:
        answer = http.post("/api/reward/pull", data={"uuid": uuid, "type": kind})
        if answer.status_code == 200 or time.monotonic() > ends:
            return answer
        time.sleep(0.02)


def value(prompt):
    return offline([Record.of(prompt, [""])])[0] + 10


@pytest.mark.parametrize("shape", [(2, 6, 5, 3), (2, 3, 6, 5)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pictures_are_taken_and_their_scores_fetched(http, shape, order):
    answer = enqueue(http, np.asarray(pixels(*shape), order=order), ["a", "bb"], {"told": 1.0, "more": 0.5, "no": 0.0})
    uuid = answer.json()["uuid"]
    found = pull(http, uuid, "told").json()
    assert found["scores"] == {"told": [value("a"), value("bb")]}
    assert found["type"] == "told"
    assert found["input_info"]["dtype"] == "torch.uint8"
    assert pull(http, uuid, "more").json()["scores"] == {"more": [value("a") + 0.5, value("bb") + 0.5]}


def test_what_is_not_there_is_a_400_as_its_client_expects(http):
    answer = http.post("/api/reward/pull", data={"uuid": "nobody", "type": "told"})
    assert answer.status_code == 400
    assert "Not found" in answer.json()["message"]


def test_ping(http):
    assert http.post("/api/reward/ping", data={"info_data": "{}"}).json() == {"message": "Ping request received"}


def test_the_pixels_are_what_the_reward_sees():
    from assay.rewards.base import scores_of
    from assay.serving.service import Entry
    from assay.spec import Spec

    class Red:
        spec = Spec(modalities=frozenset({"text", "image"}))

        def fingerprint(self):
            return "0" * 64

        def __call__(self, records):
            return scores_of(
                records, [float(np.asarray(r.responses[0].messages[0].parts[0].pil())[..., 0].mean()) for r in records]
            )

    array = pixels(3, 4, 7, 3)
    with client(Entry("red", Red)) as http:
        uuid = enqueue(http, array, ["a"] * 3, {"red": 1.0}).json()["uuid"]
        scores = pull(http, uuid, "red").json()["scores"]["red"]
    assert scores == pytest.approx(array[..., 0].mean((1, 2)).tolist())


@pytest.mark.parametrize(
    ("array", "prompts", "more"),
    [
        (pixels(2, 4, 4, 3), ["a"], {}),
        (pixels(0, 4, 4, 3), [], {}),
        (pixels(1, 0, 4, 3), ["a"], {}),
        (pixels(1, 0, 0, 3), ["a"], {}),
        (pixels(1, 4, 4, 4), ["a"], {}),
        (pixels(4, 4, 3), ["a"] * 4, {}),
        (pixels(1, 4, 4, 3).astype(np.float32), ["a"], {}),
        (pixels(1, 4, 4, 3), ["a"], {"media_type": "latent"}),
        (pixels(1, 4, 4, 3), ["a"], {"rewards": 1}),
        (pixels(1, 4, 4, 3), ["a"], {"reward_fn": {"told": 0.0}}),
    ],
)
def test_what_makes_no_sense_is_refused(http, array, prompts, more):
    assert enqueue(http, array, prompts, **more).status_code == 422


def test_pixels_are_not_counted_as_json(http, monkeypatch):
    monkeypatch.setattr("assay.serving.body.MOST_VALUES", 1_000)
    assert enqueue(http, np.full((2, 30, 30, 3), ord(","), np.uint8), ["a", "bb"]).status_code == 200


def test_a_line_of_very_many_values_is_refused_before_it_is_read(http, monkeypatch):
    monkeypatch.setattr("assay.serving.dialects.cosmos.MOST_VALUES", 1_000)
    assert enqueue(http, pixels(1, 4, 4, 3), ["a"], video_infos=[{}] * 2_000).status_code == 413


def test_an_unknown_reward_is_refused_at_once(http):
    assert enqueue(http, pixels(1, 4, 4, 3), ["a"], {"nobody": 1.0}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 5000 + b"\n",
        b'{"prompts": ["a"], "reward_fn": {"told": 1}}\n',
        b'{"prompts": ["a"], "reward_fn": {"told": 1}}\n\x93NUMPY\x01\x00\xff\xff',
        b'{"prompts": ["a"], "reward_fn": {"told": 1}}\n\x93NUMPY\x01\x00\x50\x00'
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 99999, 99999, 3)}".ljust(79)
        + b"\n",
        b'{"prompts": ["a"], "reward_fn": {"told": 1}}\n\x93NUMPY\x01\x00\x50\x00'
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -1, 2, 3)}".ljust(79)
        + b"\n123456",
        b'{"prompts": ["a"], "reward_fn": {"told": 1}}\n\x93NUMPY\x01\x00\x50\x00'
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1, 1, 3)}".ljust(79)
        + b"\n\x80\x04N.",
    ],
)
def test_a_hostile_body_is_refused(http, body):
    assert http.post("/api/reward/enqueue", content=body).status_code == 422
