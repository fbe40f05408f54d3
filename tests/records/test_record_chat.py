"""OpenAI-style dictionaries, frames and data sets."""

from __future__ import annotations

import base64
from typing import Any

import PIL.Image
import pytest
from record_strategies import png

from assay.media import Audio, Image, Text, Video
from assay.records import BadRowError, FormatError, Message, Preference, Record, RowError
from assay.records.chat import from_chat, to_chat
from assay.records.tables import from_rows, to_rows

ROW = {"prompt": "q", "chosen": "a", "rejected": "b"}
URI = "data:image/png;base64," + base64.b64encode(png(7)).decode()


def test_a_record_from_chat_dictionaries() -> None:
    record = Record.chat(
        [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": URI}}, {"type": "text", "text": "?"}],
            },
        ],
        [
            "one",
            [{"type": "text", "text": "two"}],
            {"role": "assistant", "content": "three"},
            [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
             {"role": "tool", "content": "4", "tool_call_id": "1", "name": "add"}],
        ],
        feedback=[Preference(0, 1)],
        topic="maths",
    )  # fmt: skip
    assert record.prompt[1].parts == (Image.from_bytes(png(7)), Text("?"))
    assert [response.text for response in record.responses] == ["one", "two", "three", "4"]
    assert record.responses[3].messages == (
        Message("assistant", (), tool_calls=({"id": "1"},)),
        Message("tool", (Text("4"),), name="add", tool_call_id="1"),
    )
    assert record.context == {"topic": "maths"}
    assert len(record.id) == 16
    assert Record.chat("q", ["a"]) == Record.of("q", ["a"])


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "image", "image": png(1)}, Image.from_bytes(png(1))),
        ({"type": "image", "path": "a.png"}, Image.from_path("root/a.png")),
        ({"type": "image_url", "image_url": URI}, Image.from_bytes(png(7))),
        ({"type": "input_image", "image_url": {"url": URI}}, Image.from_bytes(png(7))),
        ({"type": "image", "bytes": png(2)}, Image.from_bytes(png(2))),
        ({"type": "video", "video": ["0.png", "1.png"]},
         Video(frames=(Image.from_path("root/0.png"), Image.from_path("root/1.png")))),
        ({"type": "video_url", "video_url": {"url": "file:///a%20b.mp4"}}, Video.from_path("/a b.mp4")),
        ({"type": "input_audio", "input_audio": {"data": "AAEC", "format": "wav"}}, Audio.from_bytes(b"\0\1\2")),
        ({"type": "audio", "audio": "x.wav"}, Audio.from_path("root/x.wav")),
        ({"image": "a.png"}, Image.from_path("root/a.png")),
    ],
)  # fmt: skip
def test_typed_parts(part: dict[str, Any], expected: Any) -> None:
    record = Record.chat([{"role": "user", "content": [part]}], ["a"], root="root")
    found = record.prompt[0].parts[0]
    if isinstance(expected, Image | Video | Audio) and expected.path is not None:
        assert (type(found), getattr(found, "path", None)) == (type(expected), expected.path)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"content": "x"}, "without a role"),
        ({"role": "user", "content": 3}, "content is int"),
        ({"role": "user", "content": [{"type": "smell"}]}, "unknown type 'smell'"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y"}}]}, "download it"),
        ({"role": "user", "content": [{"type": "image"}]}, "placeholder"),
        ({"role": "user", "content": [7]}, "type int"),
    ],
)
def test_messages_that_are_none(message: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRowError, match=words):
        Record.chat([{"role": "user", "content": "first"}, message], ["a"])


def test_to_chat_leaves_placeholders_and_hands_media_over() -> None:
    picture = Image.from_bytes(png(1))
    messages = (Message("user", (Text("a"), picture)), Message("assistant", (Text("b"),)))
    given: list[Any] = []
    rows = to_chat(messages, given.append)
    assert rows[0]["content"] == [{"type": "text", "text": "a"}, {"type": "image"}]
    assert rows[1] == {"role": "assistant", "content": "b"}
    assert from_chat(rows, take=lambda _: given.pop()) == messages
    with pytest.raises(BadRowError, match="cannot hold images"):
        to_chat(messages)


def test_rows_frames_and_data_sets_give_equal_records() -> None:
    pandas = pytest.importorskip("pandas")
    datasets = pytest.importorskip("datasets")
    rows = [{**ROW, "prompt": str(n), "tags": ["x", "y"], "level": n} for n in range(3)]
    expected = list(from_rows(rows))
    assert [record.id for record in expected] == ["rows#1", "rows#2", "rows#3"]
    assert expected[1].context == {"tags": ["x", "y"], "level": 1}
    assert list(from_rows(pandas.DataFrame(rows))) == expected
    assert list(from_rows(datasets.Dataset.from_list(rows))) == expected
    assert list(from_rows(datasets.Dataset.from_list(rows).to_iterable_dataset())) == expected
    assert list(from_rows(iter(rows))) == expected
    assert list(from_rows((row for row in rows), format="trl", limit=2)) == expected[:2]


def test_missing_cells_are_absent_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([{**ROW, "margin": 1.0, "note": "x"}, ROW])
    first, second = from_rows(frame)
    assert (first.feedback[0], first.context) == (Preference(0, 1, margin=1.0), {"note": "x"})
    assert (second.feedback[0], second.context) == (Preference(0, 1), {})


def test_pictures_of_a_data_set_stay_encoded() -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{**ROW, "images": [{"bytes": png(6), "path": None}]}]
    features = datasets.Features(
        {name: datasets.Value("string") for name in ROW} | {"images": datasets.List(datasets.Image())}
    )
    data = datasets.Dataset.from_list(rows, features=features)
    assert isinstance(data[0]["images"][0], PIL.Image.Image)
    (record,) = from_rows(data)
    image = record.prompt[0].parts[0]
    assert isinstance(image, Image)
    assert image.data == png(6)


def test_rows_out_and_in_again() -> None:
    datasets = pytest.importorskip("datasets")
    record = Record.of([Image.from_bytes(png(3)), "q"], ["a", "b"], id="r", feedback=[Preference(1, 0)])
    data = datasets.Dataset.from_list(list(to_rows([record], format="trl")))
    (back,) = from_rows(data)
    assert back.responses == record.responses[::-1]
    assert back.prompt == record.prompt
    assert list(from_rows(list(to_rows([record])))) == [record]
    with pytest.raises(RowError, match="record 'x': row 2: no_preference"):
        list(to_rows([record, Record.of("q", ["a"], id="x")], format="trl"))
    with pytest.raises(FormatError, match="only be read"):
        to_rows([record], format="easy-vqa")


def test_what_is_no_table() -> None:
    for wrong in ({"prompt": ["a"]}, 3):
        with pytest.raises(FormatError, match="no table of rows"):
            from_rows(wrong)
    with pytest.raises(FormatError, match="no rows"):
        from_rows([])


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": "the sky is blue", "rejected": "the sky is green"},
        {"chosen": "same", "rejected": "same"},
        {"chosen": "ab", "rejected": "abcd"},
        {"chosen": "x", "rejected": "y"},
        {
            "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
            "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}],
        },
        {
            "prompt": "q",
            "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
            "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}],
        },
    ],
)
def test_implicit_prompts_are_cut_where_trl_cuts_them(row: dict[str, Any]) -> None:
    trl = pytest.importorskip("trl.data_utils")
    split = trl.maybe_extract_prompt(dict(row))
    (ours,) = from_rows([row], format="trl")
    (theirs,) = from_rows([split], format="trl")
    assert (ours.prompt, ours.responses) == (theirs.prompt, theirs.responses)


def test_what_we_write_trl_takes() -> None:
    trl = pytest.importorskip("trl.data_utils")
    text = Record.of("q", ["a", "b"], id="t", feedback=[Preference(0, 1)])
    (row,) = to_rows([text], format="trl")
    assert trl.is_conversational(row)
    assert trl.maybe_extract_prompt(dict(row)) == row
    shown = Record.of([Image.from_bytes(png(2)), "q"], ["a", "b"], id="i", feedback=[Preference(0, 1)])
    (row,) = to_rows([shown], format="trl")
    filled = trl.prepare_multimodal_messages(row["prompt"] + row["chosen"], images=row["images"])
    assert filled[0]["content"] == [
        {"type": "image", "image": {"bytes": png(2), "path": None}},
        {"type": "text", "text": "q"},
    ]
