"""Fault 11: kill -9 in the middle of a job. Every id is there exactly once with the same score, and at most one batch
is done again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("kill_scoring.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 is tried on systems with fork")


def kills(tmp_path, count, seed, kind):
    command = [sys.executable, str(DRIVER), str(tmp_path), str(count), str(seed), kind]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(found, count):
    assert len(found["positions"]) == count
    assert found["identical"] == found["jobs"]
    assert found["leftovers"] == []
    assert max(found["rework"]) <= found["batch_records"]
    assert min(found["rework"]) >= 0


def between(found):
    """Kills after the first committed row and before the last."""
    return [after for after, finished, _ in found["positions"] if after and not finished and after < found["total"]]


def test_a_job_that_is_killed_goes_on_with_nothing_lost_or_doubled(tmp_path):
    found = kills(tmp_path, 12, 1, "rule")
    check(found, 12)
    assert len(between(found)) >= 6


def test_the_command_goes_on_after_a_kill(tmp_path):
    data = tmp_path / "data.jsonl"
    rows = [{"prompt": f"q{i}", "chosen": "word " * (i % 9), "rejected": str(i)} for i in range(300)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "slow.py").write_text(
        "import time\nfrom assay.rewards import rules\n\n\ndef words(records):\n    time.sleep(0.01)\n"
        "    return rules.length(per_words=1)(records)\n"
    )

    def command(output):
        arguments = ["score", str(tmp_path / "slow.py:words"), str(data), "-o", str(output), "--batch", "4", "--json"]
        return [sys.executable, "-m", "assay", *arguments]

    output, journal = tmp_path / "scores.jsonl", tmp_path / "scores.jsonl.journal"
    running = subprocess.Popen(command(output), stdout=subprocess.DEVNULL)
    while not journal.exists() or journal.read_bytes().count(b"\n") < 20:
        assert running.poll() is None, "the job ended before it could be killed"
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not output.exists()
    resumed = json.loads(subprocess.run(command(output), capture_output=True, check=True).stdout)
    assert 0 < resumed["resumed"] < resumed["responses"] == 600
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["id"] for row in written] == [f"data.jsonl#{i}/{j}" for i in range(1, 301) for j in (0, 1)]
    assert [row["value"] for row in written[0::2]] == [float(i % 9) for i in range(300)]
    assert not journal.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count", "inside"), [("rule", 180, 136), ("learned", 20, 14)])
def test_two_hundred_kills_lose_and_double_nothing(tmp_path, capsys, kind, count, inside):
    found = kills(tmp_path, count, 11, kind)
    check(found, count)
    rows = between(found)
    with capsys.disabled():
        print(f"\n{count} kills of a {kind} reward, {len(rows)} between the first and the last committed row:")
        for tenth in range(10):
            low, high = found["total"] * tenth // 10, found["total"] * (tenth + 1) // 10
            print(f"  rows {low:>4}-{high:<4} {'#' * sum(low <= row < high for row in rows)}")
        print(f"  most records scored again after one kill: {max(found['rework']):g}")
    assert len(rows) >= inside
