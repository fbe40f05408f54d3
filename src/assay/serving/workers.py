"""Where a reward computes: in a thread of this process, or in a process of its own that may die without harm."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, Protocol, TypeVar, cast, final

import torch

from assay.records import Record
from assay.records.record import Message
from assay.rewards.base import Reward, fingerprint, name_of, spec_of
from assay.rewards.batches import score_each
from assay.rewards.learned import LearnedReward
from assay.rewards.parts import keeping_prefixes, with_learned
from assay.scores import Status
from assay.serving.batching import Piece, judged, size_of
from assay.serving.queue import Row, abstention
from assay.spec import Spec

P = ParamSpec("P")
T = TypeVar("T")
_SAMPLE = 4_096
_FIRST = Record.of("Hello!", ["Good morning.", "Hello to you, too."])


@dataclass(frozen=True, slots=True)
class Entry:
    """A reward to serve: its name, and what makes it (``functools.partial(assay.load, reference)``).

    Entries of one name are versions of it; the first given is the current one. ``isolated``: it computes in a process
    of its own, and ``load`` must then be picklable. ``prefix_bytes`` of memory hold what each learned reward read of
    prompts for the requests that come later (`LearnedReward.keeping`); 0 holds nothing.
    """

    name: str
    load: Callable[[], Reward]
    isolated: bool = False
    prefix_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Facts:
    """What a loaded reward is."""

    fingerprint: str
    recipe: str
    spec: Spec


@dataclass(frozen=True, slots=True)
class Done:
    """Rows in the order of the responses, and what a sample of the text was: bytes and the reward's own tokens."""

    rows: Sequence[Row]
    sample: tuple[int, int] = (0, 0)


class Engine(Protocol):
    """A reward that can be opened, asked and closed; each call blocks."""

    def open(self) -> Facts:
        """Load it, again if it was open before."""
        ...

    def compute(self, pieces: Sequence[Piece], threads: int | None = None) -> Done:
        """Judge, with so many threads of arithmetic on a CPU; None: as many as there are.

        Raises:
            EngineError: what computes has died.
        """
        ...

    def close(self) -> None:
        """End it."""
        ...

    def kill(self) -> None:
        """End it now, whatever it is doing, from any thread, where that can be done."""
        ...


class EngineError(RuntimeError):
    """The process that computes a reward has died, or could not be started; the text says how."""


def engine_of(entry: Entry, hang: float) -> Engine:
    """Where an entry computes."""
    return _Apart(entry, hang) if entry.isolated else _Here(entry)


@final
@dataclass(frozen=True, slots=True)
class _Loaded:
    """A reward in memory, and the tokeniser of the first learned reward in it."""

    reward: Reward
    tokenizer: Any

    @staticmethod
    def of(entry: Entry) -> _Loaded:
        reward = entry.load()
        if entry.prefix_bytes:
            reward = keeping_prefixes(reward, entry.prefix_bytes)
        learned: list[LearnedReward] = []

        def note(each: LearnedReward) -> LearnedReward:
            learned.append(each)
            return each

        with_learned(reward, note)
        for each in learned:
            score_each(each, [_FIRST])  # what a model does once, such as its self-check, is done before it is ready
        return _Loaded(reward, getattr(learned[0].backbone, "tokenizer", None) if learned else None)

    @property
    def facts(self) -> Facts:
        return Facts(fingerprint(self.reward), name_of(self.reward), spec_of(self.reward))

    def judge(self, pieces: Sequence[Piece], threads: int | None) -> Done:
        if threads is not None and threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        return Done(judged(self.reward, pieces), self._sample(pieces[0].record.prompt))

    def _sample(self, messages: Sequence[Message]) -> tuple[int, int]:
        """Bytes and tokens of the start of a text; zeros without a tokeniser."""
        text = "\n".join(message.text for message in messages)[:_SAMPLE]
        if self.tokenizer is None or not text:
            return 0, 0
        return size_of(text), len(cast("list[int]", self.tokenizer.encode(text, add_special_tokens=False)))


@final
class _Here:
    """A reward in this process."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._loaded: _Loaded | None = None

    def open(self) -> Facts:
        self._loaded = _Loaded.of(self._entry)
        return self._loaded.facts

    def compute(self, pieces: Sequence[Piece], threads: int | None = None) -> Done:
        assert self._loaded is not None
        return self._loaded.judge(pieces, threads)

    def close(self) -> None:
        self._loaded = None

    def kill(self) -> None:
        """Nothing ends a call in this process; its thread is left to itself."""


@final
class _Apart:
    """A reward in a process of its own. What goes through the pipe was made by this program at both ends."""

    def __init__(self, entry: Entry, hang: float) -> None:
        self._entry = entry
        self._hang = hang
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def open(self) -> Facts:
        self.close()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._entry), name=f"assay-{self._entry.name}", daemon=True
        )
        process.start()
        atexit.register(process.kill)  # it minds no SIGTERM, and would be waited for
        theirs.close()
        self._process, self._pipe = process, ours
        found = self._received(None)
        if isinstance(found, Facts):
            return found
        self.close()
        raise EngineError(f"{self._entry.name} could not be loaded: {found}")

    def compute(self, pieces: Sequence[Piece], threads: int | None = None) -> Done:
        if self._pipe is None:
            raise EngineError("its process is not running")
        try:
            message = pickle.dumps((pieces, threads), protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - what a column holds may refuse in any way
            return self._each(pieces, threads, _line(error))
        try:
            self._pipe.send_bytes(message)
        except OSError:
            raise self._death() from None
        found = self._received(self._hang)
        return found if isinstance(found, Done) else self._each(pieces, threads, str(found))

    def _each(self, pieces: Sequence[Piece], threads: int | None, why: str) -> Done:
        """Pieces that cannot go through the pipe together, one by one; one that cannot go by itself has failed."""
        if len(pieces) == 1:
            return Done([abstention(Status.FAILED, why)] * len(pieces[0].record.responses))
        return Done([row for piece in pieces for row in self.compute([piece], threads).rows])

    def close(self) -> None:
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.join(2.0)
            if process.is_alive():
                process.kill()
                process.join()
            atexit.unregister(process.kill)
            process.close()

    def kill(self) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(ValueError):  # closed in this instant
                process.kill()

    def _received(self, seconds: float | None) -> object:
        assert self._pipe is not None
        assert self._process is not None
        ready = wait([self._pipe, self._process.sentinel], seconds)
        if not ready:
            self._process.kill()
            raise self._death(f"it computed for more than {seconds:g} s")
        try:
            if self._pipe not in ready and not self._pipe.poll():
                raise EOFError
            return pickle.loads(self._pipe.recv_bytes())  # noqa: S301 - from our own child
        except (EOFError, OSError):
            raise self._death() from None

    def _death(self, why: str = "") -> EngineError:
        """Close what is left of the process, and how it ended."""
        process = self._process
        code: int | None = None
        if process is not None:
            process.join(2.0)
            code = process.exitcode
        self.close()
        return EngineError(f"the process of {self._entry.name} died: {why or _how(code)}")


def _how(code: int | None) -> str:
    if code is None:
        return "it stopped answering"
    if code >= 0:
        return f"it exited with code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"{name}, as when memory runs out" if name == "SIGKILL" else name
    return f"signal {-code}"


def _serve(pipe: Connection, entry: Entry) -> None:
    """The life of a process that computes a reward: it ends with the pipe, or with its parent.

    Signals that reach the whole group or service (Ctrl-C, systemd's stop) are the parent's, which drains.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        loaded = _Loaded.of(entry)
        facts = loaded.facts
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent has to hear of it
        _send(pipe, _line(error))
        return
    _send(pipe, facts)
    with contextlib.suppress(EOFError, OSError):
        while True:
            _send(pipe, _answer(loaded, pipe.recv_bytes()))


def _answer(loaded: _Loaded, message: bytes) -> Done | str:
    try:
        pieces: Sequence[Piece]
        pieces, threads = pickle.loads(message)  # noqa: S301 - from our own parent
        return loaded.judge(pieces, threads)
    except Exception as error:  # noqa: BLE001 - a message that cannot be read is its rows' failure
        return _line(error)


def _send(pipe: Connection, value: object) -> None:
    pipe.send_bytes(pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL))


def _line(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@final
class Thread:
    """One thread that does what it is given, in order. It does not keep the program from ending."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a call in the thread; cancelling the wait does not stop the call.

        Raises:
            RuntimeError: the thread was stopped.
        """
        if self._ended:
            raise RuntimeError(f"{self._thread.name} was stopped")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def call() -> None:
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                _tell(loop, future, _harmless(error), failed=True)
            else:
                _tell(loop, future, result, failed=False)

        self._calls.put(call)
        return await future

    def stop(self, seconds: float) -> bool:
        """End the thread behind what it was given; whether it ended within ``seconds``."""
        self._ended = True
        self._calls.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _harmless(error: BaseException) -> Exception:
    """The error; its text for one that would end the loop (``sys.exit()`` in a reward) or cannot be raised in it."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(_line(error))


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], value: Any, *, failed: bool) -> None:
    def settle() -> None:
        if not future.done():
            if failed:
                future.set_exception(value)
            else:
                future.set_result(value)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(settle)
