"""Responses from an endpoint: whole or up to a step, read from the stream, gone on with, kept, and named when lost."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from local_endpoint import Exchange, completion, serving

from assay.models.base import StepGenerator
from assay.models.endpoints import Endpoint, EndpointGenerator, GenerationError, Patience, Replay, Transport
from assay.models.endpoints.streamed import Listener
from assay.models.endpoints.transport import Httpx, Urllib
from assay.records import Record, Response
from assay.records.steps import cut_at, lines, sentences
from assay.scores import Status

TRANSPORTS = [Httpx, Urllib]
WORDS = ["one", "two", "three.", "four", "\n", "\n\n", "é", "4.5"]


def said(asked: dict[str, Any]) -> str:
    """What the endpoint writes behind the messages: words by the seed and what was said, some of them line breaks."""
    before = asked["messages"][-1]["content"] if asked["messages"][-1]["role"] == "assistant" else ""
    rng = random.Random(f"{asked['seed']} {before}")
    return " ".join(rng.choices(WORDS, k=30))


def event(exchange: Exchange, data: str) -> None:
    exchange.http.wfile.write(f"data: {data}\n\n".encode())
    exchange.http.wfile.flush()


def begin(exchange: Exchange) -> None:
    exchange.http.send_response(200)
    exchange.http.send_header("Content-Type", "text/event-stream")
    exchange.http.send_header("Connection", "close")
    exchange.http.end_headers()


class Streaming:
    """Writes its answer three characters at a time; ``written`` holds how many of how many events went out."""

    def __init__(self, text: Callable[[dict[str, Any]], str] = said, pause: float = 0.0) -> None:
        self.text = text
        self.pause = pause
        self.written: list[tuple[int, int]] = []

    def __call__(self, exchange: Exchange) -> None:
        asked, text = exchange.asked, self.text(exchange.asked)
        if not asked.get("stream"):
            exchange.say(completion(text))
            return
        pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
        begin(exchange)
        sent = 0
        try:
            event(exchange, json.dumps({"choices": [{"delta": {"role": "assistant"}}]}))
            for piece in pieces:
                event(exchange, json.dumps({"choices": [{"delta": {"content": piece}, "finish_reason": None}]}))
                sent += 1
                time.sleep(self.pause)
            event(exchange, json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
            event(
                exchange, json.dumps({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": len(pieces)}})
            )
            event(exchange, "[DONE]")
        finally:
            self.written.append((sent, len(pieces)))


def generator(url: str, **options: Any) -> EndpointGenerator:
    given: dict[str, Any] = {"patience": Patience(attempts=2, first=0.01), "seconds": 20.0, **options}
    return EndpointGenerator(Endpoint(url, "m", **given))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("split", [lines, sentences])
def test_a_step_is_what_the_whole_answer_cut_there_is(transport: Callable[[], Transport], split: Any) -> None:
    record = Record.of("go", [Response.of("one two.\nthree")], id="r")
    with serving(Streaming()) as served:
        made = generator(served.url, transport=transport())
        assert isinstance(made, StepGenerator)
        whole = made.generate([record, replace(record, responses=())], 4, 3)
        for step in (0, 2, 3):
            stopped = made.generate_steps([record, replace(record, responses=())], 4, 3, split=split, step=step)
            cut = [[cut_at(each, split, step) for each in row] for row in whole]
            assert [[(each.response, each.whole) for each in row] for row in stopped] == cut
            assert all(each.cost.written > 0 for row in stopped for each in row)
    assert len({each.text for each in whole[0]}) == 4
    asked = served.seen[0].asked
    assert asked["messages"][-1] == {"role": "assistant", "content": "one two.\nthree"}
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)
    alone = next(each.asked for each in served.seen if each.asked["messages"][-1]["role"] == "user")
    assert "continue_final_message" not in alone


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_once_a_step_is_over_the_connection_is_closed_and_the_endpoint_writes_no_more(
    transport: Callable[[], Transport],
) -> None:
    handler = Streaming(lambda asked: "\n".join(["line"] * 400), pause=0.005)
    with serving(handler) as served:
        ((made,),) = generator(served.url, transport=transport()).generate_steps(
            [Record.of("go", [])], 1, split=lines, step=1
        )
        for _ in range(400):
            if handler.written:
                break
            time.sleep(0.01)
    assert made.response is not None
    assert (made.response.text, made.whole) == ("line\nline", False)
    assert made.cost.written <= 8
    ((sent, of),) = handler.written
    assert sent < of / 2


def test_an_endpoint_that_does_not_stream_is_cut_here() -> None:
    with serving(lambda exchange: exchange.say(completion("a\nb\nc"))) as served:
        ((made,),) = generator(served.url).generate_steps([Record.of("go", [])], 1, split=lines)
    assert made.response is not None
    assert (made.response.text, made.whole, made.cost.written) == ("a", False, 3)


def test_a_whole_answer_that_is_kept_serves_its_steps_and_a_part_serves_itself_alone(tmp_path: Path) -> None:
    record = Record.of("go", [], id="r")
    with serving(Streaming(lambda asked: f"{asked['seed']}\nb\nc")) as served:
        made = generator(served.url, replay=Replay(tmp_path / "kept"))
        first = made.generate_steps([record], 2, split=lines, step=0)
        assert len(served.seen) == 2
        assert made.generate_steps([record], 2, split=lines, step=0)[0][0].response == first[0][0].response
        assert len(served.seen) == 2
        further = made.generate_steps([record], 2, split=lines, step=1)
        assert len(served.seen) == 4
        whole = made.generate([record], 2)
        assert len(served.seen) == 6
        again = [made.generate_steps([record], 2, split=lines, step=step) for step in (0, 1, 2)]
        assert made.generate([record], 2) == whole
        assert len(served.seen) == 6
    assert [each.response for each in again[1][0]] == [each.response for each in further[0]]
    assert [each.response.text for each in again[2][0] if each.response] == [each.text for each in whole[0]]
    assert all(each.whole for each in again[2][0])


def test_an_answer_that_ends_at_once_leaves_the_prefix_whole_and_without_one_is_lost() -> None:
    with serving(Streaming(lambda asked: "")) as served:
        made = generator(served.url)
        gone_on, begun = made.generate_steps([Record.of("go", ["done"]), Record.of("go", [])], 1, split=lines, step=1)
        with pytest.raises(GenerationError, match="record nothing: empty"):
            made.generate([Record.of("go", [], id="nothing")], 2)
    assert gone_on[0].response is not None
    assert (gone_on[0].response.text, gone_on[0].whole) == ("done", True)
    assert (begun[0].response, begun[0].status) == (None, Status.EMPTY)


def test_with_nobody_there_every_draw_says_so() -> None:
    made = generator("http://127.0.0.1:9/v1").generate_steps([Record.of("go", []), Record.of("on", [])], 2, split=lines)
    assert {each.status for row in made for each in row} == {Status.UNAVAILABLE}
    with pytest.raises(ValueError, match="at least 1"):
        generator("http://127.0.0.1:9/v1").generate_steps([Record.of("go", [])], 0)


@pytest.mark.parametrize(
    "events",
    [
        ['{"choices": [{"delta": {"content": "a"}}]}'],
        ['{"choices": [{"delta": {"content": "a"}}]}', "rubbish"],
        ['{"error": {"message": "out of memory"}}'],
        ['{"choices": [{"delta": "a"}]}', "[DONE]"],
    ],
)
def test_a_stream_that_breaks_is_no_answer(events: list[str]) -> None:
    def handle(exchange: Exchange) -> None:
        begin(exchange)
        for each in events:
            event(exchange, each)

    with serving(handle) as served:
        ((made,),) = generator(served.url).generate_steps([Record.of("go", [])], 1, split=lines)
    assert (made.response, made.status) == (None, Status.UNPARSABLE)


def test_events_are_read_however_they_are_cut_into_pieces() -> None:
    raw = b'data: {"choices": [{"delta": {"content": "h\xc3\xa9\\n"}}]}\r\n\r\n: ping\n\ndata: {"choices": [{"delta": '
    raw += b'{"content": "b"}, "finish_reason": "length"}], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}'
    for size in (1, 2, 7, len(raw)):
        listener = Listener(lambda text: False)
        assert not any(listener.take(raw[at : at + size]) for at in range(0, len(raw), size))
        body = json.loads(listener.body(raw, 1))
        assert body["choices"][0]["message"]["content"] == "hé\nb"
        assert body["choices"][0]["finish_reason"] == "length"
        assert body["usage"]["prompt_tokens"] == 9
    refused = Listener(lambda text: True)
    refused.take(b'data: {"choices": [{"delta": {"refusal": "no"}, "finish_reason": "stop"}]}\n')
    assert json.loads(refused.body(b"", 1))["choices"][0]["message"]["refusal"] == "no"


def test_calls_of_several_threads_stay_within_the_endpoint_s_bound() -> None:
    from concurrent.futures import ThreadPoolExecutor

    under_way: list[int] = []
    now = [0]

    def handle(exchange: Exchange) -> None:
        now[0] += 1
        under_way.append(now[0])
        time.sleep(0.03)
        now[0] -= 1
        exchange.say(completion("a"))

    with serving(handle) as served:
        made = generator(served.url, at_once=2)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: made.generate([Record.of(f"go {number}", [])], 2), range(4)))
    assert len(served.seen) == 8
    assert max(under_way) <= 2
