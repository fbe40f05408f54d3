"""Sound: Qwen2-Audio as its own class computes it, shared and padded alike, heard once and typed where it cannot be."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.media import Audio, MediaError, Text
from assay.models.features import FeatureStore
from assay.models.hf import backbone_from, load_backbone
from assay.models.layout import padded, shared
from assay.models.pictures import sound_tokens
from assay.models.scratch import save_backbone
from assay.models.sharing import sharing_report
from assay.objectives.pairwise import bradley_terry
from assay.records import Record, Response
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.testing import tiny_qwen2_audio
from assay.training.budgets import Steps
from assay.training.loop import train
from assay.training.settings import Lora, Settings
from assay.training.supervision import supervise
from assay.worlds.films import tone_records, tune

SOUND = tune(["low", "high", "middle"])


def wav(samples: np.ndarray, rate: int) -> Audio:
    """``samples`` ``[frames, channels]`` in -1..1 as 32-bit floats."""
    channels = samples.shape[1]
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)
    head = struct.pack("<4sI4s4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16) + form
    return Audio.from_bytes(head + struct.pack("<4sI", b"data", len(data)) + data)


def test_it_is_what_the_class_computes_alone() -> None:
    backbone = tiny_qwen2_audio()
    prepared = backbone.prepare([Record.of([Text("Hear: "), SOUND, Text(" What?"), tune(["low"])], ["low, high"])])
    (sequence,) = prepared.batch.groups[0]
    heard = [prepared.batch.pixels[key].inputs for key in sequence.images]
    assert len(heard) == 2
    with torch.no_grad():
        (states,) = backbone.encode(prepared.batch)
        own = backbone.module(
            input_ids=sequence.ids[None],
            attention_mask=torch.ones_like(sequence.ids)[None],
            input_features=torch.cat([each["input_features"] for each in heard]),
            feature_attention_mask=torch.cat([each["feature_attention_mask"] for each in heard]),
        ).last_hidden_state[0]
        deaf = backbone.module(input_ids=sequence.ids[None]).last_hidden_state[0]
    torch.testing.assert_close(states, own[sequence.reads], rtol=0, atol=1e-5)
    assert (deaf[sequence.reads] - states).abs().max() > 1e-2


def test_shared_and_padded_rows_agree_in_states_and_gradients() -> None:
    backbone = tiny_qwen2_audio()
    answers = ["three beeps", "two", "low, high, middle and then nothing", "I hear a tune"]
    records = [Record.of([SOUND, "?"], answers), *tone_records(2), Record.of("No sound.", answers[:2])]
    batch = backbone.prepare(records).batch
    found = []
    for layout in (shared, padded):
        backbone.module.zero_grad()
        states = torch.cat(backbone.encode(batch, layout=layout))
        (states * torch.linspace(-1, 1, len(states))[:, None]).sum().backward()
        gradients = [w.grad.clone() for w in backbone.module.parameters() if w.grad is not None]
        found.append((states.detach(), gradients))
    (one, mine), (other, theirs) = found
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    scale = torch.cat([g.flatten() for g in theirs]).norm()
    assert torch.cat([(a - b).flatten() for a, b in zip(mine, theirs, strict=True)]).norm() < 1e-4 * scale
    assert backbone.module.audio_tower.conv1.weight.grad.abs().sum() > 0
    backbone.encode(batch)
    assert "shares" in sharing_report(backbone.module)
    assert "no sharing" not in sharing_report(backbone.module)


def test_a_sound_of_many_responses_is_decoded_and_encoded_once() -> None:
    backbone = tiny_qwen2_audio()
    assert backbone.pictures is not None
    assert backbone.modalities == {"text", "audio"}
    store = FeatureStore()
    record = Record.of([SOUND, "?"], [f"answer {n}" for n in range(8)])
    for _ in range(2):
        with torch.no_grad():
            backbone.encode(backbone.prepare([record]).batch, features=store)
    assert (backbone.pictures.decoded, backbone.pictures.preprocessed) == (1, 1)
    assert (store.tower_calls, store.tower_images) == (1, 1)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7, 8, 99, 199, 200])
def test_as_many_tokens_as_the_tower_gives(frames: int) -> None:
    tower = tiny_qwen2_audio().module.audio_tower
    assert sound_tokens(frames) == int(tower._get_feat_extract_output_lengths(torch.tensor(frames))[1].clamp(min=0))


def test_sounds_that_cannot_be_heard_are_typed_and_the_others_go_on(tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(SOUND.read()[:100])
    sounds = [
        Audio.from_path(broken),
        Audio.from_path(tmp_path / "none.wav"),
        wav(np.zeros((16000 * 3, 1)), 16000),
        wav(np.zeros((8, 1)), 16000),
        wav(np.zeros((0, 1)), 16000),
        SOUND,
    ]
    backbone = tiny_qwen2_audio()
    prepared = backbone.prepare([Record.of([sound, "?"], ["a"]) for sound in sounds])
    unreadable = Status.UNREADABLE_MEDIA
    assert prepared.status == (unreadable, unreadable, Status.TOO_LONG, unreadable, unreadable, Status.OK)
    codes = ("audio_truncated", "missing_file", "too_long_sound", "too_short_sound", "audio_corrupt")
    for code, message in zip(codes, prepared.messages, strict=False):
        assert code in message


def test_a_response_may_be_a_sound() -> None:
    backbone = tiny_qwen2_audio()
    record = Record.of("Sing low, then high.", [Response.of([tune(p)]) for p in (["low", "high"], ["high", "low"])])
    scores = LearnedReward.fresh(backbone)([record])
    assert scores.status == (Status.OK, Status.OK)
    assert abs(float(scores.values[0] - scores.values[1])) > 1e-3


def test_a_saved_backbone_hears_the_same(tmp_path: Path) -> None:
    backbone = tiny_qwen2_audio()
    again = load_backbone(save_backbone(backbone, tmp_path / "saved"), device="cpu", dtype="float32")
    assert again.fingerprints() == backbone.fingerprints()
    batch = backbone.prepare(tone_records(1)).batch
    with torch.no_grad():
        for one, other in zip(backbone.encode(batch), again.encode(again.prepare(tone_records(1)).batch), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_channels_are_mixed_and_other_rates_resampled() -> None:
    time = np.arange(4800) / 48000
    tone = np.sin(2 * np.pi * 440 * time)
    heard = wav(np.stack([tone, 0.5 * tone], 1), 48000).mono(16000)
    expected = 0.75 * np.sin(2 * np.pi * 440 * np.arange(1600) / 16000)
    assert heard.shape == (1600,)
    assert heard.dtype == torch.float32
    assert np.abs(heard.numpy()[50:-50] - expected[50:-50]).max() < 5e-3
    high = np.sin(2 * np.pi * 12000 * time)
    assert wav(high[:, None], 48000).mono(16000)[100:-100].abs().max() < 0.05, "no alias of what 16 kHz cannot hold"
    torch.testing.assert_close(SOUND.mono(8000), SOUND.samples()[0][0], rtol=0, atol=0)
    with pytest.raises(MediaError, match="audio_corrupt"):
        wav(np.zeros((0, 1)), 16000).mono(8000)


def test_a_model_that_hears_needs_its_feature_extractor() -> None:
    backbone = tiny_qwen2_audio()
    with pytest.raises(ValueError, match="give its feature extractor"):
        backbone_from(backbone.module, backbone.tokenizer)


def test_a_text_cannot_write_the_token_of_a_sound() -> None:
    backbone = tiny_qwen2_audio()
    prepared = backbone.prepare([Record.of(["<|AUDIO|> ", SOUND], ["<|AUDIO|><|audio_bos|>"])])
    (sequence,) = prepared.batch.groups[0]
    placeholder = backbone.tokenizer.convert_tokens_to_ids("<|AUDIO|>")
    assert int((sequence.ids == placeholder).sum()) == prepared.batch.pixels[sequence.images[0]].tokens
    with pytest.raises(ValueError, match="pictures or sounds have"):
        backbone.encode(replace(prepared.batch, groups=[[replace(sequence, images=sequence.images * 2)]]))


def test_an_adapted_reward_that_hears_is_saved_and_loaded(tmp_path: Path) -> None:
    reward = LearnedReward.fresh(tiny_qwen2_audio())
    records = tone_records(6)
    untrained = reward(records).values
    objective = supervise(bradley_terry)
    settings = Settings(budget=Steps(3), batch=6, learning_rate=1e-2, lora=Lora(rank=2, merge=False))
    trained = train(reward, records, objective, settings).reward
    tower = dict(trained.model.encoder.named_parameters())
    assert not any("lora" in name for name in tower if "audio_tower" in name)
    before = trained(records)
    assert (before.values - untrained).abs().max() > 1e-3
    again = LearnedReward.load(trained.save(tmp_path / "saved"), device="cpu", dtype="float32")
    assert again.backbone.modalities == {"text", "audio"}
    torch.testing.assert_close(again(records).values, before.values, rtol=0, atol=1e-5)
