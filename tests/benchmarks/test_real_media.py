"""Figures on pictures, films and sounds: whole runs over small made-up data, and public films that train a reward."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest

from assay.perturb.sounds import wav
from assay.records import Preference, Record, read
from assay.rewards.base import score
from assay.rewards.learned import LearnedReward
from assay.rewards.rules.picture import film_statistics

ROOT = Path(__file__).parent.parent.parent
DATA = Path(os.environ.get("ASSAY_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of ``benchmarks/real`` by its name, imported as the command imports it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = set(sys.modules)
    yield lambda name: import_module(f"real.{name}")
    for name in set(sys.modules) - before:
        if name == "real" or name.startswith("real."):
            del sys.modules[name]


def noise(seed: int, blur: float = 0.0) -> PIL.Image.Image:
    values = np.random.default_rng(seed).integers(0, 255, (144, 144, 3)).astype(np.uint8)
    picture = PIL.Image.fromarray(values)
    return picture.filter(PIL.ImageFilter.GaussianBlur(blur)) if blur else picture


def rows(path: Path, found: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(json.dumps(row) for row in found) + "\n")


def test_distorted_pictures(real: Any, tmp_path: Path) -> None:
    folder = tmp_path / "t2i-mjbench-quality-objects"
    folder.mkdir()
    pairs = []
    for number in range(12):
        noise(number, 0.3 + 0.1 * (number % 3)).save(folder / f"{number}.png")
        noise(number, 1.5).save(folder / f"{number}_edited.png")
        names = {"image0": f"{number}.png", "image1": f"{number}_edited.png"}
        pairs.append({"caption": f"a thing {number // 2}", **names, "label": 0})
    pairs.append({"caption": "the same", "image0": "0.png", "image1": "0.png", "label": 0})
    rows(folder / "pairs.jsonl", pairs)
    found = real("mjbench").measure(real("frame").Place(tmp_path, tmp_path))
    assert found.split.told()["items"] == 12
    assert found.split.told()["clusters_asked"] == 6
    (figure,) = found.figures
    assert figure.ours.value == figure.floor.value == 1.0
    assert figure.difference.value == 0.0


def test_a_listening_test(real: Any, tmp_path: Path) -> None:
    folder = tmp_path / "audio-mushra-codec"
    folder.mkdir()
    found = []
    for signal in range(4):
        rng = np.random.default_rng(signal)
        time = np.arange(6000) / 24_000
        known = 0.2 * np.sin(2 * np.pi * (200 + 40 * signal) * time) + 0.05 * rng.normal(size=len(time))
        for place, noisy in enumerate((0.0, 0.02, 0.05, 0.1)):
            name = f"{signal}_{place}.wav"
            (folder / name).write_bytes(wav(known + noisy * rng.normal(size=len(time)), 24_000).read())
            rating = [100.0, 70.0, 40.0, 10.0][place]
            row = {"signal": f"s{signal}", "condition": "Reference" if place == 0 else f"c{place}", "file": name}
            found.append(row | {"ratings": [rating - 3, rating + 3], "participant_ids": [1, 2]})
    rows(folder / "ratings.jsonl", found)
    measured = real("mushra").measure(real("frame").Place(tmp_path, tmp_path))
    spearman, pairs = measured.figures
    assert measured.split.folds == 4
    assert spearman.ours.value > 0.8
    assert spearman.floor.value > 0.5
    assert pairs.ours.n == 4 * 6
    assert len(spearman.details["settings"]) == 4


def test_ratings_of_films(real: Any, tmp_path: Path) -> None:
    folder = tmp_path / "video-fetv-ratings"
    folder.mkdir()
    found = []
    for prompt in range(6):
        for place in range(4):
            frames = [noise(10 * prompt + n, 0.2 + 0.4 * place) for n in range(2)]
            frames[0].save(folder / f"{prompt}_{place}.gif", save_all=True, append_images=frames[1:], duration=250)
            row = {"prompt": f"prompt {prompt}", "model": f"m{place}", "video": f"{prompt}_{place}.gif"}
            own = {"SQ": 5.0 - place, "TQ": 2.0 + place % 2} if prompt < 5 else {}
            found.append(row | own | {"Alignment": 4.0 - 0.5 * place})
    rows(folder / "ratings.jsonl", found)
    measured = real("fetv").measure(real("frame").Place(tmp_path, tmp_path))
    static, temporal, alignment = measured.figures
    assert (static.details["rated"], alignment.details["rated"]) == (20, 24)
    assert static.ours.value > 0.8
    assert static.floor.value > 0.8
    assert temporal.ours.n == 20


def test_the_right_word_is_counted_whatever_its_place(real: Any) -> None:
    fsdd = real("fsdd")
    values = np.arange(10.0)[None].repeat(3, 0)
    values[2] = np.nan
    right = np.array([9, 4, 0])
    assert fsdd._picked(values, right).tolist() == [1.0, 0.0, 0.0]
    np.testing.assert_allclose(fsdd._over(values[:2], right[:2]), [1.0, 4 / 9])


def test_the_floor_of_spoken_words_answers_in_the_order_of_the_record(real: Any) -> None:
    fsdd = real("fsdd")
    words = fsdd.WORDS
    given = np.eye(10).repeat(8, 0) + np.random.default_rng(0).normal(size=(80, 10)) * 0.05
    said = np.arange(10).repeat(8)
    held = [Record.of("Which?", list(np.roll(words, shift))) for shift in range(10)]
    found = fsdd._floor(given, said, np.eye(10), held, 0)
    assert [held[digit].responses[row].text for digit, row in enumerate(found.argmax(1))] == list(words)


def test_scenes_are_counted_and_boxes_put_together(real: Any) -> None:
    nlvr = real("nlvr")
    box = [{"color": "Black", "type": "circle", "size": 10}, {"color": "Yellow", "type": "circle", "size": 30}]
    graph = json.dumps([box, box[:1], []])
    record = replace(
        Record.of([nlvr.Image.from_pil(PIL.Image.new("RGB", (400, 100), (9, 9, 9))), "A circle."], ["true", "false"]),
        context={"identifier": "1-0", "structured_rep": graph},
        feedback=(Preference(1, 0, rater="r1"), Preference(0, 1)),
    )
    assert nlvr._scenes([record])[0].tolist() == [2, 1, 0, 3, 0, 0, 2, 0, 1, 2, 1, 0, 2, 0, 0, 2, 0, 1, 0, 2, 3, 3, 1]
    assert nlvr._label(record)
    assert [item.rater for item in nlvr._plain(record).feedback] == [None]
    pixels = np.asarray(nlvr._square(record).prompt[0].parts[0].pil())
    assert pixels.shape == (64, 64, 3)
    assert pixels[5, 5].tolist() == [9, 9, 9]
    assert pixels[60, 60].tolist() == [255, 255, 255]


def test_public_pairs_of_films_train_and_are_scored() -> None:
    """Three pairs: they load, train a reward on frames and one on statistics, and are scored; nothing is claimed."""
    folder = DATA / "video-videoalign-example" / "train"
    if not folder.exists():
        pytest.skip(f"no {folder}; set ASSAY_DATA to the folder of public data")
    from assay.models.frames import Frames
    from assay.models.scratch import Size, picture_backbone, picture_tokens, word_tokenizer
    from assay.objectives.pairwise import bradley_terry
    from assay.training.budgets import Steps
    from assay.training.features import fit_network
    from assay.training.loop import train
    from assay.training.settings import Settings
    from assay.training.supervision import supervise

    records = list({r.prompt[0].text: r for r in read(folder / "example.csv")}.values())
    assert len(records) == 3
    seen = score(film_statistics(Frames(count=2)), records)
    assert seen.ok.all()
    members = [seen.replace(values=column, attributes={}) for column in list(seen.attributes.values())[:3]]
    assert fit_network(members, records)(members).ok.all()
    tokenizer = word_tokenizer([record.prompt[0].text for record in records], special=picture_tokens())
    size = Size(hidden=16, layers=1, heads=2, vision_hidden=16, vision_layers=1, vision_heads=2)
    reward = LearnedReward.fresh(picture_backbone(tokenizer, size, side=32))
    result = train(reward, records, supervise(bradley_terry), Settings(budget=Steps(2), batch=3, learning_rate=1e-3))
    assert result.steps == 2
    assert score(result.reward, records).ok.all()
