"""A video reward from the command line: which frames are shown is chosen, kept on the card, certified."""

import json
from dataclasses import replace

import PIL.Image
import pytest
from typer.testing import CliRunner

from assay.cli.inputs import UsageError
from assay.cli.main import app
from assay.media import Image, Text
from assay.models import tower_files
from assay.models.heads.dual import DualEncoderHead
from assay.models.towers import Tower, of_prompt, of_response, towers_from
from assay.records import Preference, Record, Response, write
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_clip, tiny_llava
from assay.worlds.films import video_records


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("video")
    backbone = tiny_llava()
    backbone.module.save_pretrained(place / "base")
    backbone.tokenizer.save_pretrained(place / "base")
    assert backbone.pictures is not None
    backbone.pictures.processor.save_pretrained(place / "base")
    films = [
        replace(record, responses=record.responses[:2], feedback=(Preference(0, 1),))
        for record in video_records(3, seed=1)
    ]
    write(films, place / "films.jsonl")
    return place


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments), "--device", "cpu", "--dtype", "float32"])


def train(place, out, *options):
    common = ["--model", place / "base", "--data", place / "films.jsonl", "-o", out, "--steps", 1]
    return run("train", "pairwise.bradley_terry", *common, *options)


def test_the_frames_are_chosen_kept_and_certified(place, tmp_path) -> None:
    done = train(place, tmp_path / "rm", "--frames", 2)
    assert done.exit_code == 0, (done.output, done.exception)
    reward = LearnedReward.load(tmp_path / "rm", device="cpu")
    assert reward.backbone.pictures.frames.count == 2
    assert json.loads((tmp_path / "rm" / "card.json").read_text())["frames_of_a_video"]["count"] == 2
    certificate = run("verify", tmp_path / "rm", place / "films.jsonl", "--limit", 2, "--json")
    assert certificate.exit_code == 0, (certificate.output, certificate.exception)
    assert json.loads(certificate.stdout)["judged"] == 4


def test_frames_a_second_are_another_choice_and_a_saved_reward_keeps_its_own(place, tmp_path) -> None:
    done = train(place, tmp_path / "rm", "--fps", 1.5)
    assert done.exit_code == 0, (done.output, done.exception)
    assert LearnedReward.load(tmp_path / "rm", device="cpu").backbone.pictures.frames.fps == 1.5
    common = ["--model", tmp_path / "rm", "--data", place / "films.jsonl", "-o", tmp_path / "on", "--frames", 4]
    refused = run("train", "pairwise.bradley_terry", *common)
    assert isinstance(refused.exception, UsageError)
    assert "--frames cannot be given" in str(refused.exception)


def test_a_directory_of_towers_is_a_backbone(tmp_path) -> None:
    towers = towers_from(
        {"clip": tiny_clip()}, [Tower("asked", "clip", Text, of_prompt), Tower("seen", "clip", Image, of_response)]
    )
    (tmp_path / "towers").mkdir()
    tower_files.write(towers, tmp_path / "towers")
    pictures = [PIL.Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    responses = [Response.of(Image.from_pil(picture)) for picture in pictures]
    rows = [Record.of(f"number {n}", responses, id=str(n), feedback=[Preference(0, 1)]) for n in range(4)]
    write(rows, tmp_path / "rows.jsonl")
    common = ["--model", tmp_path / "towers", "--data", tmp_path / "rows.jsonl", "-o", tmp_path / "rm"]
    done = run("train", "pairwise.bradley_terry", *common, "--head", "dual", "--steps", 2)
    assert done.exit_code == 0, (done.output, done.exception)
    reward = LearnedReward.load(tmp_path / "rm", device="cpu")
    assert isinstance(reward.head, DualEncoderHead)
    assert reward.spec.modalities == {"text", "image"}
    refused = run("train", "pairwise.bradley_terry", *common, "--frames", 2)
    assert "says itself which frames" in str(refused.exception)
