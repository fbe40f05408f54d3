"""Step labels of public sets: which step a label belongs to, and what it means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.records import Record, Response, StepLabels, read


def written(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Record]:
    """The records of rows written as they are published, recognised by themselves."""
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(read(folder / "data.jsonl"))


def test_prmbench_counts_from_1_and_keeps_the_original(tmp_path: Path) -> None:
    row = {"original_question": "q", "modified_question": "q", "original_process": ["one", "two"], "idx": "prm_0",
           "modified_process": ["uno", "due", "tre"], "error_steps": [2, 9], "classification": "circular"}  # fmt: skip
    changed, free = {**row, "modified_question": "p", "error_steps": [3]}, {**row, "error_steps": []}
    same, other, right = written(tmp_path, [row, changed, free])
    assert same.responses == (Response.from_steps(["uno", "due", "tre"]), Response.from_steps(["one", "two"]))
    assert same.feedback == (StepLabels(0, (1.0, 0.0, 1.0)), StepLabels(1, (1.0, 1.0)))
    assert same.context == {"idx": "prm_0", "classification": "circular", "error_steps_beyond": [9]}
    assert other.prompt[0].text == "p"
    assert other.feedback == (StepLabels(0, (1.0, 1.0, 0.0)),)
    assert other.context["original_question"] == "q"
    assert right.feedback[0] == StepLabels(0, (1.0, 1.0, 1.0))
