"""Fault 9: a damaged row group or line. It is reported with file, group and rows; the rest is read only if asked."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.records import Preference, Record, RowError, read, write


def damaged_parquet(path: Path) -> None:
    """Four groups of 100 rows; bytes in the middle of the second are overwritten."""
    rows = [
        {"prompt": f"question {n} " + "x" * (n % 17), "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(400)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=100, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    middle = column.data_page_offset + column.total_compressed_size // 2
    data[middle : middle + 20] = b"\xff" * 20
    path.write_bytes(data)


def rows_read(records: Iterable[Record]) -> list[int]:
    return [int(record.prompt[0].text.split()[1]) for record in records]


def test_a_damaged_row_group_stops_reading_and_is_named(tmp_path: Path) -> None:
    damaged_parquet(tmp_path / "x.parquet")
    records = iter(read(tmp_path / "x.parquet"))
    assert rows_read(islice(records, 100)) == list(range(100))
    with pytest.raises(RowError, match=r"x\.parquet: rows 101-200 \(row group 1\): corrupt_row_group") as caught:
        next(records)
    assert "on_error='collect'" in caught.value.problem.remedy


def test_the_other_groups_are_read_when_asked_for(tmp_path: Path) -> None:
    damaged_parquet(tmp_path / "x.parquet")
    records = read(tmp_path / "x.parquet", on_error="collect")
    assert rows_read(records) == [*range(100), *range(200, 400)]
    (problem,) = records.problems
    assert (problem.first, problem.last, problem.group) == (101, 200, 1)
    assert records.failed == 100
    assert [record.id for record in records][100] == "x.parquet#201"  # numbers go on behind the damage


def test_a_bad_line_is_named_and_the_others_are_read_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [json.dumps({"prompt": f"question {n}", "chosen": "a", "rejected": "b"}) for n in range(6)]
    lines[2] = lines[2][:-9]
    lines[4] = '{"prompt": "question 4"}'
    path.write_text("\n".join(lines) + "\n" + lines[0][:20])
    with pytest.raises(RowError, match=r"x\.jsonl: row 3: bad_json: not JSON at character \d+"):
        list(read(path))
    records = read(path, on_error="collect")
    assert rows_read(records) == [0, 1, 3, 5]
    assert [(problem.first, problem.code) for problem in records.problems] == [
        (3, "bad_json"),
        (5, "missing_column"),
        (7, "bad_json"),
    ]
    assert "ends within the row" in records.problems[-1].cause
    assert rows_read(records) == [0, 1, 3, 5]
    assert records.failed == 3  # counted anew at each reading


def test_a_cut_off_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    rows = [json.dumps({"prompt": f"question {n}", "chosen": str(n**9), "rejected": "b"}) for n in range(9000)]
    data = gzip.compress("\n".join(rows).encode(), compresslevel=1)
    path.write_bytes(data[: len(data) // 2])
    records = read(path, on_error="collect")
    numbers = rows_read(records)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 1000
    assert records.problems[-1].code == "corrupt_gzip"
    with pytest.raises(RowError, match=r"x\.jsonl\.gz: row \d+: corrupt_gzip"):
        list(read(path))


def test_a_flipped_byte_that_still_decodes_is_caught_by_the_checksums_of_files_written_here(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    record = Record.of("q" * 50_000, ["a" * 50_000, "b"], id="r", feedback=[Preference(0, 1)])
    write([record], path, format="trl")
    assert list(read(path)) == [record]
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    data = bytearray(path.read_bytes())
    caught = 0
    for offset in range(40, column.total_compressed_size - 1, 97):
        damaged = bytearray(data)
        damaged[(column.dictionary_page_offset or column.data_page_offset) + offset] ^= 1
        path.write_bytes(damaged)
        records = read(path, format="trl", on_error="collect")
        assert list(records) == []
        caught += records.failed
    assert caught > 0
