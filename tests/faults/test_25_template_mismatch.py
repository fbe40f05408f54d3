"""Fault 25: another template or tokenizer than in training, a doubled BOS, a pad token that is also EOS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from assay import testing
from assay.models.checkpoint import CheckpointError
from assay.models.hf import Backbone, backbone_from
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.rewards.load import load


def overwrite(place: Path, name: str, change: Callable[[str], str]) -> None:
    """Change a file of a saved reward, and its size in the marker, so that only what it says is wrong."""
    file = place / name
    before = file.read_text()
    after = change(before)
    assert after != before
    file.write_text(after)
    marker = place / "COMPLETE.json"
    sizes = json.loads(marker.read_text())
    sizes[name] = file.stat().st_size
    marker.write_text(json.dumps(sizes))


def in_json(change: Callable[[Any], None]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        data = json.loads(text)
        change(data)
        return json.dumps(data)

    return changed


def swap_two_words(data: Any) -> None:
    words = data["model"]["vocab"]
    one, two = list(words)[300:302]
    words[one], words[two] = words[two], words[one]


def split_digits(data: Any) -> None:
    digits = {"type": "Split", "pattern": {"Regex": r"\d"}, "behavior": "Isolated", "invert": False}
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, data["pre_tokenizer"]]}


def lower(data: Any) -> None:
    data["normalizer"] = {"type": "Lowercase"}


MISMATCHES: dict[str, tuple[str, Callable[[str], str], str]] = {
    "template": ("chat_template.jinja", lambda text: text.replace("user", "human") + " ", "chat template"),
    "vocabulary": ("tokenizer.json", in_json(swap_two_words), "tokenizer"),
    "splitting": ("tokenizer.json", in_json(split_digits), "token ids"),
    "normaliser": ("tokenizer.json", in_json(lower), "token ids"),
    "positions": (
        "config.json",
        in_json(lambda data: data["rope_parameters"].update(rope_theta=777.0)),
        "configuration",
    ),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_a_reward_that_no_longer_fits_its_files_is_refused(name: str, tmp_path: Path) -> None:
    place = testing.learned_reward().save(tmp_path / "rm")
    load(place, device="cpu")
    file, change, said = MISMATCHES[name]
    overwrite(place, file, change)
    with pytest.raises(CheckpointError, match=said) as raised:
        load(place, device="cpu")
    assert str(place) in str(raised.value)


def test_another_preprocessing_is_refused(tmp_path: Path) -> None:
    place = testing.learned_reward(testing.tiny_llava()).save(tmp_path / "rm")
    overwrite(place, "preprocessor_config.json", in_json(lambda data: data.update(image_mean=[0.0, 0.0, 0.0])))
    with pytest.raises(CheckpointError, match="preprocessing"):
        load(place, device="cpu")


def with_bos(backbone: Backbone) -> Backbone:
    bos = [("<bos>", backbone.tokenizer.bos_token_id)]
    post = TemplateProcessing(single="<bos> $A", pair="<bos> $A $B", special_tokens=bos)
    backbone.tokenizer.backend_tokenizer.post_processor = post
    return backbone


@pytest.mark.parametrize("source", ["", "{{ bos_token }}", "{{ bos_token }}{{ bos_token }}"])
def test_bos_is_never_doubled(source: str) -> None:
    plain = with_bos(testing.tiny_text())
    turns = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    backbone = backbone_from(plain.module, plain.tokenizer, template=source + turns)
    (sequence,), *_ = backbone.prepare([Record.of("<bos>why?", ["<bos><bos>because"])]).batch.groups
    bos = plain.tokenizer.bos_token_id
    assert sequence.ids.tolist().count(bos) == int(bool(source))


def test_without_template_the_tokenizer_s_own_bos_stands_once() -> None:
    backbone = with_bos(testing.tiny_text(chat=False))
    (sequence,), *_ = backbone.prepare([Record.of("why?", ["because"])]).batch.groups
    assert sequence.ids.tolist().count(backbone.tokenizer.bos_token_id) == 1
    assert sequence.ids[0] == backbone.tokenizer.bos_token_id


@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_equal_to_eos_changes_no_score(side: str) -> None:
    rows = [Record.of("why?", ["because", "because of this<eos>", "no " * 20])]
    for chat in (True, False):
        expected = testing.learned_reward(testing.tiny_text(chat=chat))(rows).values
        backbone = testing.tiny_text(chat=chat)
        backbone.tokenizer.pad_token = backbone.tokenizer.eos_token
        backbone.tokenizer.padding_side = side
        backbone.config.pad_token_id = backbone.tokenizer.eos_token_id
        reward = LearnedReward.fresh(backbone)
        torch.testing.assert_close(reward(rows).values, expected, rtol=0, atol=1e-5)
        one_by_one = [reward([Record.of("why?", [response])]).values for response in rows[0].responses]
        torch.testing.assert_close(torch.cat(one_by_one), expected, rtol=0, atol=1e-5)
        assert expected.unique().numel() == 3
