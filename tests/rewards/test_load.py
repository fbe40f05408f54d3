"""References on the command line: what they find, and what is said when they find nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import assay
from assay import testing
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.rewards.load import LoadError, load

RECORDS = [Record.of("q", ["a", "bb"])]
SOURCE = """
from dataclasses import dataclass
from assay.rewards.base import scores_of
from neighbour import WORTH

def length(records):
    return scores_of(records, [WORTH * float(len(r.text)) for record in records for r in record.responses])

def make(scale=2.0):
    return lambda records: length(records).with_values(length(records).values * scale)

@dataclass(frozen=True)
class Constant:
    value: float = 3.0
    def __call__(self, records):
        return scores_of(records, [self.value for record in records for _ in record.responses])

made = Constant(7.0)
number = 4
def broken():
    raise KeyError("no such thing")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("WORTH = 1.0\n")
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize(
    ("name", "values"), [("length", [1, 2]), ("make", [2, 4]), ("Constant", [3, 3]), ("made", [7, 7])]
)
def test_a_name_in_a_file_is_a_reward_or_makes_one(file: Path, name: str, values: list[float]) -> None:
    reward = assay.load(f"{file}:{name}")
    assert reward(RECORDS).values.tolist() == values
    assert assay.fingerprint(reward) == assay.fingerprint(assay.load(f"{file}:{name}"))


def test_what_is_wrong_with_a_file_is_said(file: Path) -> None:
    cases = {
        f"{file}:absent": "defines no 'absent'",
        f"{file}:number": "is not a reward",
        f"{file}:broken": "KeyError: 'no such thing'",
        f"{file.parent}/gone.py:length": "there is no file",
    }
    for reference, message in cases.items():
        with pytest.raises(LoadError, match=message):
            load(reference)
    file.write_text("import nothing_of_that_name\n")
    with pytest.raises(LoadError, match="nothing_of_that_name"):
        load(f"{file}:length")
    assert str(file.parent) not in sys.path


def test_a_saved_directory(tmp_path: Path) -> None:
    reward = testing.learned_reward()
    loaded = load(str(reward.save(tmp_path / "rm")), device="cpu")
    assert isinstance(loaded, LearnedReward)
    torch.testing.assert_close(loaded(RECORDS).values, reward(RECORDS).values)


def test_a_directory_of_a_classifier(tmp_path: Path) -> None:
    reward = testing.learned_reward()
    place = reward.save(tmp_path / "rm")
    for name in ("assay.json", "COMPLETE.json", "head.safetensors"):
        (place / name).unlink()
    torch.testing.assert_close(load(place, device="cpu")(RECORDS).values, reward(RECORDS).values, rtol=0, atol=1e-5)


def test_a_model_without_a_head_is_no_reward(tmp_path: Path) -> None:
    backbone = testing.tiny_text()
    backbone.module.save_pretrained(tmp_path)  # type: ignore[operator]
    with pytest.raises(LoadError, match="LlamaModel, which has no reward head"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("[1, 2")
    with pytest.raises(LoadError, match="not a model configuration"):
        load(tmp_path)


def test_what_was_tried_is_listed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(LoadError, match=r"no assay\.json.*no config\.json.*notes\.txt"):
        load(tmp_path)
    with pytest.raises(LoadError, match=r"a Python reference.*a directory and a hub id"):
        load("./not/here/at/all")
    with pytest.raises(LoadError, match="the hub"):
        load("nobody/no-such-reward")


def test_importing_the_package_loads_no_torch() -> None:
    code = "import assay, sys; assert 'load' in dir(assay); assert 'torch' not in sys.modules"
    source = str(Path(assay.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
