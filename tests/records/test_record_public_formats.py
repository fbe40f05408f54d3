"""Preferences and ratings of public sets: which way they point, what is a tie, and what says nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from record_examples import HELPSTEER
from record_strategies import png

from assay.media import Audio, Image, Text, Video
from assay.records import (
    Critique,
    Preference,
    Ranking,
    Rating,
    Record,
    RowError,
    preferences_of,
    read,
)
from assay.records.formats.fsdd import WORDS


def written(folder: Path, rows: Sequence[Mapping[str, Any]], name: str = "data.jsonl") -> list[Record]:
    """The records of rows written as they are published, recognised by themselves."""
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(read(folder / name))


def as_table(folder: Path, rows: Sequence[Mapping[str, Any]], name: str) -> Path:
    with (folder / name).open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return folder / name


def as_parquet(folder: Path, rows: Sequence[Mapping[str, Any]], name: str = "data.parquet") -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows)), folder / name)
    return folder / name


def test_helpsteer_joins_the_answers_to_a_prompt(tmp_path: Path) -> None:
    second = {**HELPSTEER, "helpfulness": 1, "verbosity": 4}
    turns = "hi\n<extra_id_1>Assistant\nhello\n<extra_id_1>User\n2+2?"
    records = written(
        tmp_path,
        [
            {"prompt": "2+2?", "response": "4", **HELPSTEER},
            {"prompt": "2+2?", "response": "22", **second},
            {"prompt": turns, "response": "4", **HELPSTEER},
        ],
    )
    assert [len(record.responses) for record in records] == [2, 1]
    assert [record.id for record in records] == ["data.jsonl#1", "data.jsonl#3"]
    ratings = {(item.response, item.criterion): item.value for item in records[0].feedback if isinstance(item, Rating)}
    assert (ratings[0, "helpfulness"], ratings[1, "helpfulness"]) == (3.0, 1.0)
    assert len(ratings) == 10
    assert Preference(0, 1, margin=2.0, criterion="helpfulness") in preferences_of(records[0])
    assert [(turn.role, turn.text) for turn in records[1].prompt] == [
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "2+2?"),
    ]


@pytest.mark.parametrize(
    ("strength", "feedback"),
    [(-3, (Preference(0, 1, strength=3.0),)), (1, (Preference(1, 0, strength=1.0),)), (0, ())],
)
def test_helpsteer2_preferences_point_by_their_sign_and_0_says_nothing(
    tmp_path: Path, strength: int, feedback: tuple[Preference, ...]
) -> None:
    row = {"prompt": "q", "response_1": "one", "response_2": "two", "preference_strength": strength}
    (record,) = written(tmp_path, [row])
    assert [response.text for response in record.responses] == ["one", "two"]
    assert record.feedback == feedback
    assert record.context["preference_strength"] == strength


@pytest.mark.parametrize(
    ("overall", "expected"),
    [(-1, Preference(0, 1, strength=1.0)), (3, Preference(1, 0, strength=3.0)), (0, None)],
)
def test_helpsteer3_below_0_is_the_first_and_0_a_tie(tmp_path: Path, overall: int, expected: Preference | None) -> None:
    row = {"domain": "code", "context": [{"role": "user", "content": "q"}], "response1": "one", "response2": "two",
           "overall_preference": overall}  # fmt: skip
    (record,) = written(tmp_path, [row])
    tie = Preference(0, 1, probability=0.5, tie=True, strength=0.0)
    assert record.feedback == (expected or tie,)
    assert record.context == {"domain": "code"}


def test_helpsteer3_raters_disagree_beside_their_verdict(tmp_path: Path) -> None:
    judged = [
        {"score": 1, "reasoning": "why", "feedback1": "short", "feedback2": "long"},
        {"score": -1, "reasoning": None, "feedback1": "", "feedback2": None},
        {"score": 0, "reasoning": None},
    ]
    row = {"context": [{"role": "user", "content": "q"}], "response1": "one", "response2": "two",
           "overall_preference": 1, "individual_preference": judged}  # fmt: skip
    (record,) = written(tmp_path, [row])
    raters = [f"data.jsonl#1:{index}" for index in range(3)]
    assert record.feedback == (
        Preference(1, 0, strength=1.0),
        Preference(1, 0, strength=1.0, rater=raters[0]),
        Critique(0, "short", raters[0]),
        Critique(1, "long", raters[0]),
        Preference(0, 1, strength=1.0, rater=raters[1]),
        Preference(0, 1, probability=0.5, tie=True, strength=0.0, rater=raters[2]),
    )
    assert preferences_of(record) == (Preference(1, 0, strength=1.0),)  # counted once, not four times
    assert record.context["reasoning"] == ["why", None, None]


def test_pick_a_pic_holds_bytes_ties_and_raters(tmp_path: Path) -> None:
    row = {"caption": "a cat", "jpg_0": png(1), "jpg_1": png(2), "label_0": 0.0, "label_1": 1.0, "has_label": True,
           "user_id": 42, "ranking_id": 5}  # fmt: skip
    tied = {**row, "label_0": 0.5, "label_1": 0.5}
    unlabelled = {**row, "label_0": 0.0, "label_1": 0.0, "has_label": False}
    records = list(read(as_parquet(tmp_path, [row, tied, unlabelled])))
    assert [record.feedback for record in records] == [
        (Preference(1, 0, rater="42"),),
        (Preference(0, 1, probability=0.5, tie=True, rater="42"),),
        (),
    ]
    assert records[0].responses[1].messages[0].parts == (Image.from_bytes(png(2)),)
    assert records[0].context == {"ranking_id": 5}
    with pytest.raises(RowError, match=r"row 1: bad_label: labels 1 and 1"):
        list(read(as_parquet(tmp_path, [{**row, "label_0": 1.0}])))


def test_videoalign_22_is_invalid_not_a_number(tmp_path: Path) -> None:
    row = {"path_A": "a.mp4", "path_B": "./b.mp4", "prompt": 'a "cat",\nrunning', "VQ": "B", "MQ": "same", "TA": "A"}
    path = as_table(tmp_path, [row, {**row, "VQ": 22, "MQ": "invalid", "TA": "same"}], "pairs.csv")
    first, second = read(path)
    assert first.prompt[0].text == 'a "cat",\nrunning'
    assert first.responses[0].messages[0].parts == (Video(path=tmp_path / "a.mp4"),)
    assert first.feedback == (
        Preference(1, 0, criterion="VQ"),
        Preference(0, 1, probability=0.5, tie=True, criterion="MQ"),
        Preference(0, 1, criterion="TA"),
    )
    assert second.feedback == (Preference(0, 1, probability=0.5, tie=True, criterion="TA"),)
    with pytest.raises(RowError, match=r"pairs\.csv: row 2: bad_label: VQ 'C'; give A, B, same or invalid"):
        list(read(as_table(tmp_path, [{**row, "VQ": "C"}], "pairs.csv")))


def test_topical_chat_answers_stand_under_one_dialogue(tmp_path: Path) -> None:
    row = {"source": "hello\nhi \n how are you ?\n\n", "context": "a fact\n", "scores": {"overall": 4.0}}
    rows = [
        {**row, "system_id": "Human", "system_output": "well"},
        {**row, "system_id": "Model", "system_output": "bad", "scores": {"overall": 1.5}},
    ]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    (record,) = read(tmp_path / "t.json")
    assert [turn.role for turn in record.prompt] == ["system", "user", "assistant", "user"]
    assert preferences_of(record) == (Preference(0, 1, margin=2.5, criterion="overall"),)
    assert record.context["systems"] == ["Human", "Model"]


def test_fsdd_reads_the_official_folder(tmp_path: Path) -> None:
    for digit in range(10):
        for index in (4, 5):
            (tmp_path / f"{digit}_jackson_{index}.wav").write_bytes(b"RIFF")
    records = list(read(tmp_path))
    assert len(records) == 20
    places: set[int] = set()
    for record in records:
        assert [type(part) for part in record.prompt[0].parts] == [Audio, Text]
        (ranking,) = record.feedback
        assert isinstance(ranking, Ranking)
        assert sorted(map(str, ranking.ranks)) == ["0"] + ["1"] * 9
        place = ranking.ranks.index(0)
        assert record.responses[place].text == WORDS[int(record.id[0])]
        places.add(place)
    assert len(places) > 3
    assert [record.context["index"] for record in read(tmp_path, split="test")] == [4] * 10


def test_mushra_listeners_rate_the_stimuli_of_a_signal(tmp_path: Path) -> None:
    rows = [
        {"signal": "s", "condition": "codec", "ratings": "[40.0, 60.0]", "participant_ids": "[2, 3]", "file": "c.wav"},
        {"signal": "s", "condition": "Reference", "ratings": "[99.0]", "participant_ids": "[3]", "file": "r.wav"},
        {"signal": "s", "condition": "Anchor", "ratings": "[1.0]", "participant_ids": "[2]", "file": ""},
        {"signal": "t", "condition": "codec", "ratings": "[5.0]", "participant_ids": "[2]", "file": "d.wav"},
    ]
    first, second = read(as_table(tmp_path, rows, "ratings.csv"))
    assert first.prompt[0].parts[0] == Audio(path=tmp_path / "r.wav")
    assert first.feedback == (Rating(0, 40.0, "2"), Rating(0, 60.0, "3"), Rating(1, 99.0, "3"))
    assert preferences_of(first) == (Preference(1, 0, margin=39.0, rater="3"),)
    assert first.context == {"signal": "s", "conditions": ["codec", "Reference"], "without_file": ["Anchor"]}
    assert len(second.responses) == 1
    with pytest.raises(RowError, match=r"row 2: rating_count: 2 ratings of 1 listeners for 'codec'"):
        list(read(as_table(tmp_path, [{**rows[0], "participant_ids": "[2]"}], "ratings.csv")))


def test_nlvr_label_and_the_votes_of_raters(tmp_path: Path) -> None:
    row = {"id": "x", "identifier": "1-0", "directory": "2", "sentence": "a tower", "label": False,
           "image": {"bytes": png(1), "path": None},
           "evals": '{"r1": "true", "r2": "false", "r3": "nonsense"}'}  # fmt: skip
    (record,) = read(as_parquet(tmp_path, [row]))
    assert [response.text for response in record.responses] == ["true", "false"]
    assert record.feedback == (Preference(1, 0), Preference(0, 1, rater="r1"), Preference(1, 0, rater="r2"))
    assert preferences_of(record) == (Preference(1, 0),)
    assert record.context == {"identifier": "1-0", "directory": "2", "neither": {"r3": "nonsense"}}


@pytest.mark.parametrize(
    ("row", "better"),
    [
        ({"image0": "0.jpg", "image1": "1.jpg", "label": 1}, 1),
        ({"image0": "0.jpg", "image1": "1.jpg", "label": 0}, 0),
        ({"image_0": "0.jpg", "image_1": "1.jpg", "label_0": 1}, 0),
        ({"image_0": "0.jpg", "image_1": "1.jpg", "label_0": 0}, 1),
    ],
)
def test_mj_bench_labels_are_an_index_or_a_flag(tmp_path: Path, row: dict[str, Any], better: int) -> None:
    (record,) = written(tmp_path, [{"caption": "a room", **row}])
    assert record.feedback == (Preference(better, 1 - better),)
    assert record.responses[1].messages[0].parts == (Image.from_path(tmp_path / "1.jpg"),)


def test_fetv_clips_of_a_prompt(tmp_path: Path) -> None:
    row = {"prompt": "people", "section": "s", "subsection": "t", "model": "m", "video": "videos/m/2.gif", "SQ": 3.0}
    (record,) = written(tmp_path, [{**row, "TQ": 2.0}, {**row, "model": "n", "TQ": 3.5}])
    assert record.responses[0].messages[0].parts == (Video(path=tmp_path / "videos/m/2.gif"),)
    assert preferences_of(record) == (Preference(1, 0, margin=1.5, criterion="TQ"),)
    assert record.context == {"models": ["m", "n"], "section": "s", "subsection": "t"}
