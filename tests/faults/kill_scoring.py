"""Kills a scoring job at random instants, over and over, and says what each kill left behind.

Run as a program: `kill_scoring.py WORKDIR KILLS SEED rule|learned`. It prints one JSON object. Every job runs in a
process of its own (forked, so that 200 of them need not import torch 200 times) and dies by SIGKILL. This process
itself scores nothing to a file, as threads that a library started would be missing in the forks.
"""

import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401 - loaded before forking, used after

from assay.records import Record
from assay.rewards import rules
from assay.rewards.base import score
from assay.runs.score import score_file

RECORDS = [Record.of(f"question {i}", [f"{'word ' * (i % 7)}{i}", f"{i}"], id=f"r{i}") for i in range(400)]
PER_BATCH = 8


@dataclass(frozen=True)
class Logged:
    """A reward that notes which records it was asked for, each call in one line of a file."""

    reward: Any
    log: str

    @property
    def spec(self):
        return self.reward.spec

    def fingerprint(self):
        from assay.rewards.base import fingerprint

        return fingerprint(self.reward)

    def __repr__(self):
        return repr(self.reward)

    def __call__(self, records):
        scores = score(self.reward, records)
        line = f"{os.getpid()} {','.join(record.id for record in records)}\n"
        with Path(self.log).open("ab", buffering=0) as file:
            file.write(line.encode())
        return scores


def reward_of(kind):
    if kind == "rule":
        return rules.length(per_words=3)
    from assay.testing import learned_reward

    return learned_reward()


def committed(journal):
    """Whole rows in a journal, as any reader would find them."""
    if not journal.exists():
        return None
    whole = journal.read_bytes().rpartition(b"\n")[0].splitlines()
    return sum(len(json.loads(line).get("rows", ())) for line in whole)


def run_child(reward, output):
    child = os.fork()
    if child:
        return child
    failed = 1
    try:
        score_file(reward, RECORDS, output, batch=PER_BATCH)
        failed = 0
    finally:
        os._exit(failed)


def finish(reward, output):
    """Score to the end, and fail if that fails."""
    if os.waitstatus_to_exitcode(os.waitpid(run_child(reward, output), 0)[1]) != 0:
        raise SystemExit(f"{output}: the job failed")


def killed_after(child, journal, target, delay):
    """SIGKILL `delay` seconds after the journal has grown by `target` bytes; False when the job ended first."""
    there = journal.exists()
    start = journal.stat().st_size if there else 0
    while not os.waitpid(child, os.WNOHANG)[0]:
        there = there or journal.exists()
        try:
            if there and journal.stat().st_size - start >= target:
                break
        except FileNotFoundError:
            break
    else:
        return False
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main(workdir, kills, seed, kind):
    chance = random.Random(seed)
    work = Path(workdir)
    reward = reward_of(kind)
    whole = work / "whole.parquet"
    finish(Logged(reward, str(work / "whole.log")), whole)
    total = 2 * len(RECORDS)
    positions, identical, rework, jobs = [], 0, [], 0
    while len(positions) < kills:
        jobs += 1
        output = work / f"job{jobs}.parquet"
        journal = work / f"job{jobs}.parquet.journal"
        logged = Logged(reward, str(work / f"job{jobs}.log"))
        for _ in range(chance.randint(5, 25)):
            if len(positions) == kills:
                break
            before = committed(journal) or 0
            child = run_child(logged, output)
            if not killed_after(child, journal, chance.randint(0, 9000), chance.expovariate(1 / 0.001)):
                break
            after = total if output.exists() else committed(journal)
            positions.append([after, output.exists(), journal.exists()])
            rework.append(asked_by(work / f"job{jobs}.log", child) - ((after or 0) - before) / 2)
        finish(logged, output)
        identical += output.read_bytes() == whole.read_bytes() and not journal.exists()
        lost = {record.id for record in RECORDS} - set(asked(work / f"job{jobs}.log"))
        if lost:
            raise SystemExit(f"{output}: never scored: {sorted(lost)}")
    leftovers = [path.name for path in work.iterdir() if path.name.endswith(".journal")]
    result = {"positions": positions, "identical": identical, "jobs": jobs, "rework": rework, "total": total}
    print(json.dumps(result | {"leftovers": leftovers, "batch_records": PER_BATCH // 2}))


def asked(log):
    return (
        [name for line in log.read_text().splitlines() for name in line.split()[1].split(",")] if log.exists() else []
    )


def asked_by(log, child):
    if not log.exists():
        return 0
    lines = (line.split() for line in log.read_text().splitlines())
    return sum(len(line[1].split(",")) for line in lines if line[0] == str(child))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
