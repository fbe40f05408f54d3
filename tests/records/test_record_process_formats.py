"""Step labels of public sets: which step a label belongs to, and what it means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from assay.media import Image, Text
from assay.records import Record, Response, RowError, StepLabels, read
from assay.records.formats.mathshepherd import TAG
from assay.records.formats.visualprm import as_right


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


def step(*ratings: int | None, chosen: int | None = 0, human: Any = None, name: str = "s") -> dict[str, Any]:
    completions = [
        {"text": f"{name}{place}", "rating": rating, "flagged": None} for place, rating in enumerate(ratings)
    ]
    return {"completions": completions, "chosen_completion": chosen, "human_completion": human}


def prm800k(*steps: dict[str, Any]) -> dict[str, Any]:
    label = {"steps": list(steps), "finish_reason": "solution"}
    return {"labeler": "u", "question": {"problem": "q", "ground_truth_answer": "4"}, "label": label}


def test_prm800k_follows_the_path_and_keeps_the_alternatives(tmp_path: Path) -> None:
    written_in = {"text": "mine", "rating": None}
    (record,) = written(
        tmp_path,
        [prm800k(step(1, -1, name="a"), step(-1, chosen=None, human=written_in, name="b"), step(None, name="c"))],
    )
    assert [response.text.split("\n") for response in record.responses] == [
        ["a0", "mine", "c0"],
        ["a1"],
        ["a0", "b0"],
    ]
    assert record.feedback == (
        StepLabels(0, (1.0, None, None), rater="u"),
        StepLabels(1, (0.0,), rater="u"),
        StepLabels(2, (1.0, 0.0), rater="u"),
    )
    assert record.context == {"ground_truth_answer": "4", "finish_reason": "solution"}


def test_prm800k_stops_at_the_first_error_and_0_is_neutral(tmp_path: Path) -> None:
    (record,) = written(tmp_path, [prm800k(step(0, name="a"), step(-1, 0, chosen=None, name="b"))])
    assert record.feedback == (StepLabels(0, (0.5, 0.0), rater="u"), StepLabels(1, (0.5, 0.5), rater="u"))
    (record,) = written(tmp_path, [prm800k(step(1, name="a"), step(chosen=None, name="b"))])
    assert record.feedback == (StepLabels(0, (1.0,), rater="u"),)
    with pytest.raises(RowError, match="bad_label: a rating of 2"):
        written(tmp_path, [prm800k(step(2))])
    with pytest.raises(RowError, match="no_steps"):
        written(tmp_path, [prm800k()])


def test_math_shepherd_takes_the_tags_and_no_other_sign(tmp_path: Path) -> None:
    text = "How much is 2 + 2? Step 1: 2 + 2 - 0 = 4 {0}\nStep 2: The answer is: 5 {1}"
    row = {"input": text.format(TAG, TAG), "label": text.format("+", "-"), "task": "GSM8K"}
    (record,) = written(tmp_path, [row])
    assert record.prompt[0].text == "How much is 2 + 2?"
    assert record.responses == (Response.from_steps(["Step 1: 2 + 2 - 0 = 4", "Step 2: The answer is: 5"]),)
    assert record.feedback == (StepLabels(0, (1.0, 0.0)),)
    assert record.context == {"task": "GSM8K"}
    with pytest.raises(RowError, match="bad_label: the label differs from the input at step 2"):
        written(tmp_path, [{**row, "label": text.format("+", "?")}])


def test_visualprm_scores_are_shares_of_rollouts(tmp_path: Path) -> None:
    scored = [{"step": "one", "score": 0.0625}, {"step": "two", "score": 0.0}, {"step": "three", "score": None}]
    row = {"image": "a.png", "question": "<image>\nwhat?", "answer": "4", "response": "...", "steps_with_score": scored}
    (record,) = written(tmp_path, [row])
    assert record.prompt[0].parts == (Image.from_path(tmp_path / "a.png"), Text("\nwhat?"))
    assert record.feedback == (StepLabels(0, (0.0625, 0.0, None)),)
    assert as_right(record).feedback == (StepLabels(0, (1.0, 0.0, None)),)
    assert as_right(record, above=0.5).feedback == (StepLabels(0, (0.0, 0.0, None)),)
    assert record.responses == (Response.from_steps(["one", "two", "three"], "\n\n"),)
    with pytest.raises(RowError, match="bad_label: step scores"):
        written(tmp_path, [{**row, "steps_with_score": [{"step": "one", "score": 3}]}])


def test_visualprm_conversations_say_plus_or_minus(tmp_path: Path) -> None:
    first = "### Question:\n<image>\nwhat?\n\n### Solution Process:\none"
    turns = [("system", "judge"), ("human", first), ("gpt", "+"), ("human", "two"), ("gpt", "-")]
    conversations = [{"from": name, "value": text} for name, text in turns]
    row = {"id": -1, "image": "a.png", "conversations": conversations}
    (record,) = written(tmp_path, [row])
    assert record.prompt[0].parts == (Image.from_path(tmp_path / "a.png"), Text("\nwhat?"))
    assert record.responses == (Response.from_steps(["one", "two"], "\n\n"),)
    assert record.feedback == (StepLabels(0, (1.0, 0.0)),)
    with pytest.raises(RowError, match="step_count: 2 steps, 1 answers"):
        written(tmp_path, [{**row, "conversations": conversations[:-1]}])


def test_vilreward_values_belong_to_the_last_step(tmp_path: Path) -> None:
    row = {"image": "a.png", "question": "what?", "process": ["one", "two"], "value": 0.25}
    steps, whole = written(tmp_path, [row, {**row, "process": "one\ntwo"}])
    assert steps.feedback == (StepLabels(0, (None, 0.25)),)
    assert whole.feedback == (StepLabels(0, (0.25,)),)
    assert len(whole.responses[0].step_ends) == 1
    with pytest.raises(RowError, match=r"bad_label: value 1\.5"):
        written(tmp_path, [{**row, "value": 1.5}])
