"""A checkpoint is whole or absent."""

import json
import subprocess
import sys

import pytest
import torch

from assay.training import checkpoint

TREE = {
    "weights": {"a.weight": torch.arange(6.0).reshape(2, 3).T, "b": torch.tensor([1.5], dtype=torch.bfloat16)},
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "groups": [{"betas": (0.9, 0.98), "lr": 1e-3}]},
    "random": torch.get_rng_state(),
    "nothing": None,
    "history": [{"loss": float("inf")}],
}


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def test_what_is_read_is_what_was_written(tmp_path) -> None:
    assert same(checkpoint.read(checkpoint.write(tmp_path, 7, TREE)), TREE)


def test_the_newest_whole_one_is_found_and_old_ones_go(tmp_path) -> None:
    for step in (1, 2, 30):
        checkpoint.write(tmp_path, step, TREE, keep=2)
    assert checkpoint.newest(tmp_path) == checkpoint.Found(tmp_path / "step-0000000030", ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000000002", "step-0000000030"]


@pytest.mark.parametrize(
    "damage", ["no marker", "torn marker", "truncated", "flipped bit", "missing file", "no object"]
)
def test_a_damaged_one_is_passed_over_with_a_reason(tmp_path, damage: str) -> None:
    good, bad = (checkpoint.write(tmp_path, step, TREE) for step in (1, 2))
    marker, tensors = bad / "COMPLETE.json", bad / "tensors.safetensors"
    if damage == "no marker":
        marker.unlink()
    elif damage == "torn marker":
        marker.write_text(marker.read_text()[:-5])
    elif damage == "truncated":
        tensors.write_bytes(tensors.read_bytes()[:-1])
    elif damage == "flipped bit":
        content = bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.write_bytes(bytes(content))
    elif damage == "missing file":
        (bad / "state.json").unlink()
    else:
        marker.write_text(json.dumps([1]))
    found = checkpoint.newest(tmp_path)
    assert found.path == good
    assert [path for path, _ in found.ignored] == [bad]
    with pytest.raises(checkpoint.CheckpointError, match="not a whole checkpoint"):
        checkpoint.read(bad)


def test_remains_of_an_interrupted_write_are_reported_then_cleared(tmp_path) -> None:
    remains = tmp_path / ".partial-step-0000000009-1"
    remains.mkdir(parents=True)
    assert checkpoint.newest(tmp_path) == checkpoint.Found(None, ((remains, "writing it was interrupted"),))
    checkpoint.write(tmp_path, 1, TREE)
    assert not remains.exists()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import torch
from assay.training import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    checkpoint.write(Path(sys.argv[1]), 2, {"weights": {"a": torch.ones(20000)}, "text": "x" * int(sys.argv[3])})
except checkpoint.CheckpointError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.parametrize(("limit", "text"), [(0, 10), (1000, 10), (60_000, 10), (85_000, 100_000)])
def test_a_disk_that_refuses_leaves_the_last_good_one(tmp_path, limit: int, text: int) -> None:
    good = checkpoint.write(tmp_path, 1, TREE)
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(limit), str(text)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    assert "refused: checkpoint of step 2 could not be written" in run.stderr
    assert str(good) in run.stderr
    assert checkpoint.newest(tmp_path) == checkpoint.Found(good, ())
    assert same(checkpoint.read(good), TREE)
    checkpoint.write(tmp_path, 2, TREE)
    assert checkpoint.newest(tmp_path).path == tmp_path / "step-0000000002"
