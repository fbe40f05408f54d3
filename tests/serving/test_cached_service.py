"""The service and the cache of scores: what was scored before is answered without waiting for the reward."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from served_rewards import Told, make_dying, versioned

from assay.records import Record
from assay.runs.score import score_file
from assay.runs.score_cache import ScoreCache, cached
from assay.scores import Status
from assay.serving.service import Entry, QueueLimits, Service
from assay.spec import Spec


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 60))


def test_known_rows_are_answered_while_the_reward_is_busy_and_its_queue_full(tmp_path: Path):
    async def main() -> None:
        reward = Told(gate=threading.Event())
        reward.gate.set()
        service = Service(
            [Entry("told", lambda: reward)], limits=QueueLimits(tokens=60), cache=ScoreCache(tmp_path / "c.sqlite")
        )
        await service.start()
        known = [Record.of("p", ["one", "two"], id="a")]
        await service.score(None, known)
        reward.gate.clear()
        calls = len(reward.calls)
        busy = asyncio.create_task(service.score(None, [Record.of("busy", ["x"])]))
        while len(reward.calls) == calls:
            await asyncio.sleep(0.002)
        waits = asyncio.create_task(service.score(None, [Record.of("w" * 60, ["x"])]))
        again = await service.score(None, [Record.of("p", ["two", "one"], id="b")])
        assert again.scores.ids == ("b/0", "b/1")
        assert again.scores.values.tolist() == [3.001, 3.001]
        reward.gate.set()
        await asyncio.gather(busy, waits)
        mixed = await service.score(None, [Record.of("p", ["one", "three"])])
        assert mixed.scores.values.tolist() == [3.001, 5.001]
        assert [response.text for response in reward.calls[-1][0].responses] == ["three"]
        text = service.exposition().decode()
        assert "assay_cache_hits_total" in text
        assert next(line for line in text.splitlines() if line.startswith("assay_cache_hits_total{")).endswith(" 3.0")
        await service.drain(5)

    run(main)


def test_server_and_command_share_a_cache_and_versions_do_not(tmp_path: Path):
    path = tmp_path / "c.sqlite"
    records = [Record.of("p", ["abc"], id="1")]
    plain = versioned(1.0)()
    score_file(cached(plain, ScoreCache(path)), records, tmp_path / "out.jsonl")

    async def main() -> None:
        service = Service([Entry("v", versioned(1.0)), Entry("v", versioned(2.0))], cache=ScoreCache(path))
        await service.start()
        first, second = service.served()
        answers = [await service.score(f"v@{each.fingerprint}", records) for each in (first, second, second)]
        assert [answered.scores.values.item() for answered in answers] == [4.0, 5.0, 5.0]
        lines = [
            line for line in service.exposition().decode().splitlines() if line.startswith("assay_cache_hits_total{")
        ]
        assert sorted(line.split()[-1] for line in lines) == ["1.0", "1.0"]
        await service.drain(5)

    run(main)


def test_what_passes_is_not_kept_and_a_cache_that_breaks_is_counted(tmp_path: Path):
    path = tmp_path / "c.sqlite"

    async def main() -> None:
        cache = ScoreCache(path)
        service = Service([Entry("dying", make_dying, isolated=True), Entry("told", Told)], cache=cache)
        await service.start()
        assert (await service.score("dying", [Record.of("p", ["die"])])).scores.status == (Status.UNAVAILABLE,)
        assert (await service.score("dying", [Record.of("p", ["fine"])])).scores.values.tolist() == [4.0]
        mark = service.named("dying").fingerprint
        cache.close()
        path.write_bytes(b"not a database at all" * 100)
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        assert (await service.score("told", [Record.of("p", ["fine"])])).scores.values.tolist() == [4.001]
        assert b"assay_cache_failures_total 2.0" in service.exposition()
        assert mark != service.named("told").fingerprint
        await service.drain(10)

    run(main)


def test_rewards_whose_scores_vary_are_asked_each_time(tmp_path: Path):
    async def main() -> None:
        for spec in (Spec(deterministic=False), Spec(order_invariant=False)):
            reward = Told(spec)
            service = Service([Entry("told", lambda reward=reward: reward)], cache=ScoreCache(tmp_path / "c.sqlite"))
            await service.start()
            for _ in range(2):
                await service.score(None, [Record.of("p", ["abc"])])
            assert len(reward.calls) == 2
            await service.drain(5)

    run(main)
