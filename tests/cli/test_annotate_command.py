"""`assay annotate`: judges in files and behind an address, from the command line."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from assay.cli.inputs import UsageError
from assay.cli.main import app
from assay.records import Preference, Rating, read
from assay.rewards.base import score, spec_of
from assay.rewards.judges.written_out import JudgeReferenceError
from assay.rewards.load import load

JUDGES = """
from pathlib import Path
import torch
from assay.rewards import rules
from assay.rewards.base import scores_of
from assay.scores import Status

longer = rules.length(per_characters=1)

def moody(records):
    '''Long answers first; refuses records that stand in the file beside it, and counts its calls.'''
    here = Path('PLACE')
    mute = (here / "mute").read_text().split()
    with (here / "asked").open("a") as file:
        file.write("".join(record.id + " " for record in records))
    quiet = [record.id in mute for record in records for _ in record.responses]
    values = [torch.nan if q else float(len(r.text)) for q, r in zip(quiet, (r for x in records for r in x.responses))]
    status = [Status.TIMEOUT if q else Status.OK for q in quiet]
    calls = {"calls": torch.ones(len(quiet))}
    return scores_of(records, values, status, ["late" if q else "" for q in quiet], attributes=calls)
"""
ROWS = [{"id": f"r{i}", "prompt": f"p{i}", "responses": ["a" * (i + 1), "b", "cc"]} for i in range(5)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "judges.py").write_text(JUDGES.replace("PLACE", str(tmp_path)))
    (tmp_path / "mute").write_text("")
    return tmp_path


def annotate(place: Path, *options: object) -> Result:
    arguments = ["annotate", place / "data.jsonl", "-o", place / "out.jsonl", *options]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_ratings_and_preferences_are_written_and_exported(place: Path) -> None:
    by = f"m={place}/judges.py:moody"
    done = annotate(place, "--by", by, "--export", place / "pairs.jsonl", "--batch", 2, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["ratings"] == 15
    assert facts["preferences"] == facts["export_rows"] == 3 * 5 - 2
    assert facts["cost"]["calls"] == 15
    rows = list(read(place / "out.jsonl"))
    assert [row.id for row in rows] == [row["id"] for row in ROWS]
    assert {item.rater for row in rows for item in row.feedback if isinstance(item, Rating | Preference)} == {"m"}
    assert set(json.loads((place / "pairs.jsonl").read_text().splitlines()[0])) >= {"chosen", "rejected"}


def test_two_judges_agree_or_not(place: Path) -> None:
    options = ["--by", f"one={place}/judges.py:moody", "--by", f"two={place}/judges.py:longer", "--json"]
    facts = json.loads(annotate(place, *options).stdout)
    assert facts["agreement"]["alpha"] == 1.0
    again = annotate(place, *options[:2], "--by", f"{place}/judges.py:moody", "--by", f"{place}/judges.py:moody")
    assert isinstance(again.exception, UsageError)


def test_failures_are_counted_said_and_asked_again(place: Path) -> None:
    by = f"m={place}/judges.py:moody"
    (place / "mute").write_text("r1 r3")
    done = annotate(place, "--by", by)
    assert done.exit_code == 1
    assert "not judged: 6 timeout" in done.stdout
    told = next(row for row in read(place / "out.jsonl") if row.id == "r3").context["annotation"]["m"]
    assert told["messages"]["0"] == "late"
    (place / "asked").unlink()
    (place / "mute").write_text("r3")
    assert annotate(place, "--by", by).exit_code == 1
    assert not (place / "asked").exists(), "a finished run asks nobody"
    assert annotate(place, "--by", by, "--retry").exit_code == 1
    assert (place / "asked").read_text().split() == ["r1", "r3"]
    (place / "mute").write_text("")
    last = annotate(place, "--by", by, "--retry", "--json")
    assert last.exit_code == 0, last.output
    assert (place / "asked").read_text().split() == ["r1", "r3", "r3"]
    assert [row.id for row in read(place / "out.jsonl")] == [row["id"] for row in ROWS]
    assert sorted(path.name for path in place.glob("out*")) == ["out.jsonl", "out.jsonl.meta.json"]


def test_a_run_that_was_killed_goes_on_behind_its_last_batch(place: Path) -> None:
    by = f"m={place}/judges.py:moody"
    (place / "mute").unlink()
    (place / "mute").mkdir()
    assert annotate(place, "--by", by, "--batch", 2).exit_code == 1
    (place / "out.jsonl").unlink()
    (place / "out.jsonl.meta.json").unlink()
    (place / "mute").rmdir()
    (place / "mute").write_text("")

    from assay.curation import annotate as module

    whole, calls = module.annotated, 0

    def dies(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return whole(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "annotated", dies)
        assert annotate(place, "--by", by, "--batch", 2).exit_code == 130
    assert (place / "asked").read_text().split() == ["r0", "r1", "r2", "r3"]
    assert annotate(place, "--by", by, "--batch", 2).exit_code == 0
    assert (place / "asked").read_text().split() == ["r0", "r1", "r2", "r3", "r4"]


def test_a_dry_run_asks_nobody(place: Path) -> None:
    done = annotate(place, "--by", "judge:none@http://127.0.0.1:9/v1", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "5 records, 15 responses, by none" in done.stdout
    assert not (place / "out.jsonl").exists()


class Server(BaseHTTPRequestHandler):
    """Grades by the letters of the quoted response, as a chat completion with log-probabilities."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = asked["messages"][-1]["content"]
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        said = text.split("The response\n<<")[1].split("\n", 1)[1] if "The response\n<<" in text else ""
        grade = str(min(5, len(said.split("\n", maxsplit=1)[0])) or 1)
        if "Verdict " in text:
            reply: dict[str, Any] = {
                "message": {"role": "assistant", "content": f"Verdict {text.rsplit('Verdict ', 1)[1][:4]}: {grade}"}
            }
        else:
            top = [{"token": grade, "logprob": math.log(0.9), "bytes": list(grade.encode())}]
            steps = {
                "content": [
                    {"token": grade, "logprob": math.log(0.9), "bytes": list(grade.encode()), "top_logprobs": top}
                ]
            }
            reply = {"message": {"role": "assistant", "content": grade}, "logprobs": steps}
        body = {
            "choices": [{"index": 0, "finish_reason": "stop", **reply}],
            "usage": {"prompt_tokens": 50, "completion_tokens": 1},
        }
        sent = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("by", ["", "&by=votes", "&by=votes&k=3"])
def test_a_judge_behind_an_address(place: Path, address: str, by: str) -> None:
    done = annotate(place, "--by", f"judge:tiny@{address}?seed=1{by}", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["cost"]["read"] >= 50
    rows = list(read(place / "out.jsonl"))
    assert [item.value for item in rows[3].feedback if isinstance(item, Rating)] == [4, 1, 2]
    assert {item.rater for row in rows for item in row.feedback if isinstance(item, Rating)} == {"tiny"}


def test_every_call_can_be_replayed_without_its_endpoint(place: Path, address: str) -> None:
    records = list(read(place / "data.jsonl"))
    reference = f"judge:tiny@{address}?by=odds&replay={place}/replies"
    first = score(load(reference), records)
    second = score(load(reference), records)
    assert first.values.tolist() == second.values.tolist()
    assert float(second.attributes["calls"].sum()) == 0 < float(first.attributes["calls"].sum())


def test_an_endpoint_that_is_not_there_loses_no_row_and_scores_none(place: Path) -> None:
    done = annotate(place, "--by", "judge:none@http://127.0.0.1:9/v1?by=odds", "--limit", "1", "--json")
    assert done.exit_code == 1
    facts = json.loads(done.stdout)
    assert (facts["judged"], facts["failed"], facts["ratings"]) == (0, {"unavailable": 3}, 0)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("judge:", "does not read judge:MODEL@URL"),
        ("judge:x@http://127.0.0.1:9/v1?zeal=1", "no option 'zeal'"),
        ("judge:x@http://127.0.0.1:9/v1?k=many", "is no number"),
        ("judge:x@http://127.0.0.1:9/v1?ask=nothing", "can be asked pointwise"),
        ("judge:x@http://127.0.0.1:9/v1?by=ear", "by odds or by votes"),
    ],
)
def test_references_that_name_no_judge(reference: str, said: str) -> None:
    with pytest.raises(JudgeReferenceError, match=said):
        load(reference)


@pytest.mark.parametrize("ask", ["pointwise", "correctness", "rubric", "answers", "pictures", "pairwise", "listwise"])
def test_whatever_can_be_asked_makes_a_reward(ask: str) -> None:
    judge = load(f"judge:x@http://127.0.0.1:9/v1?by=odds&ask={ask}&column=gold")
    assert spec_of(judge).modalities >= {"text", "image"}
    assert spec_of(judge).needs == (("gold",) if ask in ("correctness", "rubric") else ())


def test_a_second_annotation_keeps_the_first_and_one_by_the_same_name_is_refused(place: Path) -> None:
    assert annotate(place, "--by", f"one={place}/judges.py:moody").exit_code == 0
    second = ["annotate", str(place / "out.jsonl"), "-o", str(place / "both.jsonl"), "--json"]
    done = CliRunner().invoke(app, [*second, "--by", f"two={place}/judges.py:moody"])
    assert done.exit_code == 0, done.output
    assert [list(row.context["annotation"]) for row in read(place / "both.jsonl")] == [["one", "two"]] * 5
    facts = json.loads(done.stdout)
    assert (facts["judged"], facts["cost"]["calls"]) == (15, 15)
    asked = (place / "asked").read_text()
    again = CliRunner().invoke(app, [*second[:3], str(place / "again.jsonl"), "--by", f"one={place}/judges.py:moody"])
    assert "record r0 is annotated by 'one' already" in str(again.exception)
    assert (place / "asked").read_text() == asked
