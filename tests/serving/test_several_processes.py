"""Several processes on one port: one that cannot be started again costs the others nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from apps_of_processes import Made

from assay.serving import processes
from assay.serving.processes import Patience, listener, serve_many


def crew(place: Path, pipe: Any) -> None:
    processes._PAUSE = processes._LONGEST_PAUSE = 0.2
    bound = listener("127.0.0.1", 0)
    port = bound.getsockname()[1]
    serve_many(Made(place), bound, 2, Patience(drain=1.0), lambda served: pipe.send((port, served)))


def answers(port: int, wanted: int, seconds: float = 30.0) -> set[int]:
    """The numbers of so many processes that answer, or of those that do by then."""
    found: set[int] = set()
    ends = time.monotonic() + seconds
    while len(found) < wanted and time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as reply:
                found.add(int(reply.read()))
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return found


def test_a_process_that_cannot_start_again_is_tried_until_it_can_and_the_other_serves_on(tmp_path: Path):
    broken = tmp_path / "broken"
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=crew, args=(broken, theirs))
    server.start()
    try:
        assert ours.poll(60)
        port, served = ours.recv()
        assert set(served) == {"pid"}
        first, second = answers(port, 2)
        broken.touch()
        os.kill(first, signal.SIGKILL)
        time.sleep(1.5)
        assert server.is_alive()
        assert answers(port, 2, seconds=0.5) == {second}
        broken.unlink()
        assert len(answers(port, 2)) == 2
    finally:
        server.terminate()
        server.join(30)
    assert server.exitcode == 0
