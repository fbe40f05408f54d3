"""Load on `assay serve`, side by side with thirty lines of FastAPI: throughput, overload, latency, slow clients, ends.

    python benchmarks/serving_load.py [--quick] [--only NAME ...] [--layers 6] [--model DIRECTORY]

Servers and generator are processes of their own on loopback. Rounds of the two servers alternate; what is compared are
requests (or candidates) a second of wall time, so the machine has to be otherwise idle. Writes
`benchmarks/results/serving.json`, where rows that are not measured again stay, and prints the table of
`docs/guides/serving.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WORDS = ("the", "of", "and", "a", "to", "in", "is", "you", "that", "it", "he", "was", "for", "on", "are", "as", "with")


@dataclass(frozen=True)
class Row:
    """One line of the table; ``good`` against its goal, with a tenth for the noise of a ratio."""

    name: str
    figure: str
    value: float
    goal: float
    most: bool = False
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def good(self) -> bool:
        """Whether the goal is met."""
        return self.value <= self.goal * 1.1 if self.most else self.value >= self.goal * 0.9


@dataclass
class Reply:
    """What one request got: HTTP code, seconds it took, body; code 0 where the connection broke."""

    code: int
    seconds: float
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])


class Client:
    """One connection that asks one request at a time; raw, so that the generator costs little of the machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, path: str, content: Any) -> Reply:
        """POST ``content`` as JSON, connecting anew where the server closed the connection."""
        body = json.dumps(content).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        started = time.perf_counter()
        for again in (True, False):
            fresh = self.writer is None
            try:
                if self.writer is None:
                    self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                self.writer.write(head.encode() + body)
                return await self._reply(started)
            except (OSError, EOFError, ValueError):
                self.close()
                if fresh or not again:
                    break
        return Reply(0, time.perf_counter() - started)

    async def _reply(self, started: float) -> Reply:
        assert self.reader is not None
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return Reply(int(head[0].split()[1]), time.perf_counter() - started, body, headers)

    def close(self) -> None:
        """Let go of the connection."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


@dataclass(frozen=True)
class Server:
    """A running server and how it is asked for the score of one response."""

    name: str
    port: int
    process: subprocess.Popen[str]
    path: str
    content: Callable[[str, list[str]], dict[str, Any]]
    value: Callable[[bytes], list[float]]

    def rss(self) -> float:
        """Resident memory in MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    def cpu(self) -> float:
        """CPU seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def native(prompt: str, responses: list[str]) -> dict[str, Any]:
    """A request of Assay's own protocol."""
    return {"records": [{"prompt": prompt, "responses": responses}]}


@contextmanager
def assay(options: list[str], environment: dict[str, str]) -> Iterator[Server]:
    """`assay serve`, once it is ready."""
    command = [sys.executable, "-m", "assay", "serve", "--name", f"load={HERE / 'served_model.py'}:reward"]
    command += ["--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("assay serve did not start; see above")
        port = int(json.loads(line)["address"].rpartition(":")[2])

        def value(body: bytes) -> list[float]:
            return [row["value"] for row in json.loads(body)["rows"]]

        yield Server("assay", port, process, "/v1/scores", native, value)
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def plain(environment: dict[str, str]) -> Iterator[Server]:
    """The thirty lines of FastAPI, once they are ready."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [sys.executable, str(HERE / "served_model.py"), str(port)]
    process = subprocess.Popen(command, text=True, env=environment)
    try:
        for _ in range(1200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit("the plain server did not start; see above") from None
                time.sleep(0.1)

        def content(prompt: str, responses: list[str]) -> dict[str, Any]:
            return {"prompt": prompt, "response": responses[0]}

        yield Server("plain", port, process, "/score", content, lambda body: [json.loads(body)["score"]])
    finally:
        process.terminate()
        process.wait(30)


def text(chance: random.Random, tokens: int) -> str:
    """About so many tokens of common words, a token each."""
    return " ".join(chance.choice(WORDS) for _ in range(tokens))


_SHORT = (10, 6)
_QUEUED = 2.0
"""Seconds of work that the queue may hold when it is overloaded."""


def asks(seed: int, tokens: int = _SHORT[0], answer: int = _SHORT[1]) -> Iterator[tuple[str, list[str]]]:
    """Unrelated short prompts, each with one response."""
    chance = random.Random(seed)
    while True:
        yield text(chance, tokens), [text(chance, answer)]


def families(seed: int, prompt: int, each: int = 8, low: int = 24, high: int = 48) -> Iterator[tuple[str, list[str]]]:
    """Long prompts, each with several responses."""
    chance = random.Random(seed)
    while True:
        yield text(chance, prompt), [text(chance, chance.randint(low, high)) for _ in range(each)]


async def closed_loop(
    server: Server, clients: int, seconds: float, work: Callable[[Client], Awaitable[int]]
) -> tuple[float, int]:
    """Clients that ask again as soon as they are answered: what they got done a second, and how many asked in vain."""
    ends = time.perf_counter() + seconds
    done = failed = 0

    async def run() -> None:
        nonlocal done, failed
        client = Client(server.port)
        while time.perf_counter() < ends:
            found = await work(client)
            done += max(found, 0)
            failed += found < 0
        client.close()

    started = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(clients)))
    return done / (time.perf_counter() - started), failed


async def single(server: Server, source: Iterator[tuple[str, list[str]]], client: Client) -> int:
    """One request of one response."""
    prompt, responses = next(source)
    reply = await client.ask(server.path, server.content(prompt, responses))
    return 1 if reply.code == 200 else -1


async def apart(server: Server, source: Iterator[tuple[str, list[str]]], client: Client) -> int:
    """The responses of one prompt as requests of their own, at the same time."""
    prompt, responses = next(source)
    clients = [Client(server.port) for _ in responses]
    replies = await asyncio.gather(
        *(each.ask(server.path, server.content(prompt, [one])) for each, one in zip(clients, responses, strict=True))
    )
    for each in clients:
        each.close()
    del client
    good = sum(reply.code == 200 for reply in replies)
    return good or -1


async def together(server: Server, source: Iterator[tuple[str, list[str]]], client: Client) -> int:
    """The responses of one prompt as one request."""
    prompt, responses = next(source)
    reply = await client.ask(server.path, server.content(prompt, responses))
    return len(responses) if reply.code == 200 else -1


@dataclass(frozen=True)
class Plan:
    """How long and how often things are measured."""

    seconds: float
    rounds: int
    clients: int = 16
    prompt: int = 512


def compared(name: str, goal: float, plan: Plan, ours: Any, theirs: Any, servers: tuple[Server, Server]) -> Row:
    """Alternate rounds of two ways of asking two servers; the ratio of what they get done."""
    own, other = servers
    rates: dict[str, list[float]] = {own.name: [], other.name: []}
    cost: dict[str, list[float]] = {own.name: [], other.name: []}
    for number in range(-1, plan.rounds):  # the first round warms up, and does not count
        pairs = [(own, ours), (other, theirs)]
        for server, (clients, make, work) in pairs if number % 2 == 0 else pairs[::-1]:
            source = make(number + 100)

            async def once(client: Client, server: Server = server, source: Any = source, work: Any = work) -> int:
                return await work(server, source, client)

            used, started = server.cpu(), time.perf_counter()
            rate, failed = asyncio.run(closed_loop(server, clients, plan.seconds, once))
            done = rate * (time.perf_counter() - started)
            if failed:
                raise SystemExit(f"{server.name}: {failed} requests failed in {name}")
            if number >= 0:
                cost[server.name].append((server.cpu() - used) / max(1.0, done))
                rates[server.name].append(rate)
    ratios = [a / b for a, b in zip(rates[own.name], rates[other.name], strict=True)]
    usual = {key: statistics.median(value) for key, value in rates.items()}
    spent = {key: 1000 * statistics.median(value) for key, value in cost.items()}
    note = f"{usual[own.name]:.4g} against {usual[other.name]:.4g} a second, "
    note += f"{spent[own.name]:.3g} against {spent[other.name]:.3g} CPU ms each"
    detail = {"rates": rates, "cpu": cost, "low": min(ratios), "high": max(ratios)}
    return Row(name, "times the plain server", statistics.median(ratios), goal, note=note, detail=detail)


def same_scores(servers: tuple[Server, Server]) -> Row:
    """The largest difference between what the servers say, and what the reward says here."""
    sys.path.insert(0, str(HERE))
    import served_model
    from assay.records import Record

    judge = served_model.reward()
    worst = 0.0
    for (prompt, responses), _ in zip(families(7, 100), range(3), strict=False):
        here = judge([Record.of(prompt, responses)]).values.tolist()
        for server in servers:
            for i, response in enumerate(responses):
                reply = asyncio.run(Client(server.port).ask(server.path, server.content(prompt, [response])))
                worst = max(worst, abs(server.value(reply.body)[0] - here[i]))
    return Row("scores over HTTP", "largest difference", worst, 1e-5, most=True)


async def open_loop(
    server: Server, rate: float, seconds: float, seed: int, *, clients: int = 400
) -> list[tuple[float, Reply]]:
    """Requests at Poisson instants, whether the earlier ones are answered or not: (instant, reply) of each."""
    chance = random.Random(seed)
    source = asks(seed + 1)
    idle = [Client(server.port) for _ in range(clients)]
    found: list[tuple[float, Reply]] = []
    tasks: list[asyncio.Task[None]] = []

    async def one(at: float) -> None:
        client = idle.pop() if idle else Client(server.port)
        prompt, responses = next(source)
        found.append((at, await client.ask(server.path, server.content(prompt, responses))))
        idle.append(client)

    begun = time.perf_counter()
    due = 0.0
    while due < seconds:
        await asyncio.sleep(max(0.0, begun + due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
        due += chance.expovariate(rate)
    await asyncio.gather(*tasks)
    for client in idle:
        client.close()
    return found


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def counted(asked: tuple[str, list[str]]) -> int:
    """How many tokens a request with one response is."""
    sys.path.insert(0, str(HERE))
    import served_model

    return served_model.tokens(asked[0], asked[1][0])


def peak_of(server: Server, plan: Plan) -> float:
    """Requests a second that the server answers when clients enough ask."""
    source = asks(11)
    rates = [
        asyncio.run(closed_loop(server, 2 * plan.clients, plan.seconds, lambda c: single(server, source, c)))[0]
        for _ in range(2)
    ]
    return max(rates)


def overload(server: Server, plan: Plan, peak: float) -> list[Row]:
    """Three times what it can do, then half of it: what gets through, how fast the rest is refused, what is left."""
    before = server.rss()
    calm = latencies(asyncio.run(open_loop(server, 0.5 * peak, plan.seconds, 21)))
    started = time.perf_counter()
    found = asyncio.run(open_loop(server, 3 * peak, 2 * plan.seconds, 22))
    took = time.perf_counter() - started
    answered = [reply for _, reply in found if reply.code == 200]
    refused = [reply for _, reply in found if reply.code == 429]
    after = asyncio.run(open_loop(server, 0.5 * peak, max(8.0, plan.seconds), 23))
    late = percentile([reply.seconds for at, reply in after if at > 5 and reply.code == 200], 0.99)
    broken = len(found) - len(answered) - len(refused)
    told = sum("retry-after" in reply.headers for reply in refused)
    note = f"{len(found)} asked, {len(answered)} answered, {len(refused)} refused, {broken} neither"
    return [
        Row("overload", "goodput at 3x, of peak", len(answered) / took / peak, 0.9, note=note),
        Row("overload", "p99 of a refusal, ms", 1000 * percentile([r.seconds for r in refused], 0.99), 50, most=True),
        Row("overload", "refusals with Retry-After", told / max(1, len(refused)), 1.0),
        Row("overload", "growth of memory, MB", server.rss() - before, 100, most=True),
        Row("recovery", "p99 from 5 s on, of calm", late / percentile(calm, 0.99), 1.5, most=True),
    ]


def latencies(found: list[tuple[float, Reply]]) -> list[float]:
    """Seconds of what was answered."""
    return [reply.seconds for _, reply in found if reply.code == 200]


def spread(server: Server, plan: Plan, peak: float) -> Row:
    """How much longer than usual the slowest of a hundred waits, at 70 % of what the server can do."""
    found = latencies(asyncio.run(open_loop(server, 0.7 * peak, 2 * plan.seconds, 31)))
    usual, slow = percentile(found, 0.5), percentile(found, 0.99)
    note = f"p50 {1000 * usual:.0f} ms, p99 {1000 * slow:.0f} ms of {len(found)}"
    return Row("70 % of peak", "p99 of p50", slow / usual, 3.0, most=True, note=note)


async def dripping(port: int, count: int, ends: float) -> None:
    """Clients that send their headers, or their body, a byte at a time."""

    async def drip(number: int) -> None:
        head = b"POST /v1/scores HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        sent = head + (b"\r\n" if number % 2 else b"")
        while time.perf_counter() < ends:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                while time.perf_counter() < ends:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.5)
                writer.close()
            except OSError:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(drip(number) for number in range(count)))


def slow_clients(server: Server, plan: Plan, peak: float) -> Row:
    """What 200 slow clients do to the others' p99, in alternate rounds."""

    async def beside(count: int, seed: int) -> list[tuple[float, Reply]]:
        ends = time.perf_counter() + plan.seconds
        slow = asyncio.create_task(dripping(server.port, count, ends)) if count else None
        found = await open_loop(server, 0.5 * peak, plan.seconds, seed)
        if slow is not None:
            await slow
        return found

    without: list[float] = []
    with_them: list[float] = []
    for number in range(plan.rounds):
        without += latencies(asyncio.run(beside(0, 41 + number)))
        with_them += latencies(asyncio.run(beside(200, 51 + number)))
    ratio = percentile(with_them, 0.99) / percentile(without, 0.99)
    return Row("200 slow clients", "p99 of the others, of before", ratio, 1.2, most=True)


def drained(environment: dict[str, str], plan: Plan) -> list[Row]:
    """SIGTERM while requests are under way: how many of those that were accepted are answered."""
    kept, asked, codes = 0, 0, []
    for number in range(max(2, plan.rounds)):
        with assay([], environment) as server:

            async def burst(server: Server = server, number: int = number) -> list[Reply]:
                source = asks(61 + number, tokens=120)
                tasks = [
                    asyncio.create_task(Client(server.port).ask(server.path, server.content(*next(source))))
                    for _ in range(32)
                ]
                await asyncio.sleep(0.15 + 0.1 * number)
                server.process.send_signal(signal.SIGTERM)
                return list(await asyncio.gather(*tasks))

            replies = asyncio.run(burst())
            codes.append(server.process.wait(60))
            kept += sum(reply.code == 200 for reply in replies)
            asked += len(replies)
    ended = sum(code == 0 for code in codes) / len(codes)
    return [
        Row("SIGTERM", "accepted and answered", kept / asked, 1 / 0.9, note=f"{kept} of {asked}"),
        Row("SIGTERM", "ended with code 0", ended, 1 / 0.9),
    ]


def measured(plan: Plan, only: list[str], environment: dict[str, str]) -> list[Row]:
    """Every row that is asked for."""

    def wants(name: str) -> bool:
        return not only or name in only

    rows: list[Row] = []
    if any(map(wants, ("same", "unrelated", "separate", "one"))):
        with assay([], environment) as own, plain(environment) as other:
            servers = (own, other)
            rows += [same_scores(servers)] if wants("same") else []
            short = (plan.clients, asks, single)
            long = (2, lambda seed: families(seed, plan.prompt), apart)
            whole = (2, lambda seed: families(seed, plan.prompt), together)
            if wants("unrelated"):
                short_tokens = counted(next(asks(0)))
                name = f"unrelated requests of {short_tokens} tokens, {plan.clients} clients"
                rows.append(compared(name, 1.5, plan, short, short, servers))
            if wants("separate"):
                name = f"8 candidates of a {plan.prompt}-token prompt, a request each"
                rows.append(compared(name, 3.0, plan, long, long, servers))
            if wants("one"):
                name = f"8 candidates of a {plan.prompt}-token prompt, one request"
                rows.append(compared(name, 3.3, plan, whole, long, servers))
    if any(map(wants, ("overload", "spread", "slow"))):
        with assay([], environment) as own:
            peak = peak_of(own, plan)
        waiting = max(1_024, int(_QUEUED * peak * counted(next(asks(0)))))
        with assay(["--queue-tokens", str(waiting)], environment) as own:
            peak = peak_of(own, plan)
            rows += overload(own, plan, peak) if wants("overload") else []
            rows += [spread(own, plan, peak)] if wants("spread") else []
            rows += [slow_clients(own, plan, peak)] if wants("slow") else []
    rows += drained(environment, plan) if wants("sigterm") else []
    return rows


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| | figure | measured | goal | |", "|---|---|---|---|---|"]
    for row in rows:
        goal = f"{'<=' if row.most else '>='} {min(row.goal, 1.0) if row.name == 'SIGTERM' else row.goal:g}"
        lines.append(
            f"| {row.name} | {row.figure} | {row.value:.3g} | {goal} | {'' if row.good else 'missed; '}{row.note} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, write, print; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; into results/quick")
    parser.add_argument(
        "--only", nargs="*", default=[], help="same unrelated separate one overload spread slow sigterm"
    )
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument(
        "--threads", type=int, default=0, help="of torch in both servers; 0: as many as it takes itself"
    )
    parser.add_argument("--seconds", type=float, default=12.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=5, help="that count; one more warms up")
    parser.add_argument("--model", default="", help="a directory of SmolLM2-135M; random weights without it")
    chosen = parser.parse_args()
    if chosen.threads:
        os.environ["OMP_NUM_THREADS"] = str(chosen.threads)
    environment = {**os.environ, "SERVED_LAYERS": str(chosen.layers), "SERVED_MODEL": chosen.model}
    os.environ.update(SERVED_LAYERS=str(chosen.layers), SERVED_MODEL=chosen.model)
    plan = Plan(2.0, 1, prompt=256) if chosen.quick else Plan(chosen.seconds, chosen.rounds)
    rows = measured(plan, chosen.only, environment)
    from measure import environment as machine

    folder = HERE / "results" / ("quick" if chosen.quick else "")
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "serving.json"
    made = [{**asdict(row), "good": row.good} for row in rows]
    known = json.loads(place.read_text())["rows"] if chosen.only and place.exists() else []
    named = {(row["name"], row["figure"]): row for row in [*known, *made]}
    place.write_text(json.dumps({"environment": machine(), "rows": list(named.values())}, indent=1) + "\n")
    print(table(rows))
    raise SystemExit(0 if all(row.good for row in rows) else 1)


if __name__ == "__main__":
    main()
