"""A saved reward scores as it did; it is whole or absent; adapters keep their head."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Qwen2Config, Qwen2Model

from assay import testing
from assay.media import Image
from assay.models.checkpoint import CheckpointError
from assay.models.heads import ScalarHead
from assay.models.hf import Backbone, backbone_from, load_backbone
from assay.models.prepare import truncate_prompt
from assay.records import Record
from assay.rewards import saving
from assay.rewards.learned import LearnedReward, Reference

EVERY: dict[str, Callable[[], Backbone]] = {
    "text": testing.tiny_text,
    "text without template": lambda: testing.tiny_text(chat=False),
    "llava": testing.tiny_llava,
    "idefics3": testing.tiny_idefics3,
    "smolvlm": testing.tiny_smolvlm,
    "paligemma": testing.tiny_paligemma,
    "gemma3": testing.tiny_gemma3,
    "qwen2_5_vl": testing.tiny_qwen2_5_vl,
    "qwen3_vl": testing.tiny_qwen3_vl,
}


def records() -> list[Record]:
    return [
        Record.of("why is the sky blue?", ["because", "because light scatters<|im_end|>", ""], id="a"),
        Record.of("count", ["one two three"], id="b"),
    ]


@pytest.mark.parametrize("name", EVERY)
def test_it_scores_as_it_did(name: str, tmp_path: Path, picture: Callable[..., Image]) -> None:
    reward = testing.learned_reward(
        EVERY[name](), reference=Reference.of(torch.arange(10.0)), card={"data": "none", "metrics": {"accuracy": 0.5}}
    )
    rows = records()
    if reward.backbone.layout is not None:
        rows.append(Record.of([picture(90, 60), "?"], ["a square", "a circle"], id="c"))
    loaded = LearnedReward.load(reward.save(tmp_path / "rm"), device="cpu")
    torch.testing.assert_close(loaded(rows).values, reward(rows).values, rtol=0, atol=1e-6)
    assert loaded.fingerprint() == reward.fingerprint()
    assert loaded.reference == reward.reference
    assert loaded.card == reward.card
    assert loaded.max_length == reward.max_length


def test_a_tokenizer_of_one_s_own_beside_any_class_of_model(tmp_path: Path) -> None:
    tokenizer = testing.tiny_text().tokenizer
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    model = Qwen2Model(Qwen2Config(**sizes, num_attention_heads=4, num_key_value_heads=2)).eval()  # type: ignore[arg-type]
    reward = testing.learned_reward(backbone_from(model, tokenizer))
    rows = [Record.of("count", ["1 2 3 4 5", "one two"])]
    loaded = LearnedReward.load(reward.save(tmp_path / "rm"), device="cpu")
    torch.testing.assert_close(loaded(rows).values, reward(rows).values, rtol=0, atol=1e-6)


def test_nothing_pickled_is_written(tmp_path: Path) -> None:
    place = testing.learned_reward(testing.tiny_llava()).save(tmp_path / "rm")
    names = {path.name for path in place.rglob("*")}
    assert {"model.safetensors", "head.safetensors", "assay.json", "card.json", "README.md"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]


def test_the_card_says_what_it_is(tmp_path: Path) -> None:
    card = {"data": "animals | plants", "metrics": {"accuracy": 0.912345678}}
    place = testing.learned_reward(card=card).save(tmp_path / "rm")
    text = (place / "README.md").read_text()
    assert "LlamaModel from memory" in text
    assert "| accuracy | 0.912346 |" in text
    assert "animals \\| plants" in text
    assert "LlamaForSequenceClassification" in text
    assert json.loads((place / "card.json").read_text())["metrics"] == card["metrics"]


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("pad_is_eos", [True, False])
def test_transformers_alone_gives_the_same_scores(chat: bool, pad_is_eos: bool, tmp_path: Path) -> None:
    backbone = testing.tiny_text(chat=chat)
    if pad_is_eos:
        backbone.tokenizer.pad_token = "<|im_end|>" if chat else "<eos>"
    reward = testing.learned_reward(backbone)
    rows = [Record.of("why?", ["because", "because it is so, and for no other reason", "no"])]
    place = reward.save(tmp_path / "rm")
    model: Any = AutoModelForSequenceClassification.from_pretrained(place)
    tokenizer = AutoTokenizer.from_pretrained(place)
    sequences = [sequence.ids.tolist() for sequence in reward.prepare(rows).batch.groups[0]]
    if chat:
        chats = [
            [{"role": "user", "content": "why?"}, {"role": "assistant", "content": response.text}]
            for response in rows[0].responses
        ]
        assert [tokenizer.apply_chat_template(one, return_dict=False) for one in chats] == sequences
    batch = tokenizer.pad({"input_ids": sequences}, return_tensors="pt", padding_side="right")
    with torch.no_grad():
        logits = model(**batch).logits
    assert model.config.num_labels == 1
    torch.testing.assert_close(logits[:, 0], reward(rows).values, rtol=0, atol=1e-5)


def test_a_head_with_a_norm_comes_back(tmp_path: Path) -> None:
    backbone = testing.tiny_text()
    reward = LearnedReward(backbone, ScalarHead(64, bias=True, norm=True), on_too_long=truncate_prompt, max_length=99)
    with torch.no_grad():
        for weight in reward.head.parameters():
            weight.add_(torch.randn_like(weight))
    loaded = LearnedReward.load(reward.save(tmp_path / "rm"), device="cpu")
    torch.testing.assert_close(loaded(records()).values, reward(records()).values, rtol=0, atol=1e-6)
    assert loaded.on_too_long is truncate_prompt
    assert loaded.max_length == 99


def adapted(backbone: Backbone) -> Backbone:
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    torch.manual_seed(5)
    return backbone.with_module(get_peft_model(backbone.module, config))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["text", "llava", "qwen3_vl"])
def test_an_adapted_reward_survives_merging_and_reloading_with_its_head(name: str, tmp_path: Path) -> None:
    plain = LearnedReward.fresh(EVERY[name](), seed=7)(records()).values
    reward = LearnedReward.fresh(adapted(EVERY[name]()), seed=7)
    with torch.no_grad():
        cast_head(reward).linear.weight.add_(0.1)
    before = reward(records()).values
    assert (before - plain).abs().max() > 1e-2
    loaded = LearnedReward.load(reward.save(tmp_path / "rm"), device="cpu")
    torch.testing.assert_close(loaded(records()).values, before, rtol=0, atol=1e-5)
    assert not any("lora" in key for key in loaded.model.state_dict())
    torch.testing.assert_close(reward(records()).values, before, rtol=0, atol=0)
    assert any("lora" in key for key in reward.model.state_dict())


def cast_head(reward: LearnedReward) -> ScalarHead:
    assert isinstance(reward.head, ScalarHead)
    return reward.head


def test_an_adapter_alone_is_saved_with_its_head_and_finds_its_backbone(tmp_path: Path) -> None:
    base = testing.tiny_text()
    base.module.save_pretrained(tmp_path / "base")  # type: ignore[operator]
    base.tokenizer.save_pretrained(tmp_path / "base")
    reward = LearnedReward.fresh(adapted(load_backbone(tmp_path / "base", device="cpu")), seed=7)
    before = reward(records()).values
    place = reward.save(tmp_path / "rm", adapter=True)
    assert not (place / "model.safetensors").exists()
    loaded = LearnedReward.load(place, device="cpu")
    torch.testing.assert_close(loaded(records()).values, before, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="no adapter"):
        testing.learned_reward().save(tmp_path / "none", adapter=True)
    with pytest.raises(ValueError, match="in memory"):
        LearnedReward.fresh(adapted(base), seed=7).save(tmp_path / "none", adapter=True)
    assert not (tmp_path / "none").exists()


def test_another_backbone_under_an_adapter_is_noticed(tmp_path: Path) -> None:
    for seed in (0, 1):
        base = testing.tiny_text(seed)
        base.module.save_pretrained(tmp_path / f"base{seed}")  # type: ignore[operator]
        base.tokenizer.save_pretrained(tmp_path / f"base{seed}")
    reward = LearnedReward.fresh(adapted(load_backbone(tmp_path / "base0", device="cpu")))
    place = reward.save(tmp_path / "rm", adapter=True)
    (tmp_path / "base0").rename(tmp_path / "gone")
    (tmp_path / "base1").rename(tmp_path / "base0")
    with pytest.raises(CheckpointError, match="scores"):
        LearnedReward.load(place, device="cpu")


def test_saving_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = testing.learned_reward(seed=1), testing.learned_reward(seed=2)
    place = first.save(tmp_path / "rm")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "write_card", full)
        with pytest.raises(OSError, match="No space"):
            second.save(place)
        with pytest.raises(OSError, match="No space"):
            second.save(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["rm"]
    torch.testing.assert_close(LearnedReward.load(place, device="cpu")(records()).values, first(records()).values)
    second.save(place)
    torch.testing.assert_close(LearnedReward.load(place, device="cpu")(records()).values, second(records()).values)
    assert [path.name for path in tmp_path.iterdir()] == ["rm"]


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="left alone"):
        testing.learned_reward().save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_has_no_written_form_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    backbone = testing.tiny_text()
    with pytest.raises(ValueError, match="no written form"):
        LearnedReward(backbone, nn.Sequential(nn.Linear(64, 1), nn.Flatten(0))).save(tmp_path / "rm")
    with pytest.raises(ValueError, match="on_too_long"):
        testing.learned_reward(on_too_long=lambda overlong: [None] * len(overlong.sequences)).save(tmp_path / "rm")
    assert not list(tmp_path.iterdir())


def test_an_unfinished_directory_is_no_reward(tmp_path: Path) -> None:
    place = testing.learned_reward().save(tmp_path / "rm")
    (place / saving.MARKER).unlink()
    with pytest.raises(CheckpointError, match=r"COMPLETE\.json is missing"):
        LearnedReward.load(place)
    place = testing.learned_reward().save(tmp_path / "two")
    with (place / "head.safetensors").open("ab") as stream:
        stream.truncate(40)
    with pytest.raises(CheckpointError, match=r"head\.safetensors: 40 bytes"):
        LearnedReward.load(place)
    with pytest.raises(CheckpointError, match="no such directory"):
        LearnedReward.load(tmp_path / "absent")


def test_it_loads_in_another_format_and_keeps_the_head_exact(tmp_path: Path) -> None:
    reward = testing.learned_reward()
    loaded = LearnedReward.load(reward.save(tmp_path / "rm"), device="cpu", dtype="bfloat16")
    assert next(loaded.backbone.module.parameters()).dtype == torch.bfloat16
    assert torch.equal(cast_head(loaded).linear.weight, cast_head(reward).linear.weight)
    assert loaded.fingerprint() != reward.fingerprint()
