"""`assay convert`, as typed at a shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from assay.media import Image
from assay.records import Preference, Ranking, Record, Response, StepLabels, read, write

PAIR = [Preference(0, 1)]


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def data(tmp_path: Path) -> Path:
    records = [Record.of(f"q{n}", ["yes", "no"], id=f"r{n}", feedback=PAIR, topic="x") for n in range(10)]
    write(records, tmp_path / "data.jsonl")
    return tmp_path / "data.jsonl"


def test_converts_and_says_what_it_did(data: Path, tmp_path: Path) -> None:
    code, out, _ = run(data, tmp_path / "out.parquet", "--to", "trl")
    assert (code, out) == (0, f"10 records of native written as 10 rows of trl to {tmp_path / 'out.parquet'}\n")
    assert list(read(tmp_path / "out.parquet")) == list(read(data))
    _, out, _ = run(data, tmp_path / "one.parquet", "--to", "trl", "--limit", "1")
    assert out.startswith("1 record of native written as 1 row of trl to ")
    code, out, _ = run(data, tmp_path / "out.json", "--to", "llama-factory", "--limit", "3", "--json")
    facts = json.loads(out)
    assert (facts["records"], facts["rows"], facts["bad_rows"], facts["from"]) == (3, 3, 0, "native")
    assert (tmp_path / "dataset_info.json").exists()


def test_a_dry_run_of_sound_data_finds_nothing_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    code, out, _ = run(data, tmp_path / "out.jsonl", "--to", "ms-swift", "--dry-run")
    assert code == 0
    assert "10 records, 20 responses" in out
    assert "nothing wrong found; nothing written" in out
    assert [file.name for file in tmp_path.iterdir()] == ["data.jsonl"]


def test_a_dry_run_reports_every_fault(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "prompt": "q", "chosen": "x", "rejected": "y", "image": "gone.png"},
        {"id": "b", "prompt": [{"role": "user", "content": [{"type": "image"}]}], "chosen": "x", "rejected": "y"},
        {"id": "c", "prompt": "q", "chosen": "same", "rejected": "same"},
        {"id": "a", "prompt": "q", "chosen": "x", "rejected": ""},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n{broken\n")
    code, out, _ = run(path, "--dry-run", "--json")
    facts = json.loads(out)
    assert code == 1
    assert facts["counts"] == {"missing_media": 1, "equal_answers": 1, "duplicate_id": 1, "empty_response": 1}
    assert facts["bad_rows_by_code"] == {"media_count": 1, "bad_json": 1}
    duplicate = next(found for found in facts["findings"] if found["code"] == "duplicate_id")
    assert (duplicate["position"], duplicate["message"]) == (2, "also at position 0")
    assert facts["first_is_best"] == 1.0
    code, out, _ = run(path, "--dry-run", "--max-errors", "6")
    assert code == 0
    assert "rows.jsonl: row 5: bad_json" in out
    assert f"{tmp_path / 'gone.png'}: No such file or directory" in out


def test_a_dry_run_says_what_the_new_format_would_not_carry(tmp_path: Path) -> None:
    steps = Response.from_steps(["a", "b"])
    records = [
        Record.of("q", [steps, "no", "maybe"], id="1", feedback=[Preference(0, 1, 0.7), StepLabels(0, (1.0, 0.0))]),
        Record.of("q", ["a", "b"], id="2", feedback=[Ranking((0, 1))]),
        Record.of("q", ["a", "b"], id="3"),
        Record.of([Image.from_path("x.png")], ["a", "b"], id="4", feedback=PAIR),
    ]  # fmt: skip
    write(records, tmp_path / "data.jsonl")
    code, out, _ = run(tmp_path / "data.jsonl", "--dry-run", "--to", "hh-rlhf", "--json")
    facts = json.loads(out)
    assert code == 1
    assert facts["cannot_be_written"] == {"no_preference": 1, "unsupported_message": 1}
    assert facts["not_carried"] == {"responses": 1, "steps": 1, "feedback": 1}
    _, out, _ = run(tmp_path / "data.jsonl", "--dry-run", "--to", "native", "--json")
    assert json.loads(out)["not_carried"] == {}


def test_stops_at_the_first_bad_row_unless_told_to_go_on(data: Path, tmp_path: Path) -> None:
    from assay.records import RowError

    with data.open("a") as file:
        file.write("{oops\n")
        file.write(json.dumps({"id": "none", "prompt": "q", "responses": ["a", "b"]}) + "\n")
    out = tmp_path / "out.jsonl"
    with pytest.raises(RowError, match=r"data\.jsonl: row 11: bad_json"):
        run(data, out, "--to", "trl")
    assert not out.exists()
    code, text, errors = run(data, out, "--to", "trl", "--keep-going")
    assert code == 1
    assert "2 rows left out" in text
    assert "row 11: bad_json" in errors
    assert "no_preference" in errors
    assert len(list(read(out))) == 10
    code, _, _ = run(data, out, "--to", "trl", "--keep-going", "--max-errors", "2")
    assert code == 0


def test_options_of_reading(tmp_path: Path) -> None:
    for split in ("train", "test"):
        row = {"prompt": split, "chosen": "a", "rejected": "b", "image": "p.png"}
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row))
    out = tmp_path / "out" / "x.jsonl"
    run(tmp_path, out, "--split", "test", "--from", "trl", "--media-root", "/pictures")
    (record,) = read(out)
    picture, text = record.prompt[0].parts
    assert isinstance(picture, Image)
    assert (str(picture.path), record.prompt[0].text) == ("/pictures/p.png", "test")
    assert text is not None


def test_misuse_is_named(data: Path, tmp_path: Path) -> None:
    from assay.cli.inputs import UsageError
    from assay.records import FormatError

    with pytest.raises(UsageError, match="say where to write"):
        run(data)
    with pytest.raises(UsageError, match="is the data itself"):
        run(data, data)
    with pytest.raises(FormatError, match=r"no format is called 'x'; there are .*trl"):
        run(data, tmp_path / "o.jsonl", "--to", "x")
    with pytest.raises(FormatError, match="can only be read"):
        run(data, "--dry-run", "--to", "easy-vqa")
