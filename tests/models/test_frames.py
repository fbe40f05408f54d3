"""Videos as frames: in every picture backbone, decoded and encoded once, exact, and typed where they are broken."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest
import torch

from assay.media import DECODED, Image, MediaError, Text, Video
from assay.models.checkpoint import CheckpointError
from assay.models.features import FeatureStore
from assay.models.frames import Frames, unrolled_response
from assay.models.hf import Backbone
from assay.models.layout import padded, shared
from assay.models.pictures import Pictures
from assay.records import Message, Record, Response
from assay.records.record import StepEnd
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.testing import (
    tiny_gemma3,
    tiny_idefics3,
    tiny_llava,
    tiny_paligemma,
    tiny_qwen2_5_vl,
    tiny_qwen3_vl,
    tiny_smolvlm,
    tiny_text,
)

FAMILIES = [tiny_llava, tiny_idefics3, tiny_smolvlm, tiny_paligemma, tiny_gemma3, tiny_qwen2_5_vl, tiny_qwen3_vl]
ANSWERS = ["It grows.", "It shrinks away.", "Nothing.", "A red bar", "?", "It turns green", "I cannot see", "two"]


def frame(number: int, side: int = 48) -> np.ndarray[Any, Any]:
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[:, : 3 * number % side + 2, number % 3] = 200
    return pixels


def write_mp4(path: Path, count: int, side: int = 48) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for number in range(count):
            shown = av.VideoFrame.from_ndarray(frame(number, side), format="rgb24")
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    return path


def write_gif(path: Path, count: int) -> Path:
    first, *rest = [PIL.Image.fromarray(frame(number)) for number in range(count)]
    first.save(path, save_all=True, append_images=rest, duration=100)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mp4(tmp_path_factory.mktemp("clips") / "clip.mp4", 24)


def shown(backbone: Backbone, frames: Frames | None) -> Backbone:
    assert backbone.pictures is not None
    pictures = Pictures(backbone.pictures.processor, backbone.pictures.layout, frames=frames)
    return replace(backbone, pictures=pictures)


@pytest.mark.parametrize("make", FAMILIES, ids=lambda make: make.__name__)
def test_a_video_is_its_frames_in_place_decoded_and_encoded_once(make: Callable[[], Backbone], clip: Path) -> None:
    backbone = shown(make(), Frames(count=4))
    assert backbone.pictures is not None
    assert backbone.modalities == {"text", "image", "video"}
    video = Video.from_path(clip)
    record = Record.of([Text("Look: "), video, Text(" What happens?")], ANSWERS)
    before, store = DECODED.count, FeatureStore()
    prepared = backbone.prepare([record])
    assert set(prepared.status) == {Status.OK}, prepared.messages
    assert DECODED.count == before + 4
    assert (backbone.pictures.decoded, backbone.pictures.preprocessed) == (4, 4)
    with torch.no_grad():
        states = backbone.encode(prepared.batch, layout=shared, features=store)
        assert store.tower_images == 4
        again = backbone.encode(backbone.prepare([record]).batch, layout=padded, features=store)
    assert (DECODED.count, store.tower_images) == (before + 4, 4)
    difference = max(float((one - other).abs().max()) for one, other in zip(states, again, strict=True))
    assert difference < 1e-4
    stills = [Image.from_pil(picture) for picture in video.at([3, 9, 15, 21])]
    by_hand = Record.of([Text("Look: "), *stills, Text(" What happens?")], ANSWERS)
    with torch.no_grad():
        expected = backbone.encode(backbone.prepare([by_hand]).batch, layout=padded)
    for one, other in zip(again, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["mp4", "gif", "frames"])
def test_every_kind_of_video_is_taken(kind: str, tmp_path: Path) -> None:
    if kind == "frames":
        video = Video.from_frames([Image.from_array(frame(number)) for number in range(12)], fps=10.0)
    else:
        video = Video.from_path((write_mp4 if kind == "mp4" else write_gif)(tmp_path / f"clip.{kind}", 12))
    choice = Frames(fps=5.0)
    found = choice.of(video)
    assert found.numbers == (1, 3, 5, 7, 9, 11)
    assert found.seconds == pytest.approx((0.1, 0.3, 0.5, 0.7, 0.9, 1.1), abs=1e-3)
    assert (found.fps, found.duration) == pytest.approx((10.0, 1.2))
    backbone = shown(tiny_llava(), choice)
    prepared = backbone.prepare([Record.of([video, "What happens?"], ["A", "B"])])
    assert set(prepared.status) == {Status.OK}
    assert len(prepared.batch.groups[0][0].images) == 6


def test_frames_are_the_middles_of_equal_parts_and_never_more_than_there_are() -> None:
    frames = [Image.from_array(frame(number)) for number in range(10)]
    video = Video.from_frames(frames, fps=5.0)
    assert Frames(count=1).of(video).numbers == (5,)
    assert Frames(count=5).of(video).numbers == (1, 3, 5, 7, 9)
    assert Frames(count=64).of(video).numbers == tuple(range(10))
    assert Frames(fps=100.0, at_most=3).of(video).numbers == (1, 5, 8)
    assert Frames(fps=0.01).of(video).numbers == (5,)
    for wrong in ({"count": 0}, {"fps": 0.0}, {"fps": float("nan")}, {"at_least": 0}, {"at_most": -1}):
        with pytest.raises(ValueError, match="need positive numbers"):
            Frames(**wrong)  # type: ignore[arg-type]


def test_times_stand_before_frames_in_a_prompt_and_not_in_a_response() -> None:
    video = Video.from_frames([Image.from_array(frame(number)) for number in range(4)], fps=2.0)
    backbone = shown(tiny_llava(), Frames(count=2, times=True))
    prepared = backbone.prepare([Record.of([video, "Which is better?"], [Response.of([video, Text("this")])])])
    text = backbone.tokenizer.decode(prepared.batch.groups[0][0].ids)
    assert text.count("<0.5 seconds>") == text.count("<1.5 seconds>") == 1
    assert text.index("<0.5 seconds>") < text.index("<1.5 seconds>") < text.index("Which")
    with pytest.raises(MediaError, match="no_rate"):
        Frames(times=True).of(Video(frames=video.frames))


def test_steps_of_a_response_end_where_they_did() -> None:
    video = Video.from_frames([Image.from_array(frame(number)) for number in range(4)], fps=2.0)
    parts = (Text("first"), video, Text("then"), video, Text("last"))
    ends = (StepEnd(0, 0, 5), StepEnd(0, 1), StepEnd(0, 2, 4), StepEnd(0, 4, 2), StepEnd(7, 0, 1))
    found = unrolled_response(Response((Message("assistant", parts),), ends), Frames(count=3))
    made = found.messages[0].parts
    assert [type(part).__name__ for part in made] == ["Text", *["Image"] * 3, "Text", *["Image"] * 3, "Text"]
    assert [(end.message, end.part, end.offset) for end in found.step_ends] == [
        (0, 0, 5),
        (0, 3, None),
        (0, 4, 4),
        (0, 8, 2),
        (7, 0, 1),
    ]


def test_broken_and_short_videos_are_typed_and_the_others_go_on(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    short = Video.from_path(write_mp4(tmp_path / "short.mp4", 2))
    backbone = shown(tiny_llava(), Frames(count=4, at_least=3))
    good = Video.from_path(clip)
    records = [
        Record.of([Video.from_path(cut), "What?"], ["A", "B"]),
        Record.of([short, "What?"], ["A"]),
        Record.of("Which film?", [Response.of([good]), Response.of([Video.from_path(tmp_path / "none.mp4")])]),
        Record.of([good, "What?"], ["A"]),
    ]
    prepared = backbone.prepare(records)
    unreadable = Status.UNREADABLE_MEDIA
    assert prepared.status == (unreadable, unreadable, unreadable, Status.OK, unreadable, Status.OK)
    assert "cut.mp4" in prepared.messages[0]
    assert "2 frames, but at least 3" in prepared.messages[2]
    assert "missing_file" in prepared.messages[4]
    assert prepared.rows == (3, 5)


def test_a_backbone_that_is_shown_no_frames_says_so(clip: Path) -> None:
    record = Record.of([Video.from_path(clip), "What?"], ["A"])
    for backbone in (tiny_text(), shown(tiny_llava(), None)):
        prepared = backbone.prepare([record])
        assert prepared.status == (Status.UNSUPPORTED_MODALITY,)
        assert "give its frames" in prepared.messages[0]
        assert "video" not in backbone.modalities


def test_the_choice_of_frames_is_part_of_the_preprocessing() -> None:
    backbone = tiny_llava()
    prints = {shown(backbone, frames).fingerprints()["preprocessing"] for frames in (None, Frames(), Frames(count=4))}
    assert len(prints) == 3
    assert shown(backbone, Frames()).fingerprints() == backbone.fingerprints()


def test_one_decoded_frame_is_held_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import assay.media.video as reading

    held: list[weakref.ref[PIL.Image.Image]] = []
    most = 0
    original = reading._picture

    def counted(decoded: Any) -> PIL.Image.Image:
        nonlocal most
        made = original(decoded)
        held.append(weakref.ref(made))
        most = max(most, sum(reference() is not None for reference in held))
        return made

    monkeypatch.setattr(reading, "_picture", counted)
    video = Video.from_path(write_mp4(tmp_path / "long.mp4", 120))
    backbone = shown(tiny_llava(), Frames(count=60))
    assert backbone.pictures is not None
    prepared = backbone.prepare([Record.of([video, "What?"], ["A", "B"])])
    assert len(held) == 60
    assert len(prepared.batch.pixels) == 60
    assert most <= 3


def test_a_forgotten_frame_is_decoded_again(clip: Path) -> None:
    backbone = tiny_llava()
    assert backbone.pictures is not None
    small = Pictures(backbone.pictures.processor, backbone.pictures.layout, max_bytes=1, frames=Frames(count=3))
    video = Video.from_path(clip)
    frames = [part for part in Frames(count=3).pictures(video) if isinstance(part, Image)]
    first = small.all(frames)
    again = small.all(frames)
    assert small.decoded > 3
    for one, other in zip(first, again, strict=True):
        torch.testing.assert_close(one.pixels.inputs["pixel_values"], other.pixels.inputs["pixel_values"])


def test_a_saved_reward_is_shown_the_same_frames(clip: Path, tmp_path: Path) -> None:
    reward = LearnedReward.fresh(shown(tiny_idefics3(splits=False), Frames(count=3, times=True)))
    records = [Record.of([Video.from_path(clip), "What happens?"], ANSWERS[:3])]
    before = reward(records)
    place = reward.save(tmp_path / "saved")
    again = LearnedReward.load(place, device="cpu", dtype="float32")
    assert again.backbone.pictures.frames == Frames(count=3, times=True)
    torch.testing.assert_close(again(records).values, before.values, rtol=0, atol=1e-6)
    assert again.fingerprint() == reward.fingerprint()
    assert "Frames of a video" in (place / "README.md").read_text()
    manifest = json.loads((place / "assay.json").read_text())
    manifest["backbone"]["frames"]["count"] = 5
    size = (place / "assay.json").stat().st_size
    (place / "assay.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    assert (place / "assay.json").stat().st_size == size
    with pytest.raises(CheckpointError, match="preprocessing is not the one"):
        LearnedReward.load(place)


@pytest.mark.parametrize("make", FAMILIES, ids=lambda make: make.__name__)
def test_text_pictures_and_clips_stand_in_their_order(make: Callable[[], Backbone], clip: Path) -> None:
    backbone = shown(make(), Frames(count=2))
    assert backbone.pictures is not None
    still = [Image.from_array(frame(number)) for number in (1, 9)]
    video = Video.from_path(clip)
    asked = [Text("First "), still[0], Text(" then "), video, Text(" last "), still[1], Text(" which?")]
    prepared = backbone.prepare([Record.of(asked, ["one", "two"])])
    (sequence, _), *_ = prepared.batch.groups
    wanted = [still[0], *Frames(count=2).pictures(video), still[1]]
    assert list(sequence.images) == [backbone.pictures.get(part).pixels.key for part in wanted]  # type: ignore[arg-type]
    with torch.no_grad():
        one, other = (torch.cat(backbone.encode(prepared.batch, layout=layout)) for layout in (shared, padded))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
        turned = backbone.prepare([Record.of([*asked[:1], asked[5], *asked[2:5], asked[1], asked[6]], ["one", "two"])])
        moved = torch.cat(backbone.encode(turned.batch, layout=padded))
    assert (moved - other).abs().max() > 1e-3
