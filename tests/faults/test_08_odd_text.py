"""Fault 8: lone surrogates, NUL, right-to-left marks, joined emoji, a line of a megabyte.

Text comes back byte-exact, or the row is a typed error; the other rows are not touched.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.records import Preference, Record, RowError, read, write

ODD = {
    "lone high surrogate": "a\ud800b",
    "lone low surrogate": "\udfff",
    "looks like an undecoded byte": "x\udc80y",
    "swapped surrogates": "\udc00\ud800",
    "nul": "a\0b\0",
    "right to left": "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd",
    "joined emoji": "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "carriage returns": "a\rb\r\nc\n",
    "byte order mark": "\ufeffa\ufeff",
    "not a character": "\uffff\U0010ffff",
    "combining": "e\u0301" * 50,
    "controls": "".join(map(chr, range(32))) + "\x7f",
    "a megabyte": "wide é 🙂 " * 120_000,
    "json in text": '{"a": "\\ud800"}',
}


def records() -> list[Record]:
    made = [
        Record.of(text, [text, text + "."], id=name, feedback=[Preference(0, 1)], note=text)
        for name, text in ODD.items()
    ]
    return [
        *made,
        *(Record.of("q", ["a", "b"], id=f"id {text[:9]}", feedback=[Preference(1, 0)]) for text in ODD.values()),
    ]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.jsonl.gz", "x.parquet"])
def test_native_files_give_the_text_back_exactly(tmp_path: Path, name: str) -> None:
    write(records(), tmp_path / name)
    assert list(read(tmp_path / name)) == records()


@pytest.mark.parametrize("format", ["trl", "rewardbench", "hh-rlhf", "llama-factory", "ms-swift"])
def test_outside_text_formats_too(tmp_path: Path, format: str) -> None:
    ordered = [record for record in records() if record.feedback == (Preference(0, 1),)]
    write(ordered, tmp_path / "x.jsonl", format=format)
    assert list(read(tmp_path / "x.jsonl", format=format)) == ordered


def test_a_table_of_strings_refuses_what_it_cannot_hold_row_by_row(tmp_path: Path) -> None:
    with pytest.raises(RowError, match=r"lone high surrogate.*column_types.*surrogates not allowed"):
        write(records(), tmp_path / "x.parquet", format="trl")
    written = write(records(), tmp_path / "x.parquet", format="trl", on_error="collect")
    refused = {problem.file for problem in written.problems}
    surrogates = [name for name, text in ODD.items() if any(0xD800 <= ord(c) <= 0xDFFF for c in text)]
    assert {f"record {name!r}" for name in surrogates} <= refused
    kept = {record.id: record for record in read(tmp_path / "x.parquet")}
    expected = {record.id: record for record in records() if f"record {record.id!r}" not in refused}
    assert len(expected) == 2 * (len(ODD) - len(surrogates))
    assert {name: record.prompt for name, record in kept.items()} == {n: r.prompt for n, r in expected.items()}


def test_rows_of_bytes_that_are_no_text_are_one_error_each(tmp_path: Path) -> None:
    good = json.dumps({"prompt": "é 🙂", "chosen": "a", "rejected": "b"}, ensure_ascii=False).encode()
    latin = '{"prompt": "é", "chosen": "a", "rejected": "b"}'.encode("latin-1")
    surrogate = b'{"prompt": "\xed\xa0\x80", "chosen": "a", "rejected": "b"}'
    (tmp_path / "x.jsonl").write_bytes(b"\n".join([good, latin, good, surrogate, good]))
    records = read(tmp_path / "x.jsonl", on_error="collect")
    assert [record.prompt[0].text for record in records] == ["é 🙂"] * 3
    assert [(problem.first, problem.code) for problem in records.problems] == [(2, "not_utf8"), (4, "not_utf8")]
    with pytest.raises(RowError, match=r"x\.jsonl: row 2: not_utf8"):
        list(read(tmp_path / "x.jsonl"))


def test_parquet_strings_that_are_no_text_are_one_error_each(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = [b"good", b"\xff\xfe", "é".encode()]
    broken = pa.StringArray.from_buffers(3, *pa.array(values, pa.binary()).buffers()[1:])
    columns = {"prompt": broken, "chosen": ["a"] * 3, "rejected": ["b"] * 3}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    records = read(tmp_path / "x.parquet", on_error="collect")
    assert [record.prompt[0].text for record in records] == ["good", "é"]
    assert [(problem.first, problem.code, problem.group) for problem in records.problems] == [(2, "not_utf8", 0)]
