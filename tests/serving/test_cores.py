"""Threads of arithmetic: all cores while answering takes little, one fewer while it takes much."""

from __future__ import annotations

import asyncio
import time

import pytest
from served_rewards import counting_threads

from assay.records import Record
from assay.serving import cores as cores_module
from assay.serving.cores import Cores
from assay.serving.service import Entry, Service


def burn(seconds: float) -> None:
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


class Clock:
    """Seconds that pass, and seconds of a core that the calling thread takes of them."""

    def __init__(self) -> None:
        self.now = self.used = 0.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.used

    def passes(self, seconds: float, share: float = 0.0) -> None:
        self.now += seconds
        self.used += share * seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(cores_module, "time", made)
    return made


def test_a_core_is_left_from_a_twentieth_on_and_taken_back_below_half_of_that(clock: Clock):
    cores = Cores(4)
    found: list[int] = []
    for share in (0.0, 0.04, 0.06, 0.04, 0.03, 0.02, 0.04):
        clock.passes(1.0, share)
        found.append(cores.threads())
    assert found == [4, 4, 3, 3, 3, 4, 4]


def test_it_does_not_look_again_within_a_quarter_of_a_second(clock: Clock):
    cores = Cores(4)
    clock.passes(0.2, 1.0)
    assert cores.threads() == 4
    clock.passes(0.1)
    assert cores.threads() == 3


def test_a_machine_of_one_core_computes_with_it(clock: Clock):
    cores = Cores(1)
    clock.passes(1.0, 1.0)
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
