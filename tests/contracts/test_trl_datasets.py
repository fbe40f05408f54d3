"""Rows of TRL's data sets, through `datasets` and TRL's own preparation, and back: nothing is lost on the way."""

import numpy as np
import pytest

from assay.media import Image
from assay.records import Preference, Record, Response, StepLabels
from assay.records.tables import from_rows, to_rows

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")


def picture(level):
    return Image.from_array(np.full((4, 6, 3), level, np.uint8))


def pixels(record):
    return [np.asarray(part.pil())[0, 0, 0] for part in record.parts() if isinstance(part, Image)]


def test_preferences_with_pictures_and_margins_through_a_data_set():
    from trl.data_utils import is_conversational, prepare_multimodal_messages

    records = [
        Record.of(
            [picture(10 * n), "and", picture(10 * n + 1), "?"], ["good", "bad"], id=str(n),
            feedback=[Preference(0, 1, margin=n / 2)],
        )
        for n in range(1, 4)
    ]  # fmt: skip
    table = datasets.Dataset.from_list(list(to_rows(records, format="trl")))
    shown = table.cast_column("images", datasets.List(datasets.Image()))
    for row, record in zip(shown, records, strict=True):
        assert is_conversational(row)
        assert row["margin"] == record.feedback[0].margin
        filled = prepare_multimodal_messages(row["prompt"], row["images"])
        seen = [part["image"] for part in filled[0]["content"] if part["type"] == "image"]
        assert [np.asarray(image)[0, 0, 0] for image in seen] == pixels(record)
    again = list(from_rows(shown))
    assert [record.prompt for record in again] == [record.prompt for record in records]
    assert [record.responses for record in again] == [record.responses for record in records]
    assert [record.feedback for record in again] == [record.feedback for record in records]


def test_an_implicit_prompt_ends_where_trl_ends_it():
    turns = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    rows = [
        {"chosen": turns, "rejected": [turns[0], {"role": "assistant", "content": "5"}]},
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
    ]
    for row in rows:
        split = trl.maybe_extract_prompt(dict(row))
        implicit, explicit = (next(iter(from_rows([each]))) for each in (row, split))
        assert implicit.prompt == explicit.prompt
        assert implicit.responses == explicit.responses


def test_what_trl_unpairs_is_read_as_single_judgements():
    table = datasets.Dataset.from_list([{"prompt": "2+2?", "chosen": "4", "rejected": "5"}])
    records = list(from_rows(trl.unpair_preference_dataset(table), format="trl-unpaired"))
    assert [(record.responses[0].text, record.feedback[0].value) for record in records] == [("4", 1.0), ("5", 0.0)]


@pytest.mark.parametrize("labels", [(True, False), (0.75, 0.25)])
def test_step_labels_hard_and_soft_through_a_data_set(labels):
    steps = Response.from_steps(["2 and 2", "is 5"])
    record = Record.of("2+2?", [steps], id="0", feedback=[StepLabels(0, tuple(float(label) for label in labels))])
    table = datasets.Dataset.from_list(list(to_rows([record], format="trl-stepwise")))
    assert table[0]["completions"] == ["2 and 2", "is 5"]
    assert table[0]["labels"] == list(labels)
    (again,) = from_rows(table, format="trl-stepwise")
    assert again.feedback == record.feedback
    assert again.responses == record.responses
