"""The queue as a data structure: nothing lost, nothing doubled, budgets kept, turns fair, prompts counted once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.records import Record
from assay.serving.batching import Measure, add_units, add_whole, known, work_of
from assay.serving.queue import Batch, Queue, QueueLimits, Request
from assay.spec import Spec

SPECS = [Spec(), Spec(scale="within_group"), Spec(order_invariant=False), Spec(deterministic=False)]


def request(records: list[Record], spec: Spec | None = None, *, arrived: float = 0.0, deadline: float = 1e9) -> Request:
    spec = spec or Spec()
    made = Request(arrived, deadline, lambda: None)
    made.extend([None] * sum(len(record.responses) for record in records))
    found = known(records, spec, caching=False)
    if spec.order_invariant:
        add_units(made, 0, found, spec, Measure())
    else:
        add_whole(made, found, Measure())
    return made


def records_of(shape: list[list[int]], chance: random.Random) -> list[Record]:
    """Records of these prompts and numbers of responses, with prompts and responses that repeat."""
    return [
        Record.of(
            f"prompt {prompt} " * prompt, [f"r{chance.randrange(4)} " * chance.randrange(1, 30) for _ in range(n)]
        )
        for prompt, n in shape
    ]


def answer(batch: Batch) -> None:
    """Judge a batch: a row says which prompt and response it is of."""
    work = work_of(batch.units)
    ids = [piece.record.id for piece in work.pieces]
    assert len(set(ids)) == len(ids)
    rows = [
        {"value": 0.0, "status": "ok", "message": piece.record.prompt[0].text + "|" + response.text}
        for piece in work.pieces
        for response in piece.record.responses
    ]
    assert all(sum(piece.parts) == len(piece.record.responses) for piece in work.pieces)
    work.settle(rows)


SHAPES = st.lists(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6)).map(list), max_size=5), min_size=1, max_size=6
)


@given(SHAPES, st.sampled_from(SPECS), st.integers(1, 400), st.integers(0, 99))
@settings(max_examples=120, deadline=None)
def test_every_row_is_answered_once_by_what_it_asked_and_batches_keep_their_budget(
    shapes: list[list[list[int]]], spec: Spec, budget: int, seed: int
):
    chance = random.Random(seed)
    asked = [records_of(shape, chance) for shape in shapes]
    queue = Queue(QueueLimits())
    requests = [request(records, spec) for records in asked]
    for each in requests:
        queue.add(each)
    assert queue.tokens == sum(each.tokens for each in requests)
    assert queue.rows == sum(len(each.rows) for each in requests)
    while len(queue):
        batch = queue.take(budget)
        assert batch.units
        assert batch.tokens <= budget or len({unit.key for unit in batch.units}) == 1
        if any(unit.alone for unit in batch.units):
            assert len(batch.units) == 1
        answer(batch)
    assert (queue.tokens, queue.rows) == (0, 0)
    for each, records in zip(requests, asked, strict=True):
        said = [row and row["message"] for row in each.rows]
        assert said == [f"{r.prompt[0].text}|{response.text}" for r in records for response in r.responses]
        assert each.left == each.waiting == each.tokens == 0


@given(SHAPES, st.integers(0, 99), st.data())
@settings(max_examples=80, deadline=None)
def test_what_is_removed_leaves_the_others_and_the_counts_right(
    shapes: list[list[list[int]]], seed: int, data: st.DataObject
):
    chance = random.Random(seed)
    queue = Queue(QueueLimits())
    requests = [request(records_of(shape, chance)) for shape in shapes]
    for each in requests:
        queue.add(each)
    gone = data.draw(st.sets(st.sampled_from(range(len(requests)))))
    taken = [queue.take(60) for _ in range(data.draw(st.integers(0, 3)))]
    for number in gone:
        queue.remove(requests[number])
        queue.remove(requests[number])
    taken.extend(iter(lambda: queue.take(60), Batch((), 0)))
    assert (len(queue), queue.tokens, queue.rows) == (0, 0, 0)
    for batch in taken:
        answer(batch)
    for number, each in enumerate(requests):
        assert number in gone or each.left == 0


def test_requests_take_turns_however_large_they_are():
    queue = Queue(QueueLimits())
    giants = [request([Record.of(f"giant {g} {i}", ["x" * 30]) for i in range(50)]) for g in range(3)]
    small = request([Record.of("small", ["y"])])
    for each in (*giants, small):
        queue.add(each)
    taken = [{id(unit.request) for unit in queue.take(100).units} for _ in range(2)]
    assert id(small) in taken[0] | taken[1]
    assert sum(len(some & {id(each) for each in giants}) for some in taken) == 6 - len(taken[1] & {id(small)})


def test_equal_prompts_of_other_requests_come_along_before_prompts_of_their_own():
    queue = Queue(QueueLimits())
    shared = [request([Record.of("s" * 200, [f"a{i}"])]) for i in range(4)]
    others = [request([Record.of(f"{i}" * 150, ["b"])]) for i in range(4)]
    for pair in zip(shared, others, strict=True):
        for each in pair:
            queue.add(each)
    first = queue.take(150)
    assert [unit.request for unit in first.units] == shared
    assert first.tokens < 150


def test_a_prompt_counts_once_a_request():
    one = request([Record.of("p" * 300, ["a"])])
    many = request([Record.of("p" * 300, ["a"] * 8)])
    assert many.tokens < one.tokens + 8 * 12
    many.take(next(iter(many.units)))
    assert many.tokens > 100


def test_deadlines_end_what_waits_and_leave_what_was_taken():
    queue = Queue(QueueLimits())
    late = request([Record.of(f"late {i}" * 10, ["x"]) for i in range(5)], arrived=1.0, deadline=2.5)
    queue.add(late)
    taken = queue.take(60)
    queue.expire(2.0)
    assert late.left == 5
    queue.expire(2.5)
    assert [row and row["status"] for row in late.rows].count("timeout") == 5 - len(taken.units)
    assert late.left == len(taken.units)
    answer(taken)
    assert late.left == 0
    assert len(queue) == 0


@pytest.mark.parametrize(("limit", "fits"), [({"tokens": 1000}, True), ({"tokens": 20}, False), ({"rows": 2}, False)])
def test_room_is_counted_in_tokens_and_rows(limit: dict[str, int], fits: bool):
    queue = Queue(QueueLimits(**limit))  # type: ignore[arg-type]
    each = request([Record.of("p", ["a", "b", "c"])])
    assert queue.has_room(each) is queue.could_hold(each) is fits


def test_tokens_are_measured_by_bytes_until_the_tokeniser_has_spoken(picture):
    measure = Measure()
    text = Record.of("x" * 300, [])
    assert measure.of(text.prompt) == 108
    assert measure.of(Record.of("\u4e2d" * 100, []).prompt) == 108
    assert measure.of(Record.of([picture()], []).prompt) > 500
    for _ in range(5):
        measure.learn(1000, 200)
    assert measure.of(text.prompt) == 68
    measure.learn(0, 0)
    assert measure.of(text.prompt) == 68


@given(st.lists(st.sampled_from(["a", "a-1", "a-2", "a-3", "shared", "shared-1", "shared-2"]), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_ids_that_collide_are_told_apart_and_others_stay(ids: list[str]):
    requests = [request([Record.of(f"p{i // 2}", [f"r{i}"], id=name)]) for i, name in enumerate(ids)]
    work = work_of([each.first() for each in requests])
    names = [piece.record.id for piece in work.pieces]
    assert len(set(names)) == len(names)
    alone = [request([Record.of(f"p{i}", ["r"], id=name)]) for i, name in enumerate(dict.fromkeys(ids))]
    assert [piece.record.id for piece in work_of([each.first() for each in alone]).pieces] == list(dict.fromkeys(ids))
