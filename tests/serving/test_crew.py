"""Several processes at one port: one that dies is started again, also where that fails for a while."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

PROGRAM = Path(__file__).with_name("crew.py")
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a process is killed by SIGKILL")


def who(address):
    """The process that answers."""
    return int(httpx.get(address, timeout=10).text)


def both(address):
    """The two processes that answer, once there are two."""
    ends, found = time.monotonic() + 60, set()
    while len(found) < 2:
        assert time.monotonic() < ends, f"only {found} answered"
        found.add(who(address))
    return found


def test_the_others_serve_while_one_cannot_be_started_again(tmp_path):
    command = [sys.executable, str(PROGRAM), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as crew:
        try:
            address = f"http://127.0.0.1:{int(crew.stdout.readline())}/"
            first, second = both(address)
            (tmp_path / "broken").touch()
            os.kill(first, signal.SIGKILL)
            failures, ends = tmp_path / "failures", time.monotonic() + 60
            while not failures.exists():
                assert crew.poll() is None, "the server ended with it"
                assert time.monotonic() < ends
                time.sleep(0.05)
            assert who(address) == second
            (tmp_path / "broken").unlink()
            ends = time.monotonic() + 60
            while second in (found := {who(address) for _ in range(20)}) and len(found) < 2:
                assert time.monotonic() < ends, "it was not started again"
            crew.send_signal(signal.SIGTERM)
            assert crew.wait(30) == 0
        finally:
            crew.kill()


def test_one_that_cannot_be_started_at_first_ends_the_server_and_says_why(tmp_path):
    (tmp_path / "broken").touch()
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "ServeError: a process could not start" in done.stderr
