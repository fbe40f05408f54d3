"""Scoring on a Ray cluster: the bytes that one machine writes, begun on either and finished on the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from assay import testing
from assay.cli.main import app
from assay.records import Record, read, write
from assay.rewards.learned import LearnedReward
from assay.rewards.load import load
from assay.runs.ray_engine import ClusterError, RayEngine
from assay.runs.score import score_file
from assay.scores import Status
from assay.serving.ray_app import Replicas, deploy

RECORDS = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data") / "records.jsonl"
    said = ["yes", "no, not at all", "perhaps it is so"]
    write([Record.of(f"question {i}?", said[: 1 + i % 3], id=f"r{i}") for i in range(RECORDS)], place)
    return place


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return testing.learned_reward().save(tmp_path_factory.mktemp("reward") / "saved")


def engine(saved: Path, data: Path, workers: int = 2) -> RayEngine:
    return RayEngine(partial(load, saved, device="cpu"), partial(read, data), workers=workers)


def test_a_learned_reward_writes_the_bytes_of_one_machine(
    cluster: None, saved: Path, data: Path, tmp_path: Path
) -> None:
    reward = LearnedReward.load(saved, device="cpu")
    here = score_file(reward, read(data), tmp_path / "here.parquet", batch=16)
    seen: list[tuple[int, int]] = []
    there = score_file(
        reward,
        read(data),
        tmp_path / "there.parquet",
        batch=16,
        engine=engine(saved, data),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (tmp_path / "there.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
    assert there.counts == here.counts == {"ok": 120}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (120, 120)
    assert not (tmp_path / "there.parquet.journal").exists()


def test_a_run_begun_here_is_finished_there_and_the_other_way_round(
    cluster: None, saved: Path, data: Path, tmp_path: Path
) -> None:
    reward = LearnedReward.load(saved, device="cpu")
    whole = tmp_path / "whole.jsonl"
    score_file(reward, read(data), whole, batch=16)
    for begun, finished in ((None, engine(saved, data)), (engine(saved, data), None)):
        output = tmp_path / f"{begun is None}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            score_file(reward, read(data), output, batch=16, engine=begun, progress=_stop_at(40))
        summary = score_file(reward, read(data), output, batch=16, engine=finished)
        assert summary.resumed >= 40
        assert output.read_bytes() == whole.read_bytes()


def _stop_at(rows: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done >= rows:
            raise KeyboardInterrupt

    return progress


FRAGILE = """
import os, signal
from pathlib import Path
import torch
from assay.rewards.base import scores_of

def fragile(records):
    "Kills its process at one record, once; refuses another."
    mark = Path({mark!r})
    if any(record.id == "r30" for record in records) and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if any(record.id == "r41" for record in records):
        raise ValueError("not this one")
    return scores_of(records, torch.tensor([float(len(x.text)) for r in records for x in r.responses]))
"""


def test_a_worker_that_dies_loses_and_doubles_nothing(cluster: None, data: Path, tmp_path: Path) -> None:
    mark, file = tmp_path / "died", tmp_path / "fragile.py"
    file.write_text(FRAGILE.format(mark=str(mark)))
    reward = load(f"{file}:fragile")
    output = tmp_path / "scores.jsonl"
    workers = RayEngine(partial(load, f"{file}:fragile"), partial(read, data), workers=2)
    summary = score_file(reward, read(data), output, batch=8, engine=workers)
    assert mark.exists()
    assert summary.counts == {Status.OK: 117, Status.FAILED: 3}
    again = tmp_path / "again.jsonl"
    score_file(reward, read(data), again, batch=8)
    assert output.read_bytes() == again.read_bytes()


RULE = "from assay.rewards.rules.length import length\nwords = length(per_words=2.0)\n"


def test_relative_paths_begin_where_the_command_was_given(
    cluster: None, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(RULE)
    (tmp_path / "records.jsonl").write_bytes(data.read_bytes())
    monkeypatch.chdir(tmp_path)
    command = ["score", "mine.py:words", "records.jsonl", "--engine", "ray", "--workers", "1", "--batch", "64"]
    done = CliRunner().invoke(app, [*command, "-o", "there.jsonl", "--cache", "kept.sqlite"])
    assert done.exit_code == 0, done.output
    assert "120 ok" in done.stdout
    assert "came from the cache" not in done.stdout  # workers count their hits, not the driver
    again = CliRunner().invoke(app, ["score", *command[1:3], "-o", "here.jsonl", "--cache", "kept.sqlite", "--json"])
    assert json.loads(again.stdout)["from_cache"] == 120
    assert Path("there.jsonl").read_bytes() == Path("here.jsonl").read_bytes()


def test_gpus_that_will_never_come_are_not_waited_for(
    cluster: None, saved: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    asked = RayEngine(partial(load, saved, device="cpu"), partial(read, data), gpus=1000.0)
    with pytest.raises(ClusterError, match="1000 GPUs are asked for"):
        next(asked(0, 8))
    with pytest.raises(ClusterError, match="GPUs are asked for"):
        deploy(FastAPI, "127.0.0.1", 8000, Replicas(gpus=1000.0))


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"assay\[ray\]"):
        next(engine(tmp_path, data)(0, 8))
