"""Fault 7: two records with one id. Work is refused before it starts, and both positions are listed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from assay.records import Record, read, write
from assay.records.check import DuplicateIdsError, check, refuse_duplicates
from assay.rewards.base import scores_of
from assay.scores import Scores


def records() -> list[Record]:
    made = [Record.of(f"question {n}", ["yes", "no"], id=f"r{n}") for n in range(50)]
    made[41] = Record.of("another question", ["a", "b"], id="r7")
    return made


def test_both_positions_are_listed_after_a_single_pass_over_a_file(tmp_path: Path) -> None:
    write(records(), tmp_path / "data.jsonl")
    with pytest.raises(DuplicateIdsError, match=r"'r7' at 7 and 41.*own id"):
        list(refuse_duplicates(read(tmp_path / "data.jsonl")))
    assert check(read(tmp_path / "data.jsonl")).counts == {"duplicate_id": 1}


def test_scoring_is_refused_before_the_reward_is_called(tmp_path: Path) -> None:
    from assay.runs.score import score_file

    calls: list[int] = []

    def reward(batch: Sequence[Record]) -> Scores:
        calls.append(len(batch))
        return scores_of(batch, [0.0] * sum(len(record.responses) for record in batch))

    with pytest.raises(DuplicateIdsError, match="'r7' at 7 and 41"):
        score_file(reward, records(), tmp_path / "scores.jsonl")
    assert calls == []
    assert list(tmp_path.iterdir()) == []
