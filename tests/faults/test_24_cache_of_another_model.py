"""Fault 24: a cache of scores that was filled by one model is asked for another's. It never answers for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from assay.cli.main import app

ROWS = [{"prompt": f"question {i}", "chosen": "a long answer " * i, "rejected": "no"} for i in range(1, 6)]


def scored(place: Path, name: str, output: str) -> tuple[dict[str, Any], list[float]]:
    """What the command says and writes, all rewards sharing one cache."""
    where = [str(place / "data.jsonl"), "-o", str(place / output), "--cache", str(place / "cache.sqlite"), "--json"]
    done = CliRunner().invoke(app, ["score", f"{place}/mine.py:{name}", *where])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (place / output).read_text().splitlines()]
    return json.loads(done.stdout), [row["value"] for row in rows]


def test_neither_another_reward_nor_the_same_one_with_other_settings_or_code_is_answered_for(tmp_path: Path):
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    source = "from assay.rewards import rules\nfrom assay.rewards.base import scores_of\n"
    source += "words = rules.length(per_words=1)\nhalf = rules.length(per_words=2)\n"
    mine = "def mine(records):\n    return scores_of(records, [{} for record in records for _ in record.responses])\n"
    (tmp_path / "mine.py").write_text(source + mine.format("1.0"))
    first, words = scored(tmp_path, "words", "a.jsonl")
    other, half = scored(tmp_path, "half", "b.jsonl")
    again, same = scored(tmp_path, "words", "c.jsonl")
    assert (first["from_cache"], other["from_cache"], again["from_cache"]) == (0, 0, 10)
    assert half == [value / 2 for value in words]
    assert same == words
    assert scored(tmp_path, "mine", "d.jsonl")[1] == [1.0] * 10
    (tmp_path / "mine.py").write_text(source + mine.format("2.0"))
    assert scored(tmp_path, "mine", "e.jsonl")[1] == [2.0] * 10
