"""Threads of arithmetic: all cores while answering takes little, one fewer while it takes much."""

from __future__ import annotations

import asyncio
import time

import pytest
from served_rewards import counting_threads

from assay.records import Record
from assay.serving.cores import Cores
from assay.serving.service import Entry, Service


def burn(seconds: float) -> None:
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


def test_a_core_is_left_while_the_calling_thread_takes_one_and_taken_back_after():
    cores = Cores(4)
    time.sleep(0.26)
    assert cores.threads() == 4
    burn(0.3)
    assert cores.threads() == 3
    assert cores.threads() == 3  # too soon to look again
    time.sleep(0.3)
    assert cores.threads() == 4


def test_a_machine_of_one_core_computes_with_it():
    cores = Cores(1)
    burn(0.3)
    assert cores.threads() == 1
    with pytest.raises(ValueError, match="arithmetic needs a core, got 0"):
        Cores(0)


@pytest.mark.parametrize("isolated", [False, True])
def test_a_service_gives_arithmetic_the_threads_that_are_left(isolated: bool):
    async def main() -> None:
        service = Service([Entry("threads", counting_threads, isolated)], cores=Cores(3))
        await service.start()
        found: list[float] = []
        for wait in (0.3, 0.0):
            if wait:
                await asyncio.sleep(wait)
            else:
                burn(0.4)
            answered = await service.score(None, [Record.of("How many?", [f"after {wait}"])])
            found += answered.scores.values.tolist()
        await service.drain(5)
        assert found == [3.0, 2.0]

    asyncio.run(asyncio.wait_for(main(), 60))
