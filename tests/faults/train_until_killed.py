"""A training run for the test of kill -9: `python train_until_killed.py OUTPUT` checkpoints after every step."""

import sys
from pathlib import Path

import torch

from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Record
from assay.testing import learned_reward, tiny_text
from assay.training.budgets import Steps
from assay.training.loop import Result, train
from assay.training.settings import Settings
from assay.training.supervision import supervise

RECORDS = [
    Record.of(f"Question {i}.", ["a good answer", f"bad {i}"], id=str(i), feedback=[Preference(0, 1)])
    for i in range(12)
]
SETTINGS = Settings(budget=Steps(8), batch=4, learning_rate=1e-3, log_every=1, checkpoint_every=1)


def run(output: Path) -> Result:
    torch.set_num_threads(1)
    reward = learned_reward(tiny_text(hidden_size=128, intermediate_size=1024))
    return train(reward, RECORDS, supervise(bradley_terry), SETTINGS, output=output)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
