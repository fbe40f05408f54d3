"""Step scores on a reward card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from assay.benchmarks.audit import audit
from assay.benchmarks.step_scores import judged_steps, steps_panel
from assay.records import Record, StepLabels
from assay.rewards.base import scores_of
from assay.scores import Scores
from assay.worlds.questions import step_records


def nearly_right(records: Sequence[Record], /) -> Scores:
    """Scores a step by whether its words are sure: 'so' and the answers are half sure."""
    rows: list[torch.Tensor] = []
    for record in records:
        for response in record.responses:
            lines = response.text.split("\n")
            rows.append(torch.tensor([0.5 if line.startswith(("so", "answer")) else len(line) / 60 for line in lines]))
    return scores_of(records, [float(row.prod()) for row in rows], steps=tuple(rows))


RECORDS = step_records(12, seed=3)


def test_the_panel_tells_right_steps_from_wrong() -> None:
    def knowing(records: Sequence[Record], /) -> Scores:
        rows = [
            torch.tensor([0.2 + 0.7 * (label or 0) for label in found.labels])
            for record in RECORDS
            for found in record.feedback
            if isinstance(found, StepLabels)
        ]
        return scores_of(records, [float(row.min()) for row in rows], steps=tuple(rows))

    panel = steps_panel(knowing(RECORDS), RECORDS, most=5)
    assert panel is not None
    facts = dict(panel.facts)
    assert facts["a right step scores above a wrong one"] == "100.0 %"
    assert facts["the first wrong step scores lowest"] == "100.0 %"
    assert facts["responses with step scores"] == "24"
    assert len(panel.stepped) == 5
    assert len({shown.record.split("/")[0] for shown in panel.stepped}) == 5
    assert panel.curves is not None
    assert [line.name for line in panel.curves.lines] == ["right steps", "wrong steps"]
    assert all(y == pytest.approx(0.9) for _, y in panel.curves.lines[0].points)


def test_the_worst_judged_responses_are_shown_with_every_step() -> None:
    panel = steps_panel(nearly_right(RECORDS), RECORDS)
    assert panel is not None
    shown = panel.stepped[0]
    name, index = shown.record.split("/")
    record = next(record for record in RECORDS if record.id == name)
    assert [text for text, _, _ in shown.steps] == record.responses[int(index)].text.split("\n")
    assert shown.pictures
    errors = [max(abs(score - (label or 0)) for _, score, label in each.steps) for each in panel.stepped]
    assert errors == sorted(errors, reverse=True)


def test_unlabelled_steps_are_shown_too() -> None:
    bare = [Record.of(record.prompt, record.responses, id=record.id) for record in RECORDS]
    panel = steps_panel(nearly_right(bare), bare)
    assert panel is not None
    assert panel.curves is not None
    assert [line.name for line in panel.curves.lines] == ["all steps"]
    assert {label for shown in panel.stepped for _, _, label in shown.steps} == {None}
    lowest = [min(score for _, score, _ in shown.steps) for shown in panel.stepped]
    assert lowest == sorted(lowest)


def test_a_reward_without_steps_has_no_such_panel() -> None:
    plain = scores_of(RECORDS, [0.0] * 24)
    assert steps_panel(plain, RECORDS) is None
    assert not list(judged_steps(plain, RECORDS))


def test_an_audit_puts_the_steps_on_its_page(tmp_path: Path) -> None:
    card = audit(nearly_right, RECORDS, nulls={}, probes=(), gates=())
    (panel,) = card.panels
    assert panel.title == "Step scores"
    page = card.save(tmp_path / "card.html").read_text(encoding="utf-8")
    first = panel.stepped[0]
    assert "Step scores" in page
    assert all(text in page for text, _, _ in first.steps if "'" not in text)
    assert first.record in page
    told = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert told["panels"][0]["stepped"][0]["steps"][0][1] == first.steps[0][1]
