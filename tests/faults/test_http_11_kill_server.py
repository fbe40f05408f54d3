"""Fault 11 over HTTP: kill -9 of the server under load. Nothing is lost or doubled, and every score is what it was."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("kill_serving.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 is tried on systems with fork")


def kills(tmp_path, count, seed):
    command = [sys.executable, str(DRIVER), str(tmp_path), str(count), str(seed)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(found, count):
    assert found["kills"] == count
    assert found["identical"] == found["jobs"]
    assert max(found["positions"]) <= found["total"]


def test_a_killed_server_costs_no_row(tmp_path):
    found = kills(tmp_path, 10, 3)
    check(found, 10)
    assert sum(0 < place < found["total"] for place in found["positions"]) >= 5


@pytest.mark.slow
def test_two_hundred_killed_servers_cost_no_row(tmp_path, capsys):
    found = kills(tmp_path, 200, 5)
    check(found, 200)
    inside = sum(0 < place < found["total"] for place in found["positions"])
    with capsys.disabled():
        print(
            f"\n200 kills of the server in {found['jobs']} jobs, {inside} between the first and the last row; "
            f"{found['clients_killed']} clients killed as well, {found['clients_that_gave_up']} gave up and resumed"
        )
    assert inside >= 150
    assert found["clients_killed"] >= 10
    assert found["clients_that_gave_up"] >= 10
