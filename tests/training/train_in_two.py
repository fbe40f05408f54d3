"""`accelerate launch --num_processes N train_in_two.py OUTPUT`: the same run on one or several processes."""

import json
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Record
from assay.testing import learned_reward
from assay.training.budgets import Epochs
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.supervision import supervise

if __name__ == "__main__":
    torch.set_num_threads(1)
    records = [
        Record.of(f"Question {i}.", ["a good answer", f"bad {i}"], id=str(i), feedback=[Preference(0, 1)] * (1 + i % 3))
        for i in range(19)
    ]
    settings = Settings(budget=Epochs(3), batch=4, learning_rate=1e-3, log_every=1, checkpoint_every=2)
    result = train(
        learned_reward(),
        records[:15],
        supervise(bradley_terry),
        settings,
        evaluate=records[15:],
        output=Path(sys.argv[1]),
    )
    if PartialState().is_main_process:
        losses = {str(int(entry["step"])): entry["loss"] for entry in result.history}
        told = {"processes": PartialState().num_processes, "losses": losses}
        Path(sys.argv[1]).with_suffix(".json").write_text(json.dumps(told))
