"""The service: batches, turns, deadlines, cancellation, overload, drain."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from served_rewards import Told, Versioned, fails_to_load, versioned

from assay.records import Record
from assay.rewards.base import Reward, scores_of
from assay.rewards.base import score as score_offline
from assay.scores import Scores, Status
from assay.serving.problems import Draining, Overloaded, TooLarge, Unavailable, UnknownReward, Unprocessable
from assay.serving.queue import Batch, Queue
from assay.serving.service import Entry, QueueLimits, Service
from assay.spec import Spec


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 60))


def entry(reward: Reward, name: str = "told") -> Entry:
    return Entry(name, lambda: reward)


async def started(*entries: Entry, **options: Any) -> Service:
    service = Service(entries, **options)
    await service.start()
    return service


def asks(prompts: Sequence[str], responses: int = 1) -> list[Record]:
    return [Record.of(p, [f"{p} answer {i}" for i in range(responses)], id=f"r{n}") for n, p in enumerate(prompts)]


async def held(service: Service, reward: Told) -> asyncio.Task[Any]:
    """A request that the reward is busy with until its gate opens."""
    first = asyncio.create_task(service.score(None, [Record.of("busy", ["busy"])]))
    while not reward.calls:
        await asyncio.sleep(0.002)
    return first


def test_answers_are_those_of_the_reward_in_order_and_name_the_version():
    async def main() -> None:
        reward = Told()
        service = await started(entry(reward))
        records = asks(["a", "bb"], 3)
        answered = await service.score("told", records)
        offline = score_offline(reward, records)
        assert answered.scores.values.tolist() == offline.values.tolist()
        assert answered.scores.ids == offline.ids
        assert answered.scores.group.tolist() == offline.group.tolist()
        assert answered.served == service.named(None)
        assert (answered.served.name, answered.served.current, answered.served.ready) == ("told", True, True)
        assert len((await service.score(None, [])).scores) == 0
        await service.drain(5)

    run(main)


def test_requests_of_one_prompt_become_one_record_and_equal_responses_one_response():
    async def main() -> None:
        reward = Told(gate=threading.Event())
        service = await started(entry(reward))
        first = await held(service, reward)
        asked = [Record.of("the prompt", [text], id="0") for text in ("x", "yy", "yy", "zzz")]
        others = [Record.of("another prompt", ["x"], id="0")]
        tasks = [asyncio.create_task(service.score(None, [record])) for record in asked + others]
        await asyncio.sleep(0.02)
        reward.gate.set()
        values = [(await task).scores.values.item() for task in tasks]
        await first
        assert values == [1.01, 2.01, 2.01, 3.01, 1.014]
        assert len(reward.calls) == 2
        shared, alone = sorted(reward.calls[1], key=lambda record: -len(record.responses))
        assert [response.text for response in shared.responses] == ["x", "yy", "zzz"]
        assert [response.text for response in alone.responses] == ["x"]
        assert len({shared.id, alone.id}) == 2
        assert b'assay_grouped_rows_total{reward="told"' in service.exposition()
        await service.drain(5)

    run(main)


def test_a_needed_column_is_part_of_what_makes_prompts_equal():
    async def main() -> None:
        reward = Told(Spec(needs=("answer",)), gate=threading.Event())
        service = await started(entry(reward))
        first = await held(service, reward)
        asked = [Record.of("p", ["x"], answer=answer, other=other) for answer, other in ((1, 1), (1, 2), (2, 1))]
        tasks = [asyncio.create_task(service.score(None, [record])) for record in asked]
        await asyncio.sleep(0.02)
        reward.gate.set()
        await asyncio.gather(first, *tasks)
        assert sorted((r.context["answer"], len(r.responses)) for r in reward.calls[1]) == [(1, 1), (2, 1)]
        assert all("other" not in record.context for record in reward.calls[1])
        await service.drain(5)

    run(main)


@pytest.mark.parametrize(
    ("spec", "sizes"),
    [
        (Spec(scale="within_group"), [[1], [2, 2]]),
        (Spec(order_invariant=False), [[1], [2], [2]]),
        (Spec(deterministic=False), [[1], [4]]),
    ],
    ids=["within_group", "order", "random"],
)
def test_rewards_that_forbid_it_are_never_grouped(spec: Spec, sizes: list[list[int]]):
    async def main() -> None:
        reward = Told(spec, gate=threading.Event())
        service = await started(entry(reward))
        first = await held(service, reward)
        tasks = [asyncio.create_task(service.score(None, [Record.of("p", ["x", "x"])])) for _ in range(2)]
        await asyncio.sleep(0.02)
        reward.gate.set()
        await asyncio.gather(first, *tasks)
        assert [[len(record.responses) for record in call] for call in reward.calls] == sizes
        await service.drain(5)

    run(main)


def test_a_row_that_raises_takes_its_own_record_with_it_and_no_other():
    async def main() -> None:
        reward = Told(gate=threading.Event())
        service = await started(entry(reward))
        first = await held(service, reward)
        texts = (["good", "raise"], ["fine"], ["better"])
        tasks = [asyncio.create_task(service.score(None, [Record.of("p", each)])) for each in texts]
        await asyncio.sleep(0.02)
        reward.gate.set()
        answers = [(await task).scores for task in tasks]
        await first
        assert answers[0].status == (Status.FAILED, Status.FAILED)
        assert answers[0].messages[0] == "RuntimeError: it was asked to raise"
        assert [each.values.tolist() for each in answers[1:]] == [[4.001], [6.001]]
        await service.drain(5)

    run(main)


def test_a_reward_that_breaks_its_contract_gives_failed_rows():
    async def main() -> None:
        service = await started(entry(lambda records: scores_of(records[:0], [])))
        scores = (await service.score(None, asks(["a"], 2))).scores
        assert scores.status == (Status.FAILED,) * 2
        assert "one row a response" in scores.messages[0]
        await service.drain(5)

    run(main)


def test_a_giant_request_does_not_hold_up_a_small_one():
    async def main() -> None:
        reward = Told(seconds=0.005)
        service = await started(entry(reward), limits=QueueLimits(batch_tokens=200, tokens=10**6))
        giant = asyncio.create_task(service.score(None, asks([f"prompt {i}" for i in range(600)])))
        same = asyncio.create_task(service.score(None, asks(["one prompt"], 600)))
        await asyncio.sleep(0.03)
        began = time.monotonic()
        await service.score(None, asks(["small"]))
        small = time.monotonic() - began
        before = len(reward.calls)
        assert not giant.done()
        assert not same.done()
        answers = await asyncio.gather(giant, same)
        assert len(reward.calls) > before + 10
        assert small < 0.5 * (time.monotonic() - began)
        offline = score_offline(Told(), asks([f"prompt {i}" for i in range(600)]))
        assert answers[0].scores.values.tolist() == offline.values.tolist()
        await service.drain(5)

    run(main)


def test_the_loop_turns_while_a_giant_request_is_taken_in():
    async def main() -> None:
        service = await started(entry(Told()), limits=QueueLimits(tokens=10**7))
        giant = asyncio.create_task(service.score(None, asks([f"prompt {i}" for i in range(8000)])))
        turns = 0
        while not service._lanes[0].queue.tokens:  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0)
            turns += 1
        assert turns > 20
        assert len((await giant).scores) == 8000
        await service.drain(5)

    run(main)


def test_batches_are_bounded_by_tokens_not_requests():
    async def main() -> None:
        reward = Told(gate=threading.Event())
        service = await started(entry(reward), limits=QueueLimits(batch_tokens=300))
        first = await held(service, reward)
        long = [Record.of("x" * 270 + str(i), ["y"]) for i in range(4)]  # 90 tokens and more each
        tasks = [asyncio.create_task(service.score(None, [record])) for record in long]
        await asyncio.sleep(0.02)
        reward.gate.set()
        await asyncio.gather(first, *tasks)
        assert [len(call) for call in reward.calls] == [1, 2, 2]
        await service.drain(5)

    run(main)


def test_rows_not_begun_by_the_deadline_time_out_at_the_deadline_and_are_not_computed():
    async def main() -> None:
        reward = Told(gate=threading.Event())
        service = await started(entry(reward))
        first = await held(service, reward)
        began = time.monotonic()
        scores = (await service.score(None, asks(["late"], 2), seconds=0.05)).scores
        assert 0.04 < time.monotonic() - began < 2
        assert scores.status == (Status.TIMEOUT,) * 2
        assert scores.messages[0] == "not begun within 0.05 s"
        reward.gate.set()
        assert (await first).scores.status == (Status.OK,)
        await service.score(None, asks(["after"]))
        assert all(record.prompt[0].text != "late" for call in reward.calls for record in call)
        with pytest.raises(Unprocessable, match="positive"):
            await service.score(None, asks(["a"]), seconds=0.0)
        await service.drain(5)

    run(main)


def test_cancelled_requests_leave_the_queue():
    async def main() -> None:
        reward = Told(gate=threading.Event())
        service = await started(entry(reward))
        first = await held(service, reward)
        gone = [asyncio.create_task(service.score(None, asks([f"gone {i}"], 3))) for i in range(5)]
        stays = asyncio.create_task(service.score(None, asks(["stays"])))
        await asyncio.sleep(0.02)
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
        assert all(task.cancelled() for task in gone)
        reward.gate.set()
        await asyncio.gather(first, stays)
        assert [record.prompt[0].text for call in reward.calls[1:] for record in call] == ["stays"]
        assert b'assay_requests_total{outcome="cancelled",reward="told"} 5.0' in service.exposition()
        await service.drain(5)

    run(main)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back():
    async def main() -> None:
        reward = Told(gate=threading.Event())
        service = await started(entry(reward), limits=QueueLimits(tokens=200))
        first = await held(service, reward)
        fits = asyncio.create_task(service.score(None, asks(["x" * 150])))
        await asyncio.sleep(0.02)
        began = time.monotonic()
        with pytest.raises(Overloaded, match="tokens wait") as refused:
            await service.score(None, asks(["y" * 150]))
        assert time.monotonic() - began < 0.05
        assert refused.value.http == 429
        assert refused.value.retry_after is not None
        assert refused.value.retry_after > 0
        with pytest.raises(TooLarge, match="send it in parts"):
            await service.score(None, asks(["z" * 400]))
        reward.gate.set()
        await asyncio.gather(first, fits)
        await service.score(None, asks(["y" * 150]))
        await service.drain(5)

    run(main)


def test_drain_finishes_what_was_accepted_refuses_the_rest_and_leaves_no_thread():
    threads = set(threading.enumerate())

    async def main() -> None:
        reward = Told(gate=threading.Event())
        service = await started(entry(reward), entry(Told(Spec(high=5.0)), "other"))
        first = await held(service, reward)
        waiting = asyncio.create_task(service.score("told", asks(["waits"])))
        await asyncio.sleep(0.02)
        draining = asyncio.create_task(service.drain(10))
        await asyncio.sleep(0.02)
        with pytest.raises(Draining) as refused:
            await service.score("told", asks(["new"]))
        assert refused.value.http == 503
        reward.gate.set()
        assert (await first).scores.status == (await waiting).scores.status == (Status.OK,)
        await draining
        await service.drain(1)  # again does nothing
        assert set(threading.enumerate()) <= threads

    run(main)


def test_what_is_not_done_when_the_drain_ends_is_unavailable():
    async def main() -> None:
        reward = Told(gate=threading.Event())
        service = await started(entry(reward))
        first = await held(service, reward)
        waiting = asyncio.create_task(service.score(None, asks(["waits"])))
        await asyncio.sleep(0.02)
        draining = asyncio.create_task(service.drain(0.05))
        for task in (first, waiting):
            assert (await task).scores.status == (Status.UNAVAILABLE,)
        reward.gate.set()
        await draining

    run(main)


def test_a_free_reward_waits_for_company_no_longer_than_it_was_told_and_not_at_all_when_a_batch_is_full():
    async def main() -> None:
        reward = Told()
        service = await started(entry(reward), limits=QueueLimits(wait=0.2, batch_tokens=120))
        began = time.monotonic()
        one = asyncio.create_task(service.score(None, asks(["a"])))
        await asyncio.sleep(0.05)
        await asyncio.gather(one, service.score(None, asks(["b"])))
        assert len(reward.calls) == 1
        assert 0.19 < time.monotonic() - began < 1.0
        began = time.monotonic()
        await service.score(None, asks(["x" * 600]))
        assert time.monotonic() - began < 0.15
        await service.drain(5)

    run(main)


def test_several_rewards_and_versions_side_by_side():
    async def main() -> None:
        service = await started(
            Entry("plus", versioned(1.0)), Entry("plus", versioned(2.0)), Entry("told", lambda: Told())
        )
        record = [Record.of("p", ["abc"])]
        first, second = (each for each in service.served() if each.name == "plus")
        assert (first.current, second.current) == (True, False)
        assert (await service.score("plus", record)).scores.values.tolist() == [4.0]
        assert (await service.score(f"plus@{second.fingerprint[:8]}", record)).scores.values.tolist() == [5.0]
        assert service.promote("plus", second.fingerprint[:10]).current
        answered = await service.score("plus", record)
        assert (answered.scores.values.tolist(), answered.served.fingerprint) == ([5.0], second.fingerprint)
        assert (await service.score(f"plus@{first.fingerprint}", record)).scores.values.tolist() == [4.0]
        assert service.rollback("plus").fingerprint == first.fingerprint
        assert (await service.score("plus", record)).scores.values.tolist() == [4.0]
        with pytest.raises(UnknownReward, match="there are: plus, told"):
            await service.score("nobody", record)
        await service.drain(5)

    run(main)


def test_a_service_that_cannot_load_a_reward_does_not_start_and_leaves_nothing():
    threads = set(threading.enumerate())

    async def main() -> None:
        with pytest.raises(FileNotFoundError, match="no weights"):
            await started(Entry("good", lambda: Told()), Entry("bad", fails_to_load))
        with pytest.raises(ValueError, match="given twice"):
            await started(Entry("a", versioned(1.0)), Entry("a", lambda: Versioned(1.0)))
        assert set(threading.enumerate()) <= threads

    run(main)
    with pytest.raises(ValueError, match="names no reward"):
        Service([Entry("a@b", lambda: Told())])
    with pytest.raises(ValueError, match="at least one"):
        Service([])


def test_attributes_of_a_request_computed_in_many_batches_come_back_whole():
    def rated(records: Sequence[Record]) -> Scores:
        values = [float(len(r.text)) for record in records for r in record.responses]
        made = scores_of(records, values)
        return made.replace(attributes={"twice": made.values * 2}, std=made.values / 10)

    async def main() -> None:
        service = await started(entry(rated), limits=QueueLimits(batch_tokens=40))
        records = asks([f"prompt {i}" for i in range(20)], 3)
        scores, offline = (await service.score(None, records)).scores, rated(records)
        assert scores.attributes["twice"].tolist() == offline.attributes["twice"].tolist()
        assert scores.std is not None
        assert scores.std.tolist() == offline.std.tolist()
        await service.drain(5)

    run(main)


def test_figures_are_there_for_prometheus():
    async def main() -> None:
        service = await started(entry(Told()))
        await service.score(None, asks(["a", "b"], 2))
        with pytest.raises(UnknownReward):
            await service.score("x" * 1000, asks(["a"]))
        version = service.named(None).fingerprint[:12]
        text = service.exposition().decode()
        for line in (
            f'assay_rows_total{{reward="told",status="ok",version="{version}"}} 4.0',
            'assay_requests_total{outcome="answered",reward="told"} 1.0',
            'assay_requests_total{outcome="unknown_reward",reward=""} 1.0',
            f'assay_batch_rows_sum{{reward="told",version="{version}"}} 4.0',
            f'assay_queue_tokens{{reward="told",version="{version}"}} 0.0',
            f'assay_ready{{reward="told",version="{version}"}} 1.0',
            f'assay_compute_seconds_count{{reward="told",version="{version}"}} 1.0',
            f'assay_waiting_seconds_count{{reward="told",version="{version}"}} 1.0',
        ):
            assert line in text.splitlines()
        await service.drain(5)

    run(main)


@pytest.mark.parametrize(
    "bad", [{"tokens": 0}, {"batch_tokens": -1}, {"batch_seconds": 0}, {"seconds": 0}, {"wait": -1}, {"hang": 0}]
)
def test_limits_that_make_no_sense_are_refused(bad: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(bad))):
        QueueLimits(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration])
def test_a_reward_that_would_end_the_program_ends_its_rows(error: type[BaseException]):
    def ends(records: Sequence[Record]) -> Scores:
        if records[0].prompt[0].text == "end":
            raise error()
        return scores_of(records, [1.0])

    def cannot_load() -> Reward:
        raise error()

    async def main() -> None:
        service = await started(entry(ends))
        scores = (await service.score(None, asks(["end"]))).scores
        assert scores.status == (Status.FAILED,)
        assert error.__name__ in scores.messages[0]
        assert (await service.score(None, asks(["go on"]))).scores.status == (Status.OK,)
        await service.drain(5)
        with pytest.raises(RuntimeError, match=error.__name__):
            await started(Entry("bad", cannot_load))

    run(main)


def test_should_a_lane_end_by_itself_its_callers_hear_of_it(monkeypatch: pytest.MonkeyPatch):
    def defect(queue: Queue, budget: int) -> Batch:
        raise LookupError("a defect")

    async def main() -> None:
        service = await started(entry(Told()))
        monkeypatch.setattr(Queue, "take", defect)
        scores = (await service.score(None, asks(["a"], 2))).scores
        assert scores.status == (Status.UNAVAILABLE,) * 2
        with pytest.raises(Unavailable, match="log says why"):
            await service.score(None, asks(["a"]))
        assert not service.named(None).ready
        await service.drain(5)

    run(main)
