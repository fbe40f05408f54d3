"""Public data as they were published. They lie in ASSAY_DATA, or in ../shared/data beside the repository."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from assay.media import Image
from assay.records import FormatError, Problem, Ranking, read, write
from assay.records.check import check
from assay.records.formats.tara import without_tools
from assay.records.sources import rows_of

DATA = Path(os.environ.get("ASSAY_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def needed(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"no {DATA / name}; set ASSAY_DATA to the folder of public data")
    return DATA / name


def rows(path: Path) -> list[dict[str, Any]]:
    return [item[1] for item in rows_of(path) if not isinstance(item, Problem)]


def test_hh_rlhf(tmp_path: Path) -> None:
    records = read(needed("text-pairs-hh-harmless-test"))
    assert records.format == "hh-rlhf"
    pairs = list(records)
    assert len(pairs) == 2312
    assert {record.prompt[-1].role for record in pairs} == {"user"}
    assert {response.messages[0].role for record in pairs for response in record.responses} == {"assistant"}
    report = check(pairs)
    assert report.counts == {"empty_response": 4}
    assert report.first_is_best == 1.0
    write(pairs, tmp_path / "hh.jsonl.gz", format="hh-rlhf")
    assert list(read(tmp_path / "hh.jsonl.gz")) == pairs
    originals = rows(DATA / "text-pairs-hh-harmless-test/harmless-base/test.jsonl.gz")
    rewritten = rows(tmp_path / "hh.jsonl.gz")
    same = sum(
        old["chosen"].split() == new["chosen"].split() and old["rejected"].split() == new["rejected"].split()
        for old, new in zip(originals, rewritten, strict=True)
    )
    assert same == 2312  # nothing but white space differs from what was published


def test_easy_vqa_packed() -> None:
    records = read(needed("mm-easyvqa"))
    assert records.format == "easy-vqa"
    right = Counter[int]()
    for record in records:
        (ranking,) = record.feedback
        assert isinstance(ranking, Ranking)
        place = ranking.ranks.index(0)
        assert record.responses[place].text == record.context["answer"]
        right[place] += 1
    total = right.total()
    assert total == 38575
    expected = total / 13
    # the order is drawn per question: chi-square with 12 degrees of freedom, 0.1 % point
    assert sum((count - expected) ** 2 / expected for count in right.values()) < 32.9


def test_easy_vqa_package_and_sample_of_the_official_layout() -> None:
    pytest.importorskip("easy_vqa")
    test = list(read("easy-vqa:test"))
    assert len(test) == 9673
    assert list(read("easy-vqa", split="test", limit=5)) == test[:5]
    train = list(read("easy-vqa:train", limit=3))
    packed = list(read(needed("mm-easyvqa"), limit=3))
    assert train == packed  # one by path, one by bytes: equal by content
    picture = test[0].prompt[0].parts[0]
    assert isinstance(picture, Image)
    assert picture.pil().size == (64, 64)


def test_tara(tmp_path: Path) -> None:
    records = read(needed("text-pairs-tara/pairs.jsonl.gz"))
    assert records.format == "tara"
    pairs = list(records)
    assert Counter(record.context["split"] for record in pairs) == {"train": 3088, "test": 1613}
    assert check(pairs).ok
    called = Counter(
        call["function"]["name"]
        for record in pairs
        for response in record.responses
        for message in response.messages
        for call in message.tool_calls
    )
    assert called["calculator"] > 1000
    assert called["Calendar.week_day"] > 100
    answers = [without_tools(record) for record in pairs]
    assert all(len(response.messages) == 1 for record in answers for response in record.responses)
    for name, format in (("a.jsonl", "native"), ("b.parquet", "native")):
        write(pairs[::4], tmp_path / name, format=format)
        assert list(read(tmp_path / name)) == pairs[::4]
    write(answers[::4], tmp_path / "c.jsonl", format="trl")
    again = list(read(tmp_path / "c.jsonl"))
    assert [record.responses for record in again] == [record.responses for record in answers[::4]]


def test_a_file_whose_beginning_was_overwritten_by_nuls_is_refused() -> None:
    with pytest.raises(FormatError, match=r"no row can be read; first problem: .*row 1: bad_json"):
        read(needed("bench-results-ixc25reward/reward_bench_results.json.gz"))


def test_parquet_with_embedded_pictures() -> None:
    pictures = rows(needed("mm-easyvqa/train/images.parquet"))
    assert len(pictures) == 4000
    assert all(row["image"]["bytes"].startswith(b"\x89PNG") for row in pictures)
