"""Rewards in processes of their own: what dies there is a status of its rows."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from served_rewards import Told, dies_loading, fails_to_load, from_number, make_dying

from assay.media import Image
from assay.records import Record
from assay.scores import Status
from assay.serving.problems import Unavailable
from assay.serving.service import Entry, QueueLimits, Service
from assay.serving.workers import EngineError
from assay.spec import Spec

DYING = Entry("dying", make_dying, isolated=True)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 120))


def one(text: str, prompt: str = "p") -> list[Record]:
    return [Record.of(prompt, [text])]


async def value(service: Service, text: str, name: str = "dying") -> float:
    return (await service.score(name, one(text))).scores.values.item()


def test_a_reward_in_a_process_of_its_own_judges_what_one_here_does(picture):
    threads = set(threading.enumerate())

    async def main() -> None:
        service = Service([DYING, Entry("needing", partial(Told, Spec(needs=("why",))), isolated=True)])
        await service.start()
        assert await value(service, "abc") == 3.0
        child = await value(service, "pid")
        assert child != os.getpid()
        assert child in {each.pid for each in multiprocessing.active_children()}
        seen = Record.of(["look", picture(), Image.from_tensor(torch.rand(3, 8, 8))], ["four"], column={"a": [1]})
        assert (await service.score("dying", [seen])).scores.values.tolist() == [4.0]
        odd = Record.of("q", ["five"], why=threading.Lock())
        answers = await asyncio.gather(*(service.score("needing", [each]) for each in (seen, odd, *one("abc"))))
        assert [answered.scores.status[0] for answered in answers] == [Status.OK, Status.FAILED, Status.OK]
        assert "cannot pickle" in answers[1].scores.messages[0]
        await service.drain(10)
        assert not multiprocessing.active_children()
        assert set(threading.enumerate()) <= threads

    run(main)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("die", "SIGKILL, as when memory runs out"),
        pytest.param("segfault", "SIGSEGV", marks=pytest.mark.slow),
        pytest.param("exit", "code 3", marks=pytest.mark.slow),
        pytest.param("hang", "more than 1 s", marks=pytest.mark.slow),
    ],
)
def test_a_process_that_dies_takes_its_rows_along_no_other_reward_and_comes_back(text: str, how: str):
    async def main() -> None:
        service = Service([DYING, Entry("told", Told)], limits=QueueLimits(hang=1.0))
        await service.start()
        both = asyncio.gather(service.score("dying", one(text)), service.score("told", one("fine")))
        scores, other = [answered.scores for answered in await both]
        assert scores.status == (Status.UNAVAILABLE,)
        assert how in scores.messages[0]
        assert other.status == (Status.OK,)
        assert await value(service, "abcd") == 4.0
        lines = [
            each for each in service.exposition().decode().splitlines() if each.startswith("assay_worker_restarts")
        ]
        assert sorted(each.split()[-1] for each in lines if "total{" in each) == ["0.0", "1.0"]
        await service.drain(10)
        assert not multiprocessing.active_children()

    run(main)


def test_what_was_computed_beside_what_kills_the_process_is_computed_again_by_itself():
    async def main() -> None:
        service = Service([DYING], limits=QueueLimits(wait=0.3))
        await service.start()
        asked = [one("abc"), one("die"), one("abcd"), one("late")]
        limits = [None, None, None, 0.35]
        answers = await asyncio.gather(
            *(service.score("dying", each, seconds=seconds) for each, seconds in zip(asked, limits, strict=True))
        )
        found = [answered.scores for answered in answers]
        assert [each.status[0] for each in found] == [Status.OK, Status.UNAVAILABLE, Status.OK, Status.UNAVAILABLE]
        assert [each.values.item() for each in found if each.status[0] is Status.OK] == [3.0, 4.0]
        assert "SIGKILL" in found[1].messages[0]
        await service.drain(10)

    run(main)


def test_what_was_computed_beside_it_is_given_up_where_the_process_cannot_be_started_again(tmp_path):
    file = tmp_path / "number"
    file.write_text("1")

    async def main() -> None:
        entry = Entry("numbered", partial(from_number, str(file)), isolated=True)
        service = Service([entry], limits=QueueLimits(wait=0.3))
        await service.start()
        file.write_text("2")
        answers = await asyncio.gather(*(service.score("numbered", one(text)) for text in ("abc", "die")))
        assert [answered.scores.status for answered in answers] == [(Status.UNAVAILABLE,)] * 2
        assert "no longer those" in answers[0].scores.messages[0]
        await service.drain(10)

    run(main)


@pytest.mark.slow
def test_a_process_killed_from_outside_while_idle_is_started_again():
    async def main() -> None:
        service = Service([DYING])
        await service.start()
        os.kill(int(await value(service, "pid")), signal.SIGKILL)
        await asyncio.sleep(0.2)
        scores = (await service.score("dying", one("abc"))).scores
        assert scores.status == (Status.UNAVAILABLE,)
        assert "SIGKILL" in scores.messages[0]
        assert await value(service, "abc") == 3.0
        os.kill(int(await value(service, "pid")), signal.SIGTERM)  # what stops a whole service is the parent's to heed
        os.kill(int(await value(service, "pid")), signal.SIGINT)
        assert await value(service, "abc") == 3.0
        await service.drain(10)

    run(main)


def test_a_reward_whose_files_changed_is_not_served_as_the_old_one(tmp_path):
    file = tmp_path / "number"
    file.write_text("1")

    async def main() -> None:
        service = Service([Entry("numbered", partial(from_number, str(file)), isolated=True)])
        await service.start()
        assert await value(service, "abc", "numbered") == 4.0
        file.write_text("2")
        assert (await service.score("numbered", one("die"))).scores.status == (Status.UNAVAILABLE,)
        while True:
            try:
                waited = await service.score("numbered", one("abc"), seconds=0.1)
            except Unavailable:
                break
            assert waited.scores.status == (Status.TIMEOUT,)
        with pytest.raises(Unavailable, match="no longer those") as refused:
            await service.score("numbered", one("abc"))
        assert refused.value.retry_after is not None
        assert not service.named("numbered").ready
        file.write_text("1")
        for _ in range(600):
            if service.named("numbered").ready:
                break
            await asyncio.sleep(0.05)
        assert await value(service, "abc", "numbered") == 4.0
        await service.drain(10)
        assert not multiprocessing.active_children()

    run(main)


@pytest.mark.parametrize(
    ("load", "why"), [(fails_to_load, "no weights here"), pytest.param(dies_loading, "code 7", marks=pytest.mark.slow)]
)
def test_a_process_that_cannot_load_its_reward_stops_the_start(load: Any, why: str):
    async def main() -> None:
        with pytest.raises(EngineError, match=why):
            await Service([Entry("bad", load, isolated=True), Entry("told", Told)]).start()
        assert not multiprocessing.active_children()

    run(main)


def test_a_drain_that_runs_out_of_time_ends_a_process_that_computes_on():
    async def main() -> None:
        service = Service([DYING])
        await service.start()
        hanging = asyncio.create_task(service.score("dying", one("hang")))
        await asyncio.sleep(0.3)
        began = time.monotonic()
        await service.drain(0.2)
        assert time.monotonic() - began < 5
        assert (await hanging).scores.status == (Status.UNAVAILABLE,)
        assert not multiprocessing.active_children()

    run(main)


SERVER = """
import asyncio, sys
sys.path.insert(0, {folder!r})
from served_rewards import make_dying
from assay.records import Record
from assay.serving.service import Entry, Service

async def main():
    service = Service([Entry("dying", make_dying, isolated=True)])
    await service.start()
    pid = (await service.score(None, [Record.of("p", ["pid"])])).scores.values.item()
    print(int(pid), flush=True)
    {then}

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ("await service.score(None, [Record.of('p', ['hang'])])", -9),
        pytest.param("raise SystemExit(0)", 0, marks=pytest.mark.slow),
    ],
    ids=["killed", "without drain"],
)
def test_no_process_outlives_its_parent(tmp_path: Path, then: str, code: int):
    script = tmp_path / "server.py"
    script.write_text(SERVER.format(folder=str(Path(__file__).parent), then=then))
    server = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    child = psutil.Process(int(server.stdout.readline()))
    if code:
        time.sleep(0.3)
        server.kill()
    assert server.wait(30) == code
    child_gone, _ = psutil.wait_procs([child], timeout=10)
    assert child_gone
    server.stdout.close()
