"""Labelling that is stopped goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assay.records import Record, Response, StepLabels, read
from assay.runs.journal import JournalError
from assay.runs.label import label_file
from assay.worlds.questions import step_records

RECORDS = step_records(5, seed=1)


class Labeller:
    """Marks every step by its length, and stops before the record ``stops``."""

    def __init__(self, stops: int = -1) -> None:
        self.seen: list[str] = []
        self.stops = stops

    def __call__(self, record: Record) -> Record:
        if len(self.seen) == self.stops:
            raise KeyboardInterrupt
        self.seen.append(record.id)
        labels = [
            StepLabels(index, (0.5,) * len(response.step_ends), "mine")
            for index, response in enumerate(record.responses)
        ]
        return replace(record, feedback=tuple(labels))


def test_a_stopped_run_goes_on_behind_the_last_record(tmp_path: Path) -> None:
    whole, stopped, resumed = Labeller(), Labeller(3), Labeller()
    label_file(whole, RECORDS, tmp_path / "whole.jsonl", recipe="a")
    with pytest.raises(KeyboardInterrupt):
        label_file(stopped, RECORDS, tmp_path / "parts.jsonl", recipe="a")
    assert not (tmp_path / "parts.jsonl").exists()
    done: list[tuple[int, int]] = []
    label_file(resumed, RECORDS, tmp_path / "parts.jsonl", recipe="a", progress=lambda n, of: done.append((n, of)))
    assert stopped.seen + resumed.seen == whole.seen == [record.id for record in RECORDS]
    assert done == [(4, 5), (5, 5)]
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not (tmp_path / "parts.jsonl.journal").exists()
    found = list(read(tmp_path / "parts.jsonl"))
    assert [record.feedback for record in found] == [Labeller()(record).feedback for record in RECORDS]
    assert [record.responses for record in found] == [record.responses for record in RECORDS]


def test_a_finished_run_is_left_alone_and_another_job_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    label_file(Labeller(), RECORDS, path, recipe="a")
    again = Labeller()
    assert label_file(again, RECORDS, path, recipe="a") == path
    assert not again.seen
    with pytest.raises(JournalError, match="another reward"):
        label_file(Labeller(), RECORDS, path, recipe="b")
    with pytest.raises(JournalError, match="other data"):
        label_file(Labeller(), RECORDS[:3], path, recipe="a")
    changed = [replace(RECORDS[0], context={**RECORDS[0].context, "answer": "other"}), *RECORDS[1:]]
    with pytest.raises(JournalError, match="other data"):
        label_file(Labeller(), changed, path, recipe="a")
    over = Labeller()
    label_file(over, RECORDS, path, recipe="b", resume=False)
    assert len(over.seen) == 5


def test_what_cannot_be_labelled_into_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("{}\n")
    with pytest.raises(JournalError, match="not made by labelling"):
        label_file(Labeller(), RECORDS, tmp_path / "mine.jsonl", recipe="a")
    with pytest.raises(ValueError, match=r"\.jsonl"):
        label_file(Labeller(), RECORDS, tmp_path / "labels.parquet", recipe="a")
    with pytest.raises(TypeError, match="twice"):
        label_file(Labeller(), iter([Record.of("q", [Response.of("a")])]), tmp_path / "x.jsonl", recipe="a")
