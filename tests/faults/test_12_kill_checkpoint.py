"""Fault 12: kill -9 in the middle of a checkpoint. The newest whole one is used, the partial one reported."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from assay.training import checkpoint
from assay.training.loop import workplace

sys.path.insert(0, str(Path(__file__).parent))
from train_until_killed import run

SCRIPT = Path(__file__).with_name("train_until_killed.py")


def kill_while_writing(output: Path, *, after: int) -> bool:
    """Start a run and kill it as soon as it is writing a checkpoint later than ``after`` steps."""
    place = workplace(output) / "checkpoints"
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(output)])
    try:
        while process.poll() is None:
            names = os.listdir(place) if place.is_dir() else []
            partial = [name for name in names if name == f".partial-step-{after:010d}-{process.pid}"]
            if partial:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.0002)
    finally:
        process.kill()
        process.wait()
    return process.returncode == -signal.SIGKILL


def test_kill_9_while_a_checkpoint_is_written(tmp_path) -> None:
    expected = run(tmp_path / "whole").reward
    output = tmp_path / "killed"
    place = workplace(output) / "checkpoints"
    partial: list[int] = []
    for step in (3, 6):
        assert kill_while_writing(output, after=step)
        found = checkpoint.newest(place)
        partial.append(len(found.ignored))
        assert found.path is not None
        assert checkpoint.damage(found.path) is None
        assert not output.exists()
    assert sum(partial) >= 1, "no kill fell into the writing of a checkpoint"
    found = checkpoint.newest(place)
    result = run(output)
    assert result.resumed_from == found.path
    assert result.ignored_checkpoints == found.ignored
    trained = result.reward.model.state_dict()
    assert all(torch.equal(trained[name], weight) for name, weight in expected.model.state_dict().items())
    assert not list(place.glob(".partial-*"))


def test_a_half_written_checkpoint_put_there_by_hand_is_passed_over(tmp_path) -> None:
    first = run(tmp_path / "out")
    place = workplace(tmp_path / "out") / "checkpoints"
    newest = checkpoint.newest(place).path
    assert newest is not None
    tensors = newest / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[: tensors.stat().st_size // 2])
    again = run(tmp_path / "out")
    assert again.ignored_checkpoints[0][0] == newest
    assert again.resumed_from is not None
    assert again.resumed_from < newest
    weights = again.reward.model.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in first.reward.model.state_dict().items())
