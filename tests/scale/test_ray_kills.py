"""kill -9 of the driver of a Ray job, over and over: nothing is lost, nothing doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.records import Record, read, write
from assay.rewards.load import load
from assay.runs.score import score_file

KILLS = 10
RECORDS = 400
SLOW = """
import time
import torch
from assay.rewards.base import scores_of

def slow(records):
    "Takes a moment for each record."
    time.sleep(0.05 * len(records))
    return scores_of(records, torch.tensor([float(len(x.text)) for r in records for x in r.responses]))
"""


@pytest.mark.slow
def test_a_killed_driver_loses_and_doubles_nothing(cluster: None, tmp_path: Path) -> None:
    import ray

    data, file, output = tmp_path / "data.jsonl", tmp_path / "slow.py", tmp_path / "scores.jsonl"
    write([Record.of(f"question {i}?", ["yes " * (i % 7), "no"], id=f"r{i}") for i in range(RECORDS)], data)
    file.write_text(SLOW)
    environment = os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [sys.executable, "-m", "assay", "score", f"{file}:slow", str(data), "-o", str(output)]
    command += ["--engine", "ray", "--workers", "1", "--batch", "8"]
    journal, kills = output.with_name(output.name + ".journal"), 0
    while not output.exists():
        held = journal.stat().st_size if journal.exists() else 0
        run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if kills >= KILLS:
            assert run.wait(timeout=600) == 0
            break
        grown = time.monotonic() + 300
        while run.poll() is None and not (journal.exists() and journal.stat().st_size > held):
            assert time.monotonic() < grown
            time.sleep(0.05)
        time.sleep(0.1 * (kills % 4))
        run.kill()
        run.wait()
        kills += 1
    whole = tmp_path / "whole.jsonl"
    score_file(load(f"{file}:slow"), read(data), whole, batch=8)
    assert output.read_bytes() == whole.read_bytes()
    rows = [json.loads(line)["id"] for line in output.read_text().splitlines()]
    assert len(rows) == len(set(rows)) == 2 * RECORDS
    assert kills == KILLS
