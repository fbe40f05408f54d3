"""Faults 1 to 9 and 21 on the command line: one run over rows of which some are bad. Each bad row is in the result with
its status, its cause and no value, the others are scored as without it, and the exit code says that not all are."""

from __future__ import annotations

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from test_02_decompression_bomb import bomb
from typer.testing import CliRunner

from assay.cli.main import app
from assay.testing import learned_reward, tiny_llava

ODD = """
import math
from assay.rewards.base import scores_of


def odd(records):
    numbers = {"nan": math.nan, "inf": math.inf}
    return scores_of(records, [numbers.get(r.text, 1.0) for record in records for r in record.responses])
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learned_reward(tiny_llava(), max_length=600).save(tmp_path_factory.mktemp("model") / "rm")


def picture(form: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    PIL.Image.effect_noise(size, 90).convert(mode).save(buffer, format=form)
    return buffer.getvalue()


def shown(path: str, response: str = "a cat", **more: Any) -> dict[str, Any]:
    content = [{"type": "image", "path": path}, "what is it?"]
    return {"prompt": [{"role": "user", "content": content}], "responses": [response], **more}


def score(place: Path, reward: Path | str, rows: list[Any], *options: str) -> tuple[Any, dict[str, dict[str, Any]]]:
    """What the command says, and the rows that it wrote by their records."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (place / "data.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    output = place / "scores.jsonl"
    done = CliRunner().invoke(app, ["score", str(reward), str(place / "data.jsonl"), "-o", str(output), *options])
    written = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    return done, {row["record"]: row for row in written}


def test_1_2_3_pictures_that_cannot_be_used_cost_their_own_rows(model: Path, tmp_path: Path):
    good = picture("JPEG")
    files = {
        "good.jpg": good,
        "cut.jpg": good[: len(good) // 2],
        "bomb.png": bomb(9_000),
        "empty.png": b"",
        "note.png": b"this is a note, not a photograph",
        "one.png": picture(size=(1, 1)),
        "print.jpg": picture("JPEG", mode="CMYK"),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    rows = [shown(name, id=name) for name in (*files, "missing.png")]
    done, found = score(tmp_path, model, rows)
    assert done.exit_code == 1, done.output
    codes = {
        "cut.jpg": "image_truncated",
        "bomb.png": "too_many_pixels",
        "empty.png": "empty_file",
        "note.png": "not_an_image",
        "missing.png": "missing_file",
    }
    for name, code in codes.items():
        assert (found[name]["status"], found[name]["value"]) == ("unreadable_media", None)
        assert code in found[name]["message"]
        assert name in found[name]["message"]
    assert {found[name]["status"] for name in ("good.jpg", "one.png", "print.jpg")} == {"ok"}
    assert score(tmp_path, model, [shown("good.jpg", id="good.jpg")], "--no-resume")[1]["good.jpg"][
        "value"
    ] == pytest.approx(found["good.jpg"]["value"], abs=1e-5)
    assert score(tmp_path, model, rows, "--no-resume", "--max-errors", "5")[0].exit_code == 0


def test_4_a_score_that_is_not_finite_is_in_no_mean(tmp_path: Path):
    (tmp_path / "mine.py").write_text(ODD)
    rows = [{"id": name, "prompt": "?", "responses": [name]} for name in ("nan", "fine", "inf")]
    done, found = score(tmp_path, f"{tmp_path}/mine.py:odd", rows, "--json")
    assert done.exit_code == 1
    facts = json.loads(done.stdout)
    assert (facts["mean"], facts["counts"]) == (1.0, {"ok": 1, "non_finite": 2})
    assert [(row["value"], row["status"]) for row in found.values()] == [
        (None, "non_finite"),
        (1.0, "ok"),
        (None, "non_finite"),
    ]


def test_5_6_what_is_too_long_abstains_and_what_is_empty_is_scored(model: Path, tmp_path: Path):
    rows = [
        {"id": "long", "prompt": "short", "responses": ["and " * 700]},
        {"id": "empty", "prompt": "short", "responses": [""]},
        {"id": "plain", "prompt": "short", "responses": ["yes"]},
    ]
    done, found = score(tmp_path, model, rows)
    assert done.exit_code == 1
    assert {name: row["status"] for name, row in found.items()} == {"long": "too_long", "empty": "ok", "plain": "ok"}
    assert "the limit is 600" in found["long"]["message"]
    assert found["long"]["value"] is None
    assert abs(found["empty"]["value"] - found["plain"]["value"]) > 1e-4


def test_7_duplicate_ids_are_refused_before_a_model_is_asked(tmp_path: Path):
    rows = [{"id": name, "prompt": "?", "responses": ["a"]} for name in ("r7", "other", "r7")]
    (tmp_path / "mine.py").write_text("def never(records):\n    raise SystemExit('it was asked')\n")
    done, found = score(tmp_path, f"{tmp_path}/mine.py:never", rows)
    assert done.exit_code != 0
    assert "'r7' at 0 and 2" in str(done.exception) + done.output
    assert found == {}
    assert not (tmp_path / "scores.jsonl.journal").exists()


def test_8_9_odd_text_comes_back_and_a_damaged_line_is_said_and_skipped_only_when_asked(tmp_path: Path):
    (tmp_path / "mine.py").write_text("from assay.rewards import rules\nletters = rules.length(per_words=1)\n")
    odd = ["a\ud800b \udfff c", "a\0b\0", "\u202eevil\u202c", "👩\u200d👩\u200d👧 x", "wide é 🙂 " * 120_000]
    rows: list[Any] = [{"id": f"{i} {text[:9]}", "prompt": text, "responses": [text]} for i, text in enumerate(odd)]
    reward = f"{tmp_path}/mine.py:letters"
    _, plain = score(tmp_path, reward, rows)
    assert list(plain) == [row["id"] for row in rows]
    assert [row["value"] for row in plain.values()] == [float(len(text.split())) for text in odd]
    damaged = [*rows[:2], '{"id": "half", "prompt": "x', *rows[2:]]
    stopped, found = score(tmp_path, reward, damaged, "--no-resume")
    assert stopped.exit_code != 0
    assert "data.jsonl" in str(stopped.exception) + stopped.output
    done, found = score(tmp_path, reward, damaged, "--no-resume", "--keep-going")
    assert done.exit_code == 1
    assert found == plain


def test_21_a_judge_that_fails_is_no_score(tmp_path: Path):
    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(429)
            self.send_header("Retry-After", "600")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        rows = [{"id": f"r{i}", "prompt": "?", "responses": ["a"]} for i in range(3)]
        done, found = score(tmp_path, f"judge:m@http://127.0.0.1:{server.server_port}/v1", rows)
    finally:
        server.shutdown()
        server.server_close()
    assert done.exit_code == 1, done.output
    assert {(row["value"], row["status"]) for row in found.values()} == {(None, "unavailable")}
    assert all(row["message"] for row in found.values())
