"""Reward programs by reference and on disk: run in the sandbox alone, refused when altered or when nothing confines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from assay.media import Image
from assay.models.checkpoint import CheckpointError
from assay.records import Preference, Record, write
from assay.rewards.base import fingerprint, score, spec_of
from assay.rewards.load import load
from assay.rewards.program import Limits, Program, as_bytes, as_path, program
from assay.rewards.program_files import ProgramReferenceError, program_from
from assay.rewards.sandbox import report
from assay.scores import Status

SOURCE = """
import os
escaped = open("BESIDE", "w") if os.environ.get("HOME") else None  # what an import in this process would do


def reward(view):
    if view["response"] == "loop":
        while True:
            pass
    right = view["context"]["answer"] in view["response"].split()
    return {"value": float(right), "words": len(view["response"].split())}


def size(view):
    return len(view["response"])
"""
RECORDS = [
    Record.of("6 * 7?", ["It is 42", "It is 54 or so"], answer="42", id="a", feedback=[Preference(0, 1)]),
    Record.of("1 + 1?", ["3", "2"], answer="2", id="b", feedback=[Preference(1, 0)]),
]

confines = pytest.mark.skipif(
    "nothing would protect this machine" in report().reason, reason="this machine's kernel cannot confine programs"
)
pytestmark = confines


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE.replace("BESIDE", str(tmp_path / "escaped")))
    return path


def test_a_reference_is_the_program_it_says(file: Path) -> None:
    found = load(f"program:{file}:reward?needs=answer&attributes=words&seconds=0.5&low=0&high=1")
    assert isinstance(found, Program)
    scores = score(found, RECORDS)
    assert scores.values.tolist() == [1, 0, 0, 1]
    assert scores.attributes["words"].tolist() == [3, 5, 1, 1]
    assert not (file.parent / "escaped").exists()
    made = program(
        file.read_text(), needs=["answer"], attributes=["words"], limits=Limits(seconds=0.5), low=0.0, high=1.0
    )
    assert found == made
    assert fingerprint(found) == fingerprint(made)
    assert spec_of(found).needs == ("answer",)
    (late,) = score(found, [Record.of("q", ["loop"], answer="x")]).status
    assert late is Status.TIMEOUT
    assert score(load(f"program:{file}:size"), RECORDS).values.tolist() == [8, 14, 1, 1]
    rich = program_from(f"program:{file}?media=bytes&better=lower&memory=100000000&imports={file.parent}")
    assert (rich.name, rich.media, rich.better) == ("reward", as_bytes, "lower")
    assert (rich.limits.memory, rich.imports) == (10**8, (str(file.parent),))


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("program:FILE:reward?colour=red", "no option 'colour'; there are needs"),
        ("program:FILE:reward?seconds=long", "option seconds=long of a program"),
        ("program:FILE:reward?seconds=-1", "a number above 0"),
        ("program:FILE:reward?media=smell", "give bytes or path"),
        ("program:FILE:reward?attributes=value", "cannot name a program or an attribute"),
        ("program:gone.py:reward", r"gone\.py cannot be read"),
        ("program:notes.txt", "does not read program:FILE.py:name"),
    ],
)
def test_what_is_wrong_with_a_reference_is_said(file: Path, reference: str, told: str) -> None:
    with pytest.raises(ProgramReferenceError, match=told):
        load(reference.replace("FILE", str(file)))


def test_a_saved_program_is_the_same_and_loads_as_a_reward(file: Path, tmp_path: Path) -> None:
    made = program(file.read_text(), "size", media=as_path, limits=Limits(seconds=2), better="lower", low=0.0)
    place = made.save(tmp_path / "saved")
    assert Program.load(place) == made
    loaded = load(place)
    assert fingerprint(loaded) == fingerprint(made)
    assert score(loaded, RECORDS).values.tolist() == [8, 14, 1, 1]
    assert made.save(place) == place, "a saved program may be written again"
    assert "size" in (place / "README.md").read_text()
    assert not (tmp_path / "escaped").exists()


def altered_source(place: Path) -> None:
    (place / "program.py").write_text((place / "program.py").read_text() + "\n# innocent\n")


def altered_limits(place: Path) -> None:
    held = json.loads((place / "program.json").read_text())
    held["limits"]["seconds"] = 10_000
    (place / "program.json").write_text(json.dumps(held))


def no_source(place: Path) -> None:
    (place / "program.py").unlink()


def rubbish(place: Path) -> None:
    (place / "program.json").write_text("[1")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (altered_source, "program.py was altered"),
        (altered_limits, "program.json was altered"),
        (no_source, "not a saved program"),
        (rubbish, "not a saved program"),
    ],
)
def test_a_saved_program_that_no_longer_fits_itself_is_refused(
    file: Path, tmp_path: Path, spoil: Any, told: str
) -> None:
    place = program(file.read_text()).save(tmp_path / "saved")
    spoil(place)
    for reading in (Program.load, load):
        with pytest.raises(CheckpointError, match=told):
            reading(place)


def test_paths_are_lent_by_who_loads_and_not_by_the_program(file: Path, tmp_path: Path) -> None:
    (tmp_path / "lent").mkdir()
    (tmp_path / "lent" / "number.txt").write_text("7")
    source = f"def reward(view):\n    return int(open({str(tmp_path / 'lent' / 'number.txt')!r}).read())\n"
    place = program(source, readable=[tmp_path / "lent"]).save(tmp_path / "saved")
    assert str(tmp_path) not in (place / "program.json").read_text()
    with pytest.raises(CheckpointError, match="lent 1 paths as readable"):
        load(place)
    lent = Program.load(place, readable=[tmp_path / "lent"])
    assert score(lent, RECORDS[:1]).values.tolist() == [7, 7]


def test_what_has_no_written_form_or_would_overwrite_is_refused(file: Path, tmp_path: Path) -> None:
    def shown(medium: Any) -> bytes:
        return medium.read() if isinstance(medium, Image) else b""

    with pytest.raises(ValueError, match="no written form"):
        program(SOURCE, media=shown).save(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    with pytest.raises(FileExistsError, match="no saved program"):
        program(SOURCE).save(tmp_path)


def test_where_nothing_confines_programs_they_are_refused_with_the_reason(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = program(SOURCE).save(tmp_path / "saved")
    monkeypatch.setattr("sys.platform", "darwin")
    for reference in (f"program:{file}:reward", str(place)):
        with pytest.raises(ProgramReferenceError, match="is not run on this machine: programs run on Linux only"):
            load(reference)


def test_a_program_is_scored_and_audited_from_the_command_line(file: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    write(RECORDS, data)
    reference = f"program:{file}:reward?needs=answer&attributes=words&seconds=2"
    done = CliRunner().invoke(app, ["score", reference, str(data), "-o", str(tmp_path / "scores.jsonl"), "--json"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [row["value"] for row in rows] == [1, 0, 0, 1]
    place = program_from(reference).save(tmp_path / "saved")
    card = tmp_path / "card.html"
    given = ["audit", str(place), str(data), "-o", str(card), "--probes", "none", "--no-fail", "--json"]
    audited = CliRunner().invoke(app, given)
    assert audited.exit_code == 0, audited.output
    assert json.loads(audited.stdout)["accuracy"]["value"] == 1.0
    assert card.is_file()
    assert not (tmp_path / "escaped").exists()
