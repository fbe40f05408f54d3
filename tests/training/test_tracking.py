"""Curves of a run in real trackers' files, read back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assay.models.heads import ScalarHead
from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Record
from assay.testing import tiny_text
from assay.training.budgets import Constant, Steps
from assay.training.plan import Stage, Training
from assay.training.result import Event
from assay.training.settings import Settings
from assay.training.supervision import on_pairs
from assay.training.tracking import TrackerError, together, tracked, trackers

FAST = Settings(budget=Steps(4), schedule=Constant(), batch=4, learning_rate=3e-3, log_every=2, evaluate_every=2)


def records(count: int = 8) -> list[Record]:
    return [Record.of(f"question {n}", ["good", "bad"], id=str(n), feedback=[Preference(0, 1)]) for n in range(count)]


def curves(place: Path) -> dict[str, list[tuple[int, float]]]:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    read = event_accumulator.EventAccumulator(str(place / "curves"))
    read.Reload()
    return {name: [(event.step, event.value) for event in read.Scalars(name)] for name in read.Tags()["scalars"]}


def test_the_curves_of_every_stage_are_those_of_its_history(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    plan = Training(ScalarHead, (Stage(on_pairs(bradley_terry), FAST), Stage(on_pairs(bradley_terry), FAST)))
    with tracked(trackers(["tensorboard"], tmp_path, "run"), tmp_path, {"model": "tiny", "seed": 0}) as report:
        result = plan.run(tiny_text(), records(), evaluate=records(2), report=report)
    found = curves(tmp_path)
    assert dict(found["stage-2/training/loss"]) == pytest.approx(
        {2: result.history[0]["loss"], 4: result.history[1]["loss"]}
    )
    held = {int(entry["step"]): entry["loss"] for entry in result.evaluations}
    assert dict(found["stage-2/evaluated/loss"]) == pytest.approx(held)
    assert [step for step, _ in found["stage-1/training/loss"]] == [2, 4]
    assert "stage-2/training/step" not in found


def test_curves_are_whole_after_an_error(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    seen: list[int] = []
    chosen = trackers(["tensorboard"], tmp_path, "run")

    def interrupted() -> None:
        with tracked(chosen, tmp_path, {}) as logged:
            together(logged, lambda event: seen.append(event.step))(Event(0.5, 3, {"loss": 0.25}))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen == [3]
    assert curves(tmp_path) == {"training/loss": [(3, 0.25)]}


def test_nothing_is_written_before_there_is_something_to_show(tmp_path: Path) -> None:
    place = tmp_path / "none"
    with tracked([], place, {}) as report:
        report(Event(0.1, 1, {"loss": 1.0}))
        report(Event(0.1, 1, {}, "evaluating"))
    assert not place.exists()


def test_an_offline_run_of_wandb_needs_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    with tracked(trackers(["wandb"], tmp_path, "assay"), tmp_path, {"seed": 0}) as report:
        report(Event(0.5, 3, {"loss": 0.25}))
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert any(path.suffix == ".wandb" and path.stat().st_size for path in run.iterdir())


def test_a_tracker_that_is_not_there_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrackerError, match="no tracker is called 'paper'; there are"):
        trackers(["paper"], tmp_path, "run")
    import accelerate.tracking

    monkeypatch.setattr(accelerate.tracking, "_available_trackers", [])
    with pytest.raises(TrackerError, match="tensorboard is not installed: pip install tensorboard"):
        trackers(["tensorboard"], tmp_path, "run")
