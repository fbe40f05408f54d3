from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assay.models.hf import load_backbone
from assay.models.scratch import picture_backbone, picture_tokens, subword_tokenizer, text_backbone, word_tokenizer
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.worlds import caption_pairs

TEXTS = ["what color is the circle?", "is there a red shape?", "red", "blue"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "assay", *arguments], capture_output=True, text=True, timeout=240)


def test_words_become_one_token_each_and_unknown_ones_are_marked() -> None:
    tokenizer = word_tokenizer(TEXTS)
    assert len(tokenizer("what color is the circle?")["input_ids"]) == 6
    assert tokenizer("green")["input_ids"] == [tokenizer.unk_token_id]


def test_subwords_write_every_text() -> None:
    tokenizer = subword_tokenizer(TEXTS, 400)
    text = "Ünïcode, never seen: 漢字"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_seed_makes_the_weights() -> None:
    tokenizer = word_tokenizer(TEXTS)
    first, again, other = (LearnedReward.fresh(text_backbone(tokenizer, seed=seed)).fingerprint() for seed in (0, 0, 1))
    assert first == again != other


def test_a_picture_is_as_many_tokens_as_its_merged_patches() -> None:
    tokenizer = word_tokenizer(TEXTS, special=picture_tokens())
    backbone = picture_backbone(tokenizer, side=48, patch=8)
    (record,) = caption_pairs(1, seed=0)
    sequence = backbone.prepare([record]).batch.groups[0][0]
    assert int((sequence.ids == tokenizer.convert_tokens_to_ids("<image>")).sum()) == 9


@pytest.mark.parametrize("kind", ["text", "picture"])
def test_the_command_writes_what_train_loads(kind: str, tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"prompt": "what color?", "chosen": "red", "rejected": "blue"}\n')
    done = run("new", kind, "--data", str(data), "--vocabulary", "0", "-o", str(tmp_path / "backbone"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bad_rows"] == 0
    backbone = load_backbone(tmp_path / "backbone", device="cpu")
    scores = LearnedReward.fresh(backbone)([Record.of("what color?", ["red", "blue"], id="1")])
    assert scores.ok.all()


def test_a_side_that_patches_do_not_fill_is_refused(tmp_path: Path) -> None:
    done = run("new", "picture", "--data", "x.jsonl", "--side", "60", "--patch", "8", "-o", str(tmp_path / "b"))
    assert done.returncode == 2
    assert "multiple" in done.stderr


def test_a_directory_with_files_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text('{"prompt": "what color?", "chosen": "red", "rejected": "blue"}\n')
    done = run("new", "text", "--data", str(data), "--vocabulary", "0", "-o", str(tmp_path))
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl"]
