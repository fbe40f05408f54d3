"""Public films and recordings go through a backbone: mp4 and GIF as frames, wav at three rates."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assay.media import Audio, Video
from assay.models.frames import Frames
from assay.records import Record, Response
from assay.scores import Status
from assay.testing import learned_reward, tiny_idefics3, tiny_qwen2_audio

DATA = Path(os.environ.get("ASSAY_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def some(folder: str, pattern: str, count: int) -> list[Path]:
    found = sorted((DATA / folder).rglob(pattern))[:count]
    if not found:
        pytest.skip(f"no {pattern} in {DATA / folder}; set ASSAY_DATA to the folder of public data")
    return found


@pytest.mark.parametrize(
    ("folder", "pattern"), [("video-videoalign-example/train", "*.mp4"), ("video-fetv-ratings", "*.gif")]
)
def test_films_are_scored_by_their_frames(folder: str, pattern: str) -> None:
    films = [Video.from_path(path) for path in some(folder, pattern, 2)]
    reward = learned_reward(tiny_idefics3(splits=False))
    scores = reward([Record.of("A film.", [Response.of(film) for film in films])])
    assert set(scores.status) == {Status.OK}
    assert len(set(scores.values.tolist())) == len(films)
    for film in films:
        shown = Frames().of(film)
        assert len(shown.numbers) == 8
        assert shown.fps > 0
        assert 0 <= shown.seconds[0] < shown.seconds[-1] < shown.duration + 1


@pytest.mark.parametrize("folder", ["audio-fsdd", "audio-mushra-codec"])
def test_recordings_are_heard(folder: str) -> None:
    recordings = [Audio.from_path(path) for path in some(folder, "*.wav", 2)]
    reward = learned_reward(tiny_qwen2_audio(seconds=12))
    scores = reward([Record.of([sound, "What is said?"], ["seven"]) for sound in recordings])
    assert set(scores.status) == {Status.OK}, scores.messages
    assert len(set(scores.values.tolist())) == len(recordings)
