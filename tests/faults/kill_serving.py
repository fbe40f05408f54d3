"""Kills a server at random instants while a client scores a file by it, and says what came of it.

Run as a program: `kill_serving.py WORKDIR KILLS SEED`. It prints one JSON object. Each server is a real one (uvicorn,
the whole application), forked from this process, which has loaded everything, so that two hundred of them need not; all
listen at the same port. The client is `score_file` with what `assay score http://...` opens, in a process of its own,
some of which are killed as well, and started again.
"""

import json
import os
import random
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastapi  # noqa: F401 - loaded before forking, used after
import httpx  # noqa: F401
import pyarrow.parquet  # noqa: F401
import uvicorn

from assay.models.endpoints.patience import Patience
from assay.records import Record
from assay.rewards import rules
from assay.rewards.base import score
from assay.runs.score import score_file
from assay.serving.app import create_app
from assay.serving.body import timely
from assay.serving.client import RemoteReward, ServerLostError, from_reference
from assay.serving.service import Entry, Service

RECORDS = [Record.of(f"question {i}", [f"{'word ' * (i % 7)}{i}", f"{i}"], id=f"r{i}") for i in range(300)]
PATIENT = Patience(attempts=60, first=0.02, longest=0.2, lost=60)
HASTY = Patience(attempts=2, first=0.01, longest=0.02)


@dataclass(frozen=True)
class Slow:
    """A reward that takes two milliseconds a record."""

    reward: Any

    @property
    def spec(self):
        return self.reward.spec

    def __call__(self, records):
        time.sleep(0.002 * len(records))
        return score(self.reward, records)


REWARD = Slow(rules.length(per_words=3))


def forked(work):
    """A process that does ``work``; its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = work() or 0
    finally:
        os._exit(code)


def serve(port):
    """A server at ``port``, for as long as it lives."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    app = create_app(Service([Entry("slow", lambda: REWARD)]))
    uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", http=timely(5.0))).run(sockets=[bound])


def client(port, output, patience):
    """What `assay score http://...` does; 3 when it gave the server up."""
    remote: RemoteReward = from_reference(f"http://127.0.0.1:{port}/slow", insist=True, batch=6, patience=PATIENT)
    try:
        score_file(
            RemoteReward(remote.url, remote.reward, insist=True, batch=6, patience=patience), RECORDS, output, batch=12
        )
    except ServerLostError:
        return 3
    return 0


def ended(child):
    """The exit code of a child that has ended; None of one that has not."""
    found, status = os.waitpid(child, os.WNOHANG)
    return None if not found else os.waitstatus_to_exitcode(status)


def kill(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def rows(journal):
    if not journal.exists():
        return 0
    whole = journal.read_bytes().rpartition(b"\n")[0].splitlines()
    return sum(len(json.loads(line).get("rows", ())) for line in whole)


def main(workdir, kills, seed):
    chance = random.Random(seed)
    work = Path(workdir)
    whole = work / "whole.jsonl"
    score_file(REWARD, RECORDS, whole)
    expected = whole.read_text()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    killed = lost = clients = jobs = identical = 0
    positions = []
    while killed < kills:
        jobs += 1
        output = work / f"job{jobs}.jsonl"
        journal = work / f"job{jobs}.jsonl.journal"
        server = forked(lambda: serve(port))
        scoring = None
        while not output.exists():
            if scoring is None:
                patience = HASTY if chance.random() < 0.3 else PATIENT
                scoring = forked(lambda patience=patience, output=output: client(port, output, patience))
            before, ends = rows(journal), time.monotonic() + 60
            target = before + chance.randint(0, 120)
            while killed < kills and rows(journal) < target and not output.exists():
                if (code := ended(scoring)) is not None:
                    scoring = None
                    if code == 3:
                        lost += 1
                    elif code:
                        raise SystemExit(f"the client ended with {code}")
                    break
                if time.monotonic() > ends:
                    raise SystemExit("nothing moves")
                time.sleep(0.001)
            if scoring is None or output.exists():
                continue
            if killed < kills:
                time.sleep(chance.expovariate(1 / 0.004))
                kill(server)
                killed += 1
                positions.append(rows(journal))
                if chance.random() < 0.15:
                    kill(scoring)
                    scoring, clients = None, clients + 1
                server = forked(lambda: serve(port))
            elif (code := ended(scoring)) is not None:
                scoring, lost = None, lost + (code == 3)
            else:
                time.sleep(0.005)
        if scoring is not None:
            os.waitpid(scoring, 0)
        kill(server)
        identical += output.read_text() == expected and not journal.exists()
    facts = {"kills": killed, "clients_killed": clients, "clients_that_gave_up": lost, "jobs": jobs}
    print(json.dumps(facts | {"identical": identical, "positions": positions, "total": 2 * len(RECORDS)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
