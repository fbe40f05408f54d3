import json
import math

import pyarrow.parquet as pq
import pytest
import torch

from assay import __version__
from assay.media import Image
from assay.records import Record
from assay.records.check import DuplicateIdsError
from assay.rewards import rules
from assay.rewards.base import ContractError, fingerprint, scores_of
from assay.runs.identity import record_digest
from assay.runs.journal import JournalError
from assay.runs.results import ResultError, read_metadata
from assay.runs.score import describe, score_file
from assay.scores import Scores, Status

RECORDS = [Record.of(f"q{i}", ["word " * i, "two words"][: 1 + i % 2], id=f"r{i}") for i in range(7)]
IDS = [f"r{i}/{j}" for i in range(7) for j in range(1 + i % 2)]
LENGTH = rules.length(per_words=1)


def rich(records):
    """Every column there is, and an abstention."""
    rows = sum(len(record.responses) for record in records)
    scores = scores_of(records, torch.arange(rows, dtype=torch.float32) + 0.1)
    scores = scores.replace(
        std=torch.full((rows,), 0.5),
        attributes={"clarity": torch.tensor([math.nan if i % 2 else 1.0 for i in range(rows)])},
        steps=tuple(torch.tensor([0.25, math.nan]) for _ in range(rows)),
        critiques=tuple("lone \ud800 surrogate" for _ in range(rows)),
    )
    return scores.abstain(torch.arange(rows) == 0, Status.REFUSED, "no \ud800")


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", ["scores.parquet", "scores.jsonl"])
def test_a_result_has_a_row_a_response_in_order_and_says_what_made_it(tmp_path, name):
    output = tmp_path / "new" / name
    summary = score_file(LENGTH, RECORDS, output, batch=3)
    rows = read(output)
    assert [row["id"] for row in rows] == IDS
    assert [row["value"] for row in rows] == [v for i in range(7) for v in [float(i), 2.0][: 1 + i % 2]]
    assert {row["status"] for row in rows} == {"ok"}
    assert [(row["record"], row["response"]) for row in rows][1:3] == [("r1", 0), ("r1", 1)]
    metadata = read_metadata(output)
    assert metadata["assay"] == __version__
    assert metadata["job"]["fingerprint"] == fingerprint(LENGTH) == summary.fingerprint
    assert metadata["job"]["recipe"] == "length(per_words=1)"
    assert metadata["summary"]["counts"] == {"ok": 10} == summary.counts
    values = torch.tensor([row["value"] for row in rows], dtype=torch.float64)
    assert summary.mean == pytest.approx(values.mean().item())
    assert summary.std == pytest.approx(values.std().item())
    assert not (output.parent / f"{name}.journal").exists()


def test_every_column_reaches_both_kinds_of_result(tmp_path):
    for name in ("scores.parquet", "scores.jsonl"):
        score_file(rich, RECORDS[:2], tmp_path / name)
    flat = read(tmp_path / "scores.parquet")
    assert flat[0]["value"] is None
    assert flat[0]["status"] == "refused"
    assert flat[0]["message"] == "no \\ud800"
    assert flat[1]["value"] == pytest.approx(1.1)
    assert flat[1]["std"] == 0.5
    assert flat[0]["std"] is None
    assert flat[1]["clarity"] is None
    assert flat[1]["clarity.status"] == "non_finite"
    assert flat[1]["steps"] == [0.25, None]
    assert flat[1]["step_status"] == ["ok", "non_finite"]
    nested = read(tmp_path / "scores.jsonl")
    assert nested[0]["message"] == "no \ud800"
    assert nested[1]["critique"] == "lone \ud800 surrogate"
    assert nested[1]["attributes"] == {"clarity": [None, "non_finite"]}


def test_a_single_bad_record_fails_alone(tmp_path):
    def picky(records):
        if any(record.id == "r3" for record in records):
            raise RuntimeError("cannot judge r3")
        return LENGTH(records)

    summary = score_file(picky, RECORDS, tmp_path / "scores.jsonl", batch=100)
    assert summary.counts == {"ok": 8, "failed": 2}
    assert summary.failures == 2
    failed = [row for row in read(tmp_path / "scores.jsonl") if row["status"] == "failed"]
    assert [row["id"] for row in failed] == ["r3/0", "r3/1"]
    assert failed[0]["value"] is None
    assert failed[0]["message"] == "RuntimeError: cannot judge r3"


def test_a_deliberate_gate_is_no_failure(tmp_path):
    def gated(records):
        scores = LENGTH(records)
        return scores.abstain(scores.values > 3, Status.GATED)

    assert score_file(gated, RECORDS, tmp_path / "scores.jsonl").failures == 0


class Interrupted(BaseException):
    pass


def stopping(after):
    """A reward that is interrupted after so many calls; like every other of its kind to the fingerprint."""

    class Stopping:
        calls = 0
        spec = LENGTH.spec

        def fingerprint(self):
            return "stopping"

        def __repr__(self):
            return "stopping"

        def __call__(self, records):
            self.calls += 1
            if self.calls > after:
                raise Interrupted
            return LENGTH(records)

    return Stopping()


@pytest.mark.parametrize("name", ["scores.parquet", "scores.jsonl"])
def test_an_interrupted_job_goes_on_behind_its_last_batch(tmp_path, name):
    score_file(stopping(99), RECORDS, tmp_path / f"whole.{name}", batch=2)
    output = tmp_path / name
    for finished in range(3):
        with pytest.raises(Interrupted):
            score_file(stopping(1), RECORDS, output, batch=2)
        assert not output.exists()
        assert describe(stopping(0), RECORDS, output)["done_already"] == len(IDS[: [1, 3, 4][finished]])
    rest = stopping(99)
    summary = score_file(rest, RECORDS, output, batch=2)
    assert summary.resumed == 4
    assert output.read_bytes() == (tmp_path / f"whole.{name}").read_bytes()


def test_a_finished_job_is_not_done_again(tmp_path):
    for name in ("scores.parquet", "scores.jsonl"):
        score_file(stopping(99), RECORDS, tmp_path / name)
        again = score_file(stopping(0), RECORDS, tmp_path / name)
        assert again.resumed == again.responses == len(IDS)
        assert again.counts == {"ok": len(IDS)}


def test_a_kill_between_the_result_and_the_end_of_the_journal_costs_nothing(tmp_path, monkeypatch):
    output = tmp_path / "scores.parquet"
    with monkeypatch.context() as patched:
        patched.setattr("assay.runs.journal.Journal.remove", lambda self: (_ for _ in ()).throw(Interrupted))
        with pytest.raises(Interrupted):
            score_file(stopping(99), RECORDS, output)
    whole = output.read_bytes()
    assert score_file(stopping(0), RECORDS, output).resumed == len(IDS)
    assert output.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]


def test_results_and_journals_of_other_jobs_are_refused_until_told_otherwise(tmp_path):
    output = tmp_path / "scores.parquet"
    score_file(LENGTH, RECORDS, output)
    before = output.read_bytes()
    with pytest.raises(JournalError, match="another reward"):
        score_file(rules.length(per_words=2), RECORDS, output)
    with pytest.raises(JournalError, match="other data"):
        score_file(LENGTH, RECORDS[:3], output)
    assert output.read_bytes() == before
    assert score_file(rules.length(per_words=2), RECORDS, output, resume=False).resumed == 0
    assert output.read_bytes() != before
    journaled = tmp_path / "other.jsonl"
    with pytest.raises(Interrupted):
        score_file(stopping(1), RECORDS, journaled, batch=2)
    with pytest.raises(JournalError, match="journal of another reward"):
        score_file(LENGTH, RECORDS, journaled)
    assert score_file(LENGTH, RECORDS, journaled, resume=False).resumed == 0


def test_a_file_that_is_no_result_is_not_replaced(tmp_path):
    mine = tmp_path / "mine.jsonl"
    mine.write_text("precious\n")
    with pytest.raises(JournalError, match="no result of assay"):
        score_file(LENGTH, RECORDS, mine)
    broken = tmp_path / "broken.parquet"
    broken.write_text("precious\n")
    with pytest.raises(ResultError, match="no readable Parquet"):
        score_file(LENGTH, RECORDS, broken)
    assert mine.read_text() == broken.read_text() == "precious\n"
    with pytest.raises(ResultError, match=r"\.parquet or \.jsonl"):
        score_file(LENGTH, RECORDS, tmp_path / "scores.csv")


def test_duplicate_ids_are_refused_before_any_work(tmp_path):
    called = stopping(0)
    with pytest.raises(DuplicateIdsError, match="'r0' at 0 and 2"):
        score_file(called, [*RECORDS[:2], RECORDS[0]], tmp_path / "scores.jsonl")
    assert called.calls == 0
    assert list(tmp_path.iterdir()) == []


def test_records_that_can_be_read_once_only_are_refused(tmp_path):
    with pytest.raises(TypeError, match="twice"):
        score_file(LENGTH, iter(RECORDS), tmp_path / "scores.jsonl")


def test_a_broken_contract_stops_the_job(tmp_path):
    with pytest.raises(ContractError):
        score_file(lambda records: Scores.concatenate([]), RECORDS, tmp_path / "scores.jsonl")


def test_progress_counts_responses(tmp_path):
    seen = []
    score_file(
        LENGTH, RECORDS, tmp_path / "scores.jsonl", batch=4, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(0, 10), (4, 10), (7, 10), (10, 10)]


def test_nothing_to_score_is_a_result_without_rows(tmp_path):
    for name in ("scores.parquet", "scores.jsonl"):
        summary = score_file(LENGTH, [], tmp_path / name)
        assert (summary.responses, summary.mean, summary.std, summary.counts) == (0, None, None, {})
        assert read(tmp_path / name) == []


def test_a_record_is_known_by_what_the_reward_may_see(tmp_path):
    (tmp_path / "a.png").write_bytes(b"12")
    base = Record.of(["look", Image.from_path(tmp_path / "a.png")], ["x"], id="r", answer=1, label=2)
    digest = record_digest(base, ["answer"])
    assert record_digest(base, ["answer"]) == digest
    assert (
        record_digest(Record("r", base.prompt, base.responses, context={"answer": 1, "label": 9}), ["answer"]) == digest
    )
    assert (
        record_digest(Record("r", base.prompt, base.responses, context={"answer": 7, "label": 2}), ["answer"]) != digest
    )
    assert record_digest(Record("s", base.prompt, base.responses, context={"answer": 1}), ["answer"]) != digest
    (tmp_path / "a.png").write_bytes(b"123")
    assert record_digest(base, ["answer"]) != digest
    picture = torch.zeros(3, 2, 2)
    tensor = Record.of([Image.from_tensor(picture)], ["x"], id="r")
    same = Record.of([Image.from_tensor(picture.clone())], ["x"], id="r")
    other = Record.of([Image.from_tensor(picture + 1)], ["x"], id="r")
    assert record_digest(tensor, []) == record_digest(same, []) != record_digest(other, [])
