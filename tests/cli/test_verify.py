from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from assay.records import Record, write
from assay.testing import learned_reward

REWARDS = """
from assay.rewards.base import scores_of
from assay.scores import Status

def longest(records):
    return scores_of(records, [float(len(r.text)) for record in records for r in record.responses])

def unsure(records):
    scores = longest(records)
    return scores.abstain(scores.values < 4, Status.UNPARSABLE)

def centred(records):
    scores = longest(records)
    return scores.replace(values=scores.values - scores.values.mean())
"""


@pytest.fixture
def rewards(tmp_path: Path) -> Path:
    file = tmp_path / "rewards.py"
    file.write_text(REWARDS)
    return file


def run(*arguments: object):
    return CliRunner().invoke(app, ["verify", *map(str, arguments)], env={"COLUMNS": "140"})


def test_a_sound_reward_passes_on_the_built_in_set(rewards: Path):
    found = run(f"{rewards}:longest")
    assert found.exit_code == 0, found.output
    assert "each response alone" in found.stdout
    assert "passed: 45 of 45 responses of 12 records judged" in found.stdout


def test_a_reward_that_depends_on_its_batch_fails_with_exit_code_1(rewards: Path, tmp_path: Path):
    found = run(f"{rewards}:centred", "--json", "-o", tmp_path / "certificate.json")
    assert found.exit_code == 1
    facts = json.loads(found.stdout)
    assert facts["passed"] is False
    assert "each record alone" in [item["name"] for item in facts["findings"] if not item["passed"]]
    assert json.loads((tmp_path / "certificate.json").read_text())["findings"] == facts["findings"]
    assert "FAILED" in run(f"{rewards}:centred").stdout


def test_a_pipe_gets_whole_lines_without_spaces_at_their_end_and_the_statuses(rewards: Path, tmp_path: Path):
    write([Record.of("which?", ["no", "never ever", "perhaps"], id="a")], tmp_path / "d.jsonl")
    found = CliRunner().invoke(app, ["verify", f"{rewards}:unsure", str(tmp_path / "d.jsonl")], env={"COLUMNS": "40"})
    lines = found.stdout.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert lines[0].split() == ["variation", "difference,", "sd", "flipped"]
    assert all("passed" in line or "reported" in line for line in lines[1:])
    verdict = "passed: 2 of 3 responses of 1 record judged (1 unparsable); standard deviation of the scores"
    assert lines[-1].startswith(verdict)


def test_a_saved_reward_is_verified_on_data(tmp_path: Path):
    place = learned_reward().save(tmp_path / "reward")
    write([Record.of(f"question {i}", ["yes", "no, never"], id=str(i)) for i in range(5)], tmp_path / "d.jsonl")
    found = run(place, tmp_path / "d.jsonl", "--json", "--limit", "3")
    facts = json.loads(found.stdout)
    assert found.exit_code == 0, facts
    assert facts["records"] == 3
    assert "saved and loaded" in [item["name"] for item in facts["findings"]]
    without = json.loads(run(place, tmp_path / "d.jsonl", "--json", "--limit", "2", "--no-reload").stdout)
    assert "saved and loaded" not in [item["name"] for item in without["findings"]]


def test_a_dry_run_names_the_variations(rewards: Path):
    found = run(f"{rewards}:longest", "--dry-run", "--json")
    assert found.exit_code == 0
    assert "records reversed" in json.loads(found.stdout)["variations"]
