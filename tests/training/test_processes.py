"""Several processes take the steps that one takes: the same losses, the same weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from assay.rewards.learned import LearnedReward

SCRIPT = Path(__file__).with_name("train_in_two.py")


@pytest.mark.slow
def test_two_processes_end_where_one_does(tmp_path) -> None:
    weights, losses = [], []
    for count in (1, 2):
        launch = ["-m", "accelerate.commands.launch", "--num_processes", str(count), "--num_machines", "1"]
        launch += ["--multi_gpu"] if count > 1 else ["--cpu"]  # with --cpu it starts one process, whatever the number
        launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "29617"]
        output = tmp_path / str(count)
        run = subprocess.run([sys.executable, *launch, str(SCRIPT), str(output)], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        told = json.loads(output.with_suffix(".json").read_text())
        assert told["processes"] == count
        losses.append(told["losses"])
        weights.append(LearnedReward.load(output, device="cpu").model.state_dict())
    one, two = weights
    assert all(torch.allclose(two[name], weight, atol=2e-5) for name, weight in one.items())
    assert len(losses[0]) == 12
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
