"""Rows as other tools write them, and what they must mean."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from record_examples import PUBLIC_ROWS
from record_strategies import png

from assay.media import Image, Text
from assay.records import (
    BadRowError,
    FormatError,
    Message,
    Preference,
    Ranking,
    Rating,
    Record,
    Response,
    RowError,
    StepLabels,
    read,
    write,
)
from assay.records.formats import Target, format_named, formats, recognise
from assay.records.formats.base import Origin
from assay.records.formats.easyvqa import ANSWERS, same_type
from assay.records.tables import from_rows

USER = {"role": "user", "content": "2+2?"}
GOOD = {"role": "assistant", "content": "4"}
BAD = {"role": "assistant", "content": "5"}

# A row of each kind that is found in the wild: (format, row).
ROWS: list[tuple[str, dict[str, Any]]] = [
    *PUBLIC_ROWS,
    ("native", {"prompt": "2+2?", "responses": ["4", "5"]}),
    ("native", {"id": "a", "prompt": [USER], "responses": [{"messages": [GOOD]}], "feedback": [], "context": {"k": 1}}),
    ("trl", {"prompt": "2+2?", "chosen": "4", "rejected": "5"}),
    ("trl", {"prompt": "2+2?", "chosen": "4", "rejected": "5", "margin": 0.5, "subset": "math"}),
    ("trl", {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD], "images": []}),
    ("trl", {"chosen": [USER, GOOD], "rejected": [USER, BAD], "score_chosen": 9.0}),
    ("trl", {"prompt": "2+2?", "chosen": [USER, GOOD], "rejected": [USER, BAD]}),
    ("trl", {"chosen": "2+2? 4", "rejected": "2+2? 5"}),
    ("trl", {"prompt": "what?", "chosen": "4", "rejected": "5", "image": {"bytes": png(3), "path": None}}),
    ("trl-unpaired", {"prompt": "2+2?", "completion": "4", "label": True}),
    ("trl-unpaired", {"prompt": [USER], "completion": [BAD], "label": False}),
    ("trl-stepwise", {"prompt": "2+2?", "completions": ["It is", "4"], "labels": [True, False]}),
    ("llama-factory", {"conversations": [{"from": "human", "value": "2+2?"}], "chosen": {"from": "gpt", "value": "4"},
                       "rejected": {"from": "gpt", "value": "5"}}),
    ("llama-factory", {"messages": [USER], "chosen": GOOD, "rejected": BAD}),
    ("llama-factory", {"instruction": "2+2?", "input": "", "chosen": "4", "rejected": "5"}),
    ("ms-swift", {"messages": [USER, GOOD], "rejected_response": "5", "margin": 1.0}),
    ("ms-swift", {"messages": [USER, GOOD], "rejected_messages": [USER, BAD]}),
    ("ms-swift", {"messages": [USER, GOOD], "label": True}),
    ("rewardbench", {"prompt": "2+2?", "chosen": "4", "rejected": "5", "chosen_model": "a", "rejected_model": "b",
                     "subset": "math-prm", "id": 17}),
    ("rewardbench", {"id": "3", "prompt": "2+2?", "chosen": ["4"], "rejected": ["5", "6", "7"], "num_correct": 1,
                     "num_rejected": 3, "total_completions": 4, "models": ["a", "b", "c", "d"], "subset": "Math"}),
    ("hh-rlhf", {"chosen": "\n\nHuman: 2+2?\n\nAssistant: 4", "rejected": "\n\nHuman: 2+2?\n\nAssistant: 5"}),
    ("easy-vqa", {"question": "what shape?", "answer": "circle", "image_id": 0, "image": Image.from_bytes(png(1))}),
]  # fmt: skip


def one(row: dict[str, Any], **options: Any) -> Record:
    (record,) = from_rows([row], **options)
    return record


def test_every_format_has_an_example() -> None:
    assert {name for name, _ in ROWS} == {format.name for format in formats()}


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_row_is_recognised_by_its_format_alone(name: str, row: dict[str, Any]) -> None:
    assert [format.name for format in formats() if format.recognises(row)] == [name]


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_an_example_read_written_and_read_is_the_same(name: str, row: dict[str, Any]) -> None:
    format = format_named(name)
    record = format.to_record(row, 7, Origin("file", Path()))
    if name != "mm-rlhf":
        assert record.id == str(row.get("id", "file/6" if name == "easy-vqa" else "file#7"))
    if format.writer is None:
        return
    rows = format.writer([record], Target(table=True))(record)
    assert [format.to_record(again, 1, Origin("", Path())) for again in rows] == [record]


def test_names_of_rows_without_an_id_say_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "a", "responses": []}\n\n{"prompt": "b", "responses": []}\n')
    assert [record.id for record in read(path)] == ["p.jsonl#1", "p.jsonl#3"]


def test_unknown_columns_are_listed_with_what_each_format_expects() -> None:
    with pytest.raises(
        FormatError, match=r"(?s)columns \(question, chosen, rejected\).*trl.*llama-factory|llama-factory"
    ):
        recognise({"question": "a", "chosen": "b", "rejected": "c"}, "x.jsonl")
    with pytest.raises(FormatError, match=r"no format is called 'trll'; there are .*trl"):
        format_named("trll")


def test_trl_chosen_is_first_and_margin_kept() -> None:
    record = one({"prompt": "q", "chosen": "yes", "rejected": "no", "margin": 2})
    assert [response.text for response in record.responses] == ["yes", "no"]
    assert record.feedback == (Preference(0, 1, margin=2.0),)
    assert record.prompt == (Message("user", (Text("q"),)),)


def test_trl_images_fill_placeholders_over_prompt_chosen_rejected() -> None:
    def turn(role: str, *content: Any) -> list[dict[str, Any]]:
        return [{"role": role, "content": list(content)}]

    picture, words = {"type": "image"}, {"type": "text", "text": "w"}
    row = {
        "prompt": turn("user", words, picture),
        "chosen": turn("assistant", picture),
        "rejected": turn("assistant", picture, words),
        "images": [{"bytes": png(n), "path": None} for n in (1, 2, 3)],
    }
    record = one(row)
    assert record.prompt[0].parts == (Text("w"), Image.from_bytes(png(1)))
    assert record.responses[0].messages[0].parts == (Image.from_bytes(png(2)),)
    assert record.responses[1].messages[0].parts == (Image.from_bytes(png(3)), Text("w"))
    for wrong in (row["images"][:2], [*row["images"], {"bytes": png(4)}]):
        with pytest.raises(RowError, match="media_count"):
            one({**row, "images": wrong})


def test_trl_images_without_placeholders_lead_the_first_user_text() -> None:
    pictures = [PIL.Image.new("RGB", (2, 2), (5, 6, 7)), png(9)]
    record = one(
        {"prompt": [{"role": "system", "content": "s"}, USER], "chosen": [GOOD], "rejected": [BAD], "images": pictures}
    )
    first, second, text = record.prompt[1].parts
    assert isinstance(first, Image)
    assert first.pil().getpixel((0, 0)) == (5, 6, 7)
    assert second == Image.from_bytes(png(9))
    assert text == Text("2+2?")


@pytest.mark.parametrize("value", ["rel/a.png", {"path": "rel/a.png", "bytes": None}, Path("rel/a.png")])
def test_relative_media_start_at_media_root(value: Any) -> None:
    record = one({"prompt": "q", "chosen": "a", "rejected": "b", "image": value}, media_root="/base")
    assert record.prompt[0].parts[0] == Image.from_path("/base/rel/a.png")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("https://x/y.png", "remote_media"),
        ("data:image/png,abc", "bad_media"),
        ("data:image/png;base64,?", "bad_media"),
        ("", "bad_media"),
        (3, "bad_media"),
    ],
)
def test_media_that_cannot_be_are_typed(value: Any, code: str) -> None:
    with pytest.raises(RowError) as caught:
        one({"prompt": "q", "chosen": "a", "rejected": "b", "images": [value]})
    assert caught.value.problem.code == code
    assert "row 1" in str(caught.value)


def test_hh_splits_at_the_shared_turns() -> None:
    shared = "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: bye"
    record = one({"chosen": shared + "\n\nAssistant: good bye", "rejected": shared + "\n\nAssistant: go"})
    assert [(m.role, m.text) for m in record.prompt] == [("user", "hi"), ("assistant", "hello"), ("user", "bye")]
    assert [response.text for response in record.responses] == ["good bye", "go"]
    longer = one({
        "chosen": "\n\nHuman: hi\n\nAssistant: same\n\nHuman: a\n\nAssistant: b",
        "rejected": "\n\nHuman: hi\n\nAssistant: same\n\nHuman: x\n\nAssistant: y",
    })  # fmt: skip
    assert [m.text for m in longer.prompt] == ["hi"]
    assert [[m.text for m in r.messages] for r in longer.responses] == [["same", "a", "b"], ["same", "x", "y"]]


def test_llama_factory_shared_image_list_is_taken_in_tag_order(tmp_path: Path) -> None:
    row = {
        "conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "Which <image>?"}],
        "chosen": {"from": "gpt", "value": "<image>this"},
        "rejected": {"from": "gpt", "value": "<image><image>"},
        "images": ["0.png", "1.png", "2.png", "3.png"],
    }
    path = tmp_path / "x.json"
    path.write_text(json.dumps([row]))
    (record,) = read(path)

    def at(name: str) -> Image:
        return Image.from_path(tmp_path / name)

    assert record.prompt[1].parts == (Text("Which "), at("0.png"), Text("?"))
    assert record.responses[0].messages[0].parts == (at("1.png"), Text("this"))
    assert record.responses[1].messages[0].parts == (at("2.png"), at("3.png"))
    row["images"] = row["images"][:3]
    path.write_text(json.dumps([row]))
    with pytest.raises(RowError, match=r"x\.json: row 1: media_count"):
        list(read(path))


def test_llama_factory_function_calls() -> None:
    call = {"name": "add", "arguments": {"a": 2}}
    row = {
        "conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": json.dumps(call)},
                          {"from": "observation", "value": "4"}],
        "chosen": {"from": "gpt", "value": "4"}, "rejected": {"from": "gpt", "value": "5"},
    }  # fmt: skip
    record = one(row)
    assert record.prompt[1].tool_calls == ({"type": "function", "function": call},)
    assert [message.role for message in record.prompt] == ["user", "assistant", "tool"]


def test_llama_factory_describes_the_file_beside_it_and_keeps_other_entries(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"old": {"file_name": "old.json"}}')
    record = Record.of([Image.from_bytes(png(1)), "?"], ["a", "b"], id="r", feedback=[Preference(1, 0)])
    write([record], tmp_path / "new.json", format="llama-factory")
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert info["old"] == {"file_name": "old.json"}
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected", "images": "images"}
    entry = {"file_name": "new.json", "ranking": True, "formatting": "sharegpt", "columns": columns}
    assert info["new"] == entry
    (row,) = json.loads((tmp_path / "new.json").read_text())
    assert row["chosen"] == {"from": "gpt", "value": "b"}
    assert row["conversations"] == [{"from": "human", "value": "<image>?"}]
    assert (tmp_path / row["images"][0]).read_bytes() == png(1)
    assert len(list(read(tmp_path))) == 1  # dataset_info.json is not data


def test_a_literal_tag_is_refused_rather_than_taken_for_a_picture(tmp_path: Path) -> None:
    record = Record.of("what does <image> mean?", ["a", "b"], feedback=[Preference(0, 1)])
    with pytest.raises(RowError, match="literal_tag"):
        write([record], tmp_path / "x.json", format="llama-factory")
    assert not list(tmp_path.glob("x.json*"))


def test_a_number_is_no_picture() -> None:
    with pytest.raises(RowError, match="bad_media: a number where bytes belong"):
        one({"prompt": "q", "chosen": "a", "rejected": "b", "images": [{"bytes": 10**6}]})


def test_swift_answers_with_their_own_pictures() -> None:
    row = {
        "messages": [{"role": "user", "content": "draw"}, {"role": "assistant", "content": "<image>"}],
        "images": ["good.png"],
        "rejected_messages": [{"role": "user", "content": "draw"}, {"role": "assistant", "content": "<image>"}],
        "rejected_images": ["bad.png"],
    }
    record = one(row)
    assert record.prompt == (Message("user", (Text("draw"),)),)
    parts = [response.messages[0].parts for response in record.responses]
    assert parts == [(Image.from_path("good.png"),), (Image.from_path("bad.png"),)]


def test_swift_prompts_with_different_pictures_are_not_shared() -> None:
    turns = [{"role": "user", "content": "<image>?"}, GOOD]
    record = one({"messages": turns, "images": ["a.png"], "rejected_response": "5", "rejected_images": ["b.png"]})
    assert record.prompt == ()
    assert [len(response.messages) for response in record.responses] == [2, 2]


def test_rewardbench_2_ranks_the_right_ones_first() -> None:
    record = one(dict(ROWS[-3][1]))
    assert record.feedback == (Ranking((0, 1, 1, 1)),)
    assert record.context == {"models": ["a", "b", "c", "d"], "subset": "Math"}


def test_unpaired_and_stepwise_labels() -> None:
    assert one({"prompt": "q", "completion": "a", "label": True}).feedback == (Rating(0, 1.0),)
    record = one({"prompt": "q", "completions": ["one", "two"], "labels": [0.25, None]})
    assert record.feedback == (StepLabels(0, (0.25, None)),)
    assert record.responses == (Response.from_steps(["one", "two"]),)
    with pytest.raises(RowError, match="step_count"):
        one({"prompt": "q", "completions": ["one"], "labels": []})


def test_rankings_and_ratings_become_pairs_in_pair_formats(tmp_path: Path) -> None:
    record = Record.of("q", ["a", "b", "c"], id="r", feedback=[Ranking((1, 0, 1))])
    assert write([record], tmp_path / "x.jsonl", format="trl").rows == 2
    pairs = [(r.id, r.responses[0].text, r.responses[1].text) for r in read(tmp_path / "x.jsonl")]
    assert pairs == [("r:1>0", "b", "a"), ("r:1>2", "b", "c")]
    rated = Record.of("q", ["a", "b"], id="r", feedback=[Rating(0, 1.0), Rating(1, 3.0), Rating(0, 9.0, rater="z")])
    write([rated], tmp_path / "y.jsonl", format="trl")
    (back,) = read(tmp_path / "y.jsonl")
    assert (back.responses[0].text, back.feedback) == ("b", (Preference(0, 1, margin=2.0),))


def test_what_a_format_cannot_hold_is_refused_or_collected(tmp_path: Path) -> None:
    good = Record.of("q", ["a", "b"], id="good", feedback=[Preference(0, 1)])
    silent = Record.of("q", ["a", "b"], id="silent")
    with pytest.raises(RowError, match="record 'silent': row 2: no_preference"):
        write([good, silent], tmp_path / "x.jsonl", format="trl")
    assert list(tmp_path.iterdir()) == []
    written = write([good, silent, good], tmp_path / "x.jsonl", format="trl", on_error="collect")
    assert (written.records, written.rows, [problem.first for problem in written.problems]) == (3, 2, [2])
    collision = Record.of("q", ["a", "b"], feedback=[Preference(0, 1)], margin=3)
    with pytest.raises(RowError, match="column_collision"):
        write([collision], tmp_path / "y.jsonl", format="trl")
    with pytest.raises(FormatError, match="can only be read"):
        write([good], tmp_path / "x.jsonl", format="easy-vqa")
    with pytest.raises(FormatError, match=r"name it \.jsonl"):
        write([good], tmp_path / "x.txt")


def test_easy_vqa_answers_stand_in_an_order_that_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "train" / "images").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "train" / "images" / f"{number}.png").write_bytes(png(number))
    questions = [["what shape is it?", "circle", n % 3] for n in range(600)]
    (tmp_path / "train" / "questions.json").write_text(json.dumps(questions))
    records = list(read(tmp_path))
    assert len(records) == 600
    assert records == list(read(tmp_path / "train"))
    assert all({response.text for response in record.responses} == set(ANSWERS) for record in records)
    places = [[response.text for response in record.responses].index("circle") for record in records]
    counts = [places.count(place) for place in range(13)]
    # chi-square with 12 degrees of freedom: 32.9 is the 0.1 % point
    assert sum((count - 600 / 13) ** 2 / (600 / 13) for count in counts) < 32.9
    for record, place in zip(records, places, strict=True):
        (ranking,) = record.feedback
        assert ranking == Ranking(tuple(int(index != place) for index in range(13)))
        kept = same_type(record)
        assert {response.text for response in kept.responses} == {"circle", "rectangle", "triangle"}
        assert kept.feedback[0] == Ranking(tuple(int(r.text != "circle") for r in kept.responses))


def test_easy_vqa_bad_rows_are_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "questions.json").write_text('[["q", "circle", 0], ["q", "pentagon", 0], ["q"]]')
    records = read(tmp_path, on_error="collect")
    assert len(list(records)) == 1
    assert [(problem.first, problem.code) for problem in records.problems] == [(2, "unknown_answer"), (3, "bad_row")]


def test_missing_media_cannot_be_embedded(tmp_path: Path) -> None:
    record = Record.of([Image.from_path(tmp_path / "no.png")], ["a", "b"], feedback=[Preference(0, 1)])
    with pytest.raises(RowError, match=r"missing_media: .*no\.png cannot be read"):
        write([record], tmp_path / "x.parquet", format="trl")


def test_tensors_cannot_be_written(tmp_path: Path) -> None:
    import torch

    record = Record.of([Image.from_tensor(torch.zeros(3, 2, 2))], ["a", "b"], feedback=[Preference(0, 1)])
    for format in ("native", "trl"):
        with pytest.raises(RowError, match="unsupported_media"):
            write([record], tmp_path / "x.jsonl", format=format)


def test_trl_written_for_datasets_decodes_as_pictures(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    record = Record.of([Image.from_bytes(png(5)), "?"], ["a", "b"], feedback=[Preference(1, 0)])
    write([record], tmp_path / "x.parquet", format="trl")
    loaded = datasets.Dataset.from_parquet(str(tmp_path / "x.parquet"), cache_dir=str(tmp_path / "cache"))
    loaded = loaded.cast_column("images", datasets.List(datasets.Image()))
    assert loaded[0]["images"][0].convert("RGB").tobytes() == PIL.Image.open(io.BytesIO(png(5))).tobytes()
    assert loaded[0]["chosen"][0]["content"][0]["text"] == "b"


@pytest.mark.parametrize("format", ["trl", "ms-swift", "llama-factory", "rewardbench", "native"])
def test_what_is_written_as_json_lines_loads_as_a_data_set_of_one_type(tmp_path: Path, format: str) -> None:
    datasets = pytest.importorskip("datasets")
    prompts: list[Any] = ["q", [Text("a"), Text("b")]]
    if format != "rewardbench":
        prompts.append([Image.from_bytes(png(5)), "?"])
    records = [
        Record.of(prompt, ["a", "b"], id=str(n), feedback=[Preference(0, 1, margin=n or None)], level=n)
        for n, prompt in enumerate(prompts if format in ("trl", "ms-swift", "llama-factory") else prompts[:1])
    ]
    write(records, tmp_path / "x.jsonl", format=format)
    loaded = datasets.Dataset.from_json(str(tmp_path / "x.jsonl"), cache_dir=str(tmp_path / "cache"))
    back = list(from_rows(loaded, format=format, media_root=tmp_path))
    assert [record.prompt[-1].text for record in back] == [record.prompt[-1].text for record in records]
    assert [record.responses for record in back] == [record.responses for record in records]
    assert back[-1].prompt[-1].parts[0] == records[-1].prompt[-1].parts[0]


def test_bad_rows_of_a_format_name_the_missing_column() -> None:
    with pytest.raises(RowError, match=r"rows: row 2: missing_column: no column 'rejected'; trl rows have"):
        list(from_rows([{"prompt": "a", "chosen": "b", "rejected": "c"}, {"prompt": "a", "chosen": "b"}]))
    with pytest.raises(BadRowError, match="unknown type 'shout'"):
        format_named("native").to_record(
            {"prompt": "a", "responses": ["b"], "feedback": [{"type": "shout"}]}, 1, Origin("", Path())
        )


@pytest.mark.parametrize(
    ("prompt", "responses", "said"),
    [
        ("a", "two", "responses is str; give a list"),
        ("a", GOOD, "responses is dict; give a list"),
        ("a", [GOOD], "a response is a string, a list of messages"),
        ("a", [None], "a response is a string, a list of messages"),
        (USER, ["a"], "one message where a list of messages belongs"),
    ],
)
def test_what_is_no_list_is_not_read_by_its_parts(prompt: Any, responses: Any, said: str) -> None:
    with pytest.raises(BadRowError, match=said):
        format_named("native").to_record({"prompt": prompt, "responses": responses}, 1, Origin("", Path()))
