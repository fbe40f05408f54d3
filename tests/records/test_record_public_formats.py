"""Preferences and ratings of public sets: which way they point, what is a tie, and what says nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from record_examples import HELPSTEER, VIDEO_RATINGS
from record_strategies import png

from assay.media import Audio, Image, Text, Video
from assay.records import (
    Critique,
    FormatError,
    Preference,
    Ranking,
    Rating,
    Record,
    RowError,
    Span,
    SpanLabels,
    preferences_of,
    read,
    write,
)
from assay.records.formats import Target, format_named
from assay.records.formats.fsdd import WORDS
from assay.records.formats.tara import without_tools
from assay.records.losses import lost
from assay.records.pairs import ordered_pairs, settled


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


def test_ultrafeedback_aspects_and_missing_ratings(tmp_path: Path) -> None:
    def completion(text: str, rating: str, overall: float) -> dict[str, Any]:
        honesty = {"Rating": rating, "Rationale": "because"}
        return {"model": "m", "response": text, "overall_score": overall, "annotations": {"honesty": honesty}}

    row = {"instruction": "q", "completions": [completion("a", "4", 2.0), completion("b", "N/A", 7.5)], "source": "s"}
    (record,) = written(tmp_path, [row])
    assert record.feedback == (
        Rating(0, 2.0, criterion="overall"),
        Rating(0, 4.0, criterion="honesty"),
        Critique(0, "because", criterion="honesty"),
        Rating(1, 7.5, criterion="overall"),
        Critique(1, "because", criterion="honesty"),
    )
    assert preferences_of(record) == (Preference(1, 0, margin=5.5, criterion="overall"),)
    with pytest.raises(RowError, match="bad_label: a rating 'good' under honesty"):
        written(tmp_path, [{"instruction": "q", "completions": [completion("a", "good", 2.0)]}])


def test_ultrafeedback_binarized_keeps_the_scores(tmp_path: Path) -> None:
    user, good, bad = ({"role": role, "content": text} for role, text in
                       (("user", "q"), ("assistant", "yes"), ("assistant", "no")))  # fmt: skip
    row = {"prompt": "q", "chosen": [user, good], "rejected": [user, bad], "messages": [user, good],
           "score_chosen": 8.0, "score_rejected": 3.5}  # fmt: skip
    (record,) = written(tmp_path, [row])
    assert [response.text for response in record.responses] == ["yes", "no"]
    assert [turn.text for turn in record.prompt] == ["q"]
    assert record.feedback == (Preference(0, 1, margin=4.5), Rating(0, 8.0), Rating(1, 3.5))
    assert record.context == {}


def test_hpdv2_one_is_preferred_and_low_rank_is_best(tmp_path: Path) -> None:
    train = {"prompt": "a cat", "file_path": ["a.jpg", "b.jpg"], "human_preference": [0, 1]}
    (record,) = written(tmp_path, [train])
    assert record.feedback == (Preference(1, 0),)
    assert record.responses[0].messages[0].parts == (Image.from_path(tmp_path / "a.jpg"),)
    test = {"prompt": "a cat", "image_path": ["a.jpg", "b.jpg", "c.jpg"], "rank": [2.5, 1.1, 2.5],
            "raw_annotations": [{"rank": [1, 2, 3], "user_hash": "h"}]}  # fmt: skip
    (record,) = written(tmp_path, [test])
    assert record.feedback == (Ranking((1, 0, 1)), Ranking((0, 1, 2), rater="h"))
    assert {(item.better, item.worse) for item in preferences_of(record)} == {(1, 0), (1, 2)}
    with pytest.raises(RowError, match=r"rank_count: 1 labels for 2 pictures"):
        written(tmp_path, [{**train, "human_preference": [1]}])


def test_hpdv3_the_first_path_is_preferred(tmp_path: Path) -> None:
    row = {"prompt": "a cat", "path1": "good.jpg", "path2": "bad.jpg", "confidence": 0.9, "model1": "m", "model2": "n"}
    (record,) = written(tmp_path, [row])
    assert record.feedback == (Preference(0, 1, strength=0.9),)
    assert record.responses[0].messages[0].parts == (Image.from_path(tmp_path / "good.jpg"),)


def test_imagerewarddb_rank_1_is_best_among_the_pictures_of_a_prompt(tmp_path: Path) -> None:
    row = {"prompt_id": "p", "prompt": "a cat", "rank": 2, "image_path": "a.webp", "overall_rating": 3}
    best, other = {**row, "rank": 1, "image_path": "b.webp", "overall_rating": 7}, {**row, "prompt_id": "o"}
    first, second = written(tmp_path, [row, best, other])
    assert first.feedback == (Ranking((1, 0)), Rating(0, 3.0, criterion="overall"), Rating(1, 7.0, criterion="overall"))
    assert preferences_of(first) == (Preference(1, 0),)
    assert len(second.responses) == 1
    with pytest.raises(RowError, match="bad_label: rank 0"):
        written(tmp_path, [{**row, "rank": 0}])
    whole = {"id": "p1", "prompt": "a cat", "generations": ["a.webp", "b.webp", "c.webp"], "ranking": [2, 1, 2]}
    (record,) = written(tmp_path, [whole])
    assert (record.id, record.feedback) == ("p1", (Ranking((1, 0, 1)),))
    assert record.responses[1].messages[0].parts == (Image.from_path(tmp_path / "b.webp"),)
    with pytest.raises(RowError, match="bad_feedback: 2 ranks for 3 responses"):
        written(tmp_path, [{**whole, "ranking": [1, 2]}])


def test_rlaif_v_images_stand_where_their_tags_are(tmp_path: Path) -> None:
    row = {"image": "a.png", "question": "what?", "chosen": "yes", "rejected": "no"}
    tagged = {**row, "image": ["a.png", "b.png"], "question": "is <image> like <image>?"}
    text = {**row, "image": ""}
    plain, both, none = written(tmp_path, [row, tagged, text])
    first, second = (Image.from_path(tmp_path / name) for name in ("a.png", "b.png"))
    assert plain.prompt[0].parts == (first, Text("what?"))
    assert both.prompt[0].parts == (Text("is "), first, Text(" like "), second, Text("?"))
    assert none.prompt[0].parts == (Text("what?"),)
    assert [response.text for response in plain.responses] == ["yes", "no"]
    assert plain.feedback == (Preference(0, 1),)
    with pytest.raises(RowError, match="media_count"):
        written(tmp_path, [{**tagged, "image": "a.png"}])


def test_mm_rlhf_files_mix_images_and_videos(tmp_path: Path) -> None:
    row = {"id": 7, "prompt": "what?", "chosen": "yes", "rejected": "no"}
    image, video = {**row, "image": "mcq/1.png"}, {**row, "video": "short/1.mp4"}
    first, second = written(tmp_path, [video, {**image, "rejected_reason": "wrong"}])
    assert first.prompt[0].parts == (Video(path=tmp_path / "short/1.mp4"), Text("what?"))
    assert second.prompt[0].parts == (Image.from_path(tmp_path / "mcq/1.png"), Text("what?"))
    assert second.feedback == (Preference(0, 1), Critique(1, "wrong"))
    assert [record.id for record in (first, second)] == ["7:1", "7:2"]
    assert first.context == {"item": 7}
    with pytest.raises(RowError, match="media_count: 0 of image and video"):
        written(tmp_path, [video, row])
    with pytest.raises(RowError, match=r"row 2: unsupported_media: a video.*; read the file with format='mm-rlhf'"):
        written(tmp_path, [image, video])
    assert len(list(read(tmp_path / "data.jsonl", format="mm-rlhf"))) == 2


def test_videofeedback_frames_are_one_video(tmp_path: Path) -> None:
    row = {"id": "v", "images": ["v_00.jpg", "v_01.jpg"], "text prompt": "a cat", "video link": "l",
           **dict.fromkeys(VIDEO_RATINGS, 3), "dynamic degree": 1, "conversations": []}  # fmt: skip
    (record,) = written(tmp_path, [row])
    frames = tuple([Image.from_path(tmp_path / name) for name in ("v_00.jpg", "v_01.jpg")])
    assert record.responses[0].messages[0].parts == (Video(frames=frames),)
    values = {item.criterion: item.value for item in record.feedback if isinstance(item, Rating)}
    assert values == {**dict.fromkeys(VIDEO_RATINGS, 3.0), "dynamic degree": 1.0}
    assert record.context == {"video link": "l"}


def test_audio_alpaca_chosen_is_better(tmp_path: Path) -> None:
    row = {"prompt": "a bark", "chosen": {"bytes": b"RIFFgood", "path": None},
           "rejected": {"bytes": b"RIFFbad", "path": None}, "strategy": "events"}  # fmt: skip
    (record,) = read(as_parquet(tmp_path, [row]))
    assert [response.messages[0].parts for response in record.responses] == [
        (Audio(data=b"RIFFgood"),),
        (Audio(data=b"RIFFbad"),),
    ]
    assert record.feedback == (Preference(0, 1),)
    assert record.context == {"strategy": "events"}


def test_rapidata_votes_are_soft_labels(tmp_path: Path) -> None:
    row = {"prompt": "a cat", "video1": "a.mp4", "video2": "b.mp4",
           "weighted_results1_Preference": 0.2, "weighted_results2_Preference": 0.6,
           "weighted_results1_Coherence": 0.5, "weighted_results2_Coherence": 0.5,
           "weighted_results1_Alignment": None, "weighted_results2_Alignment": None}  # fmt: skip
    (record,) = written(tmp_path, [row])
    soft, tie = record.feedback
    assert isinstance(soft, Preference)
    assert (soft.better, soft.worse, soft.criterion) == (1, 0, "Preference")
    assert soft.probability == pytest.approx(0.75)
    assert tie == Preference(0, 1, probability=0.5, tie=True, criterion="Coherence")
    with pytest.raises(RowError, match="missing_media: no video or image"):
        written(tmp_path, [{**row, "video1": None}])
    named = {**row, "video1": "https://x/a.mp4", "file_name1": "a.mp4", "file_name2": "b.mp4"}
    (record,) = written(tmp_path, [named])
    assert record.responses[1].messages[0].parts == (Video(path=tmp_path / "b.mp4"),)


def test_qa_feedback_pairs_ties_and_spans(tmp_path: Path) -> None:
    row = {"question": "who?", "passages": [["Title", "One.", "Two."]], "gold": "him",
           **{f"prediction {number}": f"answer {number}" for number in range(1, 5)}, "preference": [0, 1, 2, 1, 0, 2],
           "feedback": {"errors": [{"error type": "Irrelevant", "explanation": "", "start": 0, "end": 6}],
                        "missing-info": [], "corrected-prediction": "better"}}  # fmt: skip
    (record,) = written(tmp_path, [row])
    assert [turn.text for turn in record.prompt] == ["Title\nOne. Two.", "who?"]
    assert record.feedback == (
        Preference(0, 1, probability=0.5, tie=True),
        Preference(0, 2),
        Preference(3, 0),
        Preference(1, 2),
        Preference(1, 3, probability=0.5, tie=True),
        Preference(3, 2),
        SpanLabels(0, (Span(0, 6, "Irrelevant"),)),
    )
    assert record.context["corrected-prediction"] == "better"


def test_tara_traces_are_tool_messages(tmp_path: Path) -> None:
    one = {"Thought": "look", "Action": "Calendar.week_day", "Action Input": "2015-03-24", "Observation": "Tuesday"}
    many = "Thought: first\nAction: a\nAction Input: 1\nObservation: x\ny\nThought: then\nAction: b\nObservation: z"
    checked = {"explanation": "e", "score": "1.0"}
    row = {"id": "t", "prompt": "what day?", "chosen": "Tuesday", "rejected": "Sunday", "chosen_score": 1.0,
           "rejected_score": -1.0, "chosen_trace": {"actions": one, "score_agent": checked},
           "rejected_trace": {"actions": many}, "domain": "calendar"}  # fmt: skip
    (record,) = written(tmp_path, [row])
    answer, call, result = record.responses[0].messages
    assert (answer.role, answer.text) == ("assistant", "Tuesday")
    assert call.text == "look"
    assert call.tool_calls[0]["function"] == {"name": "Calendar.week_day", "arguments": {"input": "2015-03-24"}}
    assert (result.role, result.text, result.tool_call_id) == ("tool", "Tuesday", call.tool_calls[0]["id"])
    assert [turn.text for turn in record.responses[1].messages] == ["Sunday", "first", "x\ny", "then", "z"]
    assert record.feedback == (
        Preference(0, 1),
        Rating(0, 1.0),
        Critique(0, "e", criterion="checked"),
        Rating(0, 1.0, criterion="checked"),
        Rating(1, -1.0),
    )
    assert [response.text for response in without_tools(record).responses] == ["Tuesday", "Sunday"]


def test_mqm_penalties_are_negative_and_spans_lose_their_marks(tmp_path: Path) -> None:
    row = {"system": "A", "doc": "d", "doc_id": 1, "seg_id": 84, "rater": "r", "source": "s",
           "target": 'say "<v>this</v>"', "category": "Style/Awkward", "severity": "Major"}  # fmt: skip
    rows = [
        row,
        {**row, "target": '<v>say</v> "this"', "category": "Fluency/Punctuation", "severity": "Minor"},
        {**row, "system": "B", "target": "fine", "category": "No-error", "severity": "No-error"},
        {**row, "seg_id": 85},
    ]
    path = tmp_path / "mqm.tsv"
    lines = ["\t".join(row), *("\t".join(map(str, one.values())) for one in rows)]
    path.write_text("\n".join(lines) + "\n")
    first, second = read(path)
    assert [response.text for response in first.responses] == ['say "this"', "fine"]
    rating, spans, clean = first.feedback
    assert isinstance(rating, Rating)
    assert (rating.response, rating.rater) == (0, "r")
    assert rating.value == pytest.approx(-5.1)
    assert spans == SpanLabels(
        0, (Span(5, 9, "Style/Awkward (Major)", -5.0), Span(0, 3, "Fluency/Punctuation (Minor)", -0.1)), "r"
    )
    assert clean == Rating(1, 0.0, "r")
    assert first.context == {"systems": ["A", "B"], "doc": "d", "seg_id": "84"}
    assert second.context["seg_id"] == "85"


def test_what_a_public_set_holds_and_pairs_do_not_is_reported(tmp_path: Path) -> None:
    tie = {"context": [{"role": "user", "content": "q"}], "response1": "one", "response2": "two",
           "overall_preference": 0}  # fmt: skip
    told = {**tie, "overall_preference": 2, "individual_preference": [{"score": 2, "feedback1": "a", "feedback2": ""}]}
    records = written(tmp_path, [tie, told])
    result = write(records, tmp_path / "pairs.jsonl", format="trl", on_error="collect")
    assert (result.rows, [problem.code for problem in result.problems]) == (1, ["no_preference"])
    trl = format_named("trl")
    assert trl.writer is not None
    rows = trl.writer(records[1:], Target(table=True))(records[1])
    assert lost(records[1], rows, trl, tmp_path) == {"feedback"}  # the strength, the rater and the critique
    with pytest.raises(FormatError, match="helpsteer3 can only be read"):
        write(records, tmp_path / "x.jsonl", format="helpsteer3")


def test_rows_of_pairs_under_several_criteria_have_ids_of_their_own(tmp_path: Path) -> None:
    row = {"id": "v", "path_A": "a.mp4", "path_B": "b.mp4", "prompt": "a cat", "VQ": "B", "MQ": "B", "TA": "A"}
    (record,) = written(tmp_path, [row])
    assert [name for name, _ in ordered_pairs(record)] == ["v:1>0:VQ", "v:1>0:MQ", "v:0>1"]


def test_rows_of_a_group_that_lie_apart_and_broken_rows_within_it(tmp_path: Path) -> None:
    rows = [{"prompt": prompt, "response": str(number), **HELPSTEER} for number, prompt in enumerate("aabba")]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "x.jsonl").write_text("\n".join([lines[0], "{broken", *lines[1:], '{"prompt": "c", "response": "5"}']))
    records = read(tmp_path / "x.jsonl", on_error="collect")
    assert [(record.id, len(record.responses)) for record in records] == [
        ("x.jsonl#1", 2),
        ("x.jsonl#4", 2),
        ("x.jsonl#6", 1),
        ("x.jsonl#7", 1),
    ]
    assert [(problem.first, problem.code) for problem in records.problems] == [(2, "bad_json")]
    assert [record.id for record in read(tmp_path / "x.jsonl", on_error="collect", limit=1)] == ["x.jsonl#1"]


def test_a_bad_row_of_a_group_is_named_and_loses_no_other(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"prompt": "q", "response": str(number), **HELPSTEER} for number in range(4)]
    rows[2]["coherence"] = "very"
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    records = read(tmp_path / "x.jsonl", on_error="collect")
    (record,) = records
    assert [response.text for response in record.responses] == ["0", "1", "3"]
    assert {item.response for item in record.feedback if isinstance(item, Rating)} == {0, 1, 2}
    assert [(problem.first, problem.last, problem.code) for problem in records.problems] == [(3, 3, "bad_row")]
    assert records.failed == 1
    with pytest.raises(RowError, match=r"x\.jsonl: row 3: bad_row"):
        list(read(tmp_path / "x.jsonl"))


def test_the_verdict_of_all_raters_silences_each() -> None:
    alone = Preference(0, 1, rater="a")
    record = Record.of("q", ["x", "y", "z"], feedback=[alone, Preference(2, 0), Preference(1, 0, criterion="c")])
    assert preferences_of(record) == record.feedback  # other responses, another criterion
    assert settled([alone, Preference(1, 0)]) == [Preference(1, 0)]
    assert settled([Rating(0, 1.0, "a"), Rating(1, 2.0), Rating(0, 3.0)]) == [Rating(1, 2.0), Rating(0, 3.0)]
    assert settled([Ranking((0, 1), "a"), Ranking((1, 0))]) == [Ranking((1, 0))]
