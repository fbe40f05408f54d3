"""Any OpenAI-compatible endpoint as a model that answers: bounded, patient, within budget, every call replayable."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, final
from urllib.parse import urlsplit

from assay.media import MediaError
from assay.models.answering import check_labels
from assay.models.asking import Answer, Cost, Odds, Prompt
from assay.models.endpoints import labels as listed
from assay.models.endpoints import streamed
from assay.models.endpoints.budget import Purse
from assay.models.endpoints.messages import hashed, tokens_estimated, written
from assay.models.endpoints.patience import Patience, Turnstile, retry_after
from assay.models.endpoints.replay import Replay, key_of
from assay.models.endpoints.replies import Failure, Read, Said, read, read_body
from assay.models.endpoints.transport import Request, Transport, TransportError, network
from assay.models.frames import EIGHT, Frames
from assay.models.prepare import media_status
from assay.scores import Status

_TOP = 20
_HIDDEN = "[key]"


@final
@dataclass(frozen=True, slots=True)
class Offer:
    """Whether an endpoint gives log-probabilities, and of how many tokens; None where it could not be found out."""

    logprobs: bool | None
    top: int = 0
    message: str = ""


@final
@dataclass(frozen=True, slots=True)
class Ask:
    """One call: the prompt, parameters of its own, and, where the answer is read as it is written, ``enough``: whether
    the text so far will do. The rest is then not waited for, and the connection is closed."""

    prompt: Prompt
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    enough: Callable[[str], bool] | None = None


@final
@dataclass(frozen=True, eq=False)
class Endpoint:
    """A model behind ``url`` (up to ``/v1``) as an `Answerer` and a `LabelReader`: POST ``url``/chat/completions.

    ``key`` names the environment variable that holds the key; it is read when a call is made, and neither kept nor
    shown. ``parameters`` are sent as they are (``max_completion_tokens``, a seed of None where none is taken): they
    win over those that have a field here, and one that is None is not sent. ``at_once`` bounds the calls under way,
    of all threads together, ``seconds`` one call. What was spent is in ``purse``; a budget that ends leaves
    ``UNAVAILABLE`` rows. With ``replay`` every reply that could be read is kept and never asked for again: a second run
    asks for the rest.

    A row that fails has a `Status`: ``REFUSED`` (refusal, content filter), ``EMPTY``, ``TOO_LONG``, ``INVALID`` (the
    request is not accepted), ``UNPARSABLE`` (rubbish), ``TIMEOUT``, ``UNAVAILABLE`` (nobody there, overloaded, rate
    limited, key, budget), ``UNREADABLE_MEDIA``. No row is lost, and none raises.

    Raises:
        ValueError: the address is not http(s), holds a name or password, or a key would go unencrypted over a network.
    """

    url: str
    model: str
    key: str | None = None
    max_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    at_once: int = 8
    seconds: float = 120.0
    patience: Patience = field(default_factory=Patience)
    purse: Purse = field(default_factory=Purse)
    replay: Replay | None = None
    frames: Frames = EIGHT
    transport: Transport = field(default_factory=network, repr=False)
    _slots: threading.Semaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{_address(self.url)}: need an address like https://host/v1")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"{_address(self.url)}: a key does not belong into the address: name its variable as key=")
        if self.key is not None and parts.scheme == "http" and not _own_machine(parts.hostname):
            raise ValueError(f"{self.url}: a key goes only over https, or to this machine")
        if self.at_once < 1 or self.max_tokens < 1 or self.seconds <= 0:
            raise ValueError(f"need positive numbers, got {self.at_once}, {self.max_tokens}, {self.seconds}")
        object.__setattr__(self, "url", self.url.rstrip("/"))
        object.__setattr__(self, "_slots", threading.Semaphore(self.at_once))

    @property
    def name(self) -> str:
        """The model and where it is."""
        return f"{self.model}@{self.url}"

    @property
    def fingerprint(self) -> str:
        """sha256 of what an answer depends on beside the prompt: address, model, parameters, frames of a video."""
        return key_of({**self._parameters({}), "url": self.url, "frames": self.frames.fingerprint})

    def answer(self, prompts: Sequence[Prompt], n: int = 1, seed: int = 0, /) -> list[list[Answer]]:
        """``n`` answers to each prompt, each a call with a seed of its own.

        Raises:
            ValueError: ``n`` is below 1.
        """
        if n < 1:
            raise ValueError(f"need at least 1 answer, got {n}")
        cells = self.ask([Ask(prompt, {"seed": seed_of(seed, copy)}) for prompt in prompts for copy in range(n)])
        return [cells[start : start + n] for start in range(0, len(cells), n)]

    def answer_json(
        self, prompts: Sequence[Prompt], schemas: Sequence[Mapping[str, Any]], n: int = 1, seed: int = 0, /
    ) -> list[list[Answer]]:
        """As `answer`, each prompt's answers held to its JSON schema by the endpoint (``response_format``); one that
        does not take that says so (`Status.INVALID`).

        Raises:
            ValueError: ``n`` is below 1, or not a schema for each prompt.
        """
        if n < 1:
            raise ValueError(f"need at least 1 answer, got {n}")
        asks = [
            Ask(prompt, {"seed": seed_of(seed, copy), "response_format": _format(schema)})
            for prompt, schema in zip(prompts, schemas, strict=True)
            for copy in range(n)
        ]
        cells = self.ask(asks)
        return [cells[start : start + n] for start in range(0, len(cells), n)]

    def ask(self, asks: Sequence[Ask], /) -> list[Answer]:
        """What became of each call, in order; equal ones are made once."""
        return [_answer(outcome, cost) for outcome, cost in self._all(asks)]

    def label_odds(self, prompts: Sequence[Prompt], labels: Sequence[str], /) -> list[Odds]:
        """The log-probability of each label to follow each prompt, as far as the likeliest tokens tell
        (`assay.models.endpoints.labels.odds`); the likeliest tokens are taken, whatever ``temperature``.

        Raises:
            ValueError: no label, an empty one, or the same one twice.
        """
        check_labels(labels)
        asks = {"logprobs": True, "top_logprobs": _TOP, "temperature": 0.0, "top_p": 1.0, "seed": 0}
        asks["max_tokens"] = listed.tokens_for(labels)
        return [self._odds(*found, labels) for found in self._all([Ask(prompt, asks) for prompt in prompts])]

    def offers(self) -> Offer:
        """Find out, by one call (a replayable one), whether it gives log-probabilities."""
        from assay.records.record import messages_of

        asks = {"logprobs": True, "top_logprobs": _TOP, "temperature": 0.0, "seed": 0, "max_tokens": 1}
        ((outcome, _),) = self._all([Ask(messages_of("Say yes.", "user"), asks)])
        if isinstance(outcome, Said):
            steps = outcome.steps or ()
            top = max((len(step.top) for step in steps), default=0)
            return Offer(bool(top), top, "" if top else self._silent())
        refused = outcome.status is Status.INVALID and "logprob" in outcome.message.lower()
        return Offer(False if refused else None, 0, outcome.message)

    def _odds(self, outcome: Read, cost: Cost, labels: Sequence[str]) -> Odds:
        nothing = (math.nan,) * len(labels)
        if isinstance(outcome, Failure):
            return Odds(nothing, outcome.status, outcome.message, cost)
        if not outcome.steps or not any(step.top for step in outcome.steps):
            return Odds(nothing, Status.UNAVAILABLE, self._silent(), cost)
        return listed.odds(outcome.steps, labels, cost)

    def _silent(self) -> str:
        return f"{self.name} gives no log-probabilities of its likeliest tokens: ask it for answers"

    def _parameters(self, asks: Mapping[str, Any]) -> dict[str, Any]:
        own = {"max_tokens": self.max_tokens, "temperature": self.temperature, "top_p": self.top_p}
        sent = {"model": self.model, **own, **asks, **self.parameters}
        if "max_tokens" in asks and self.parameters.get("max_completion_tokens") is not None:
            sent["max_completion_tokens"] = asks["max_tokens"]
        return {name: value for name, value in sent.items() if value is not None}

    def _all(self, asked: Sequence[Ask]) -> list[tuple[Read, Cost]]:
        """What became of each, in order; equal ones are asked once, and cost once."""
        cells = [self._call(each) for each in asked]
        calls = {cell.key: cell for cell in cells if isinstance(cell, _Call)}
        gate = Turnstile(self.patience)
        pool = ThreadPoolExecutor(min(self.at_once, max(1, len(calls))), thread_name_prefix="endpoint")
        try:
            found = dict(zip(calls, pool.map(partial(self._safely, gate), calls.values()), strict=True))
        except BaseException:
            gate.close("interrupted")
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        rows: list[tuple[Read, Cost]] = []
        for cell in cells:
            if isinstance(cell, Failure):
                rows.append((cell, Cost()))
                continue
            outcome, cost = found[cell.key]
            found[cell.key] = outcome, Cost()
            rows.append((outcome, cost))
        return rows

    def _call(self, ask: Ask) -> _Call | Failure:
        sent = self._parameters(ask.parameters)
        try:
            contents = hashed(ask.prompt, self.frames)
        except (MediaError, OSError) as error:
            return Failure(media_status(error), str(error))
        described = {"endpoint": self.url, "parameters": sent, "messages": contents, "asked": dict(ask.parameters)}
        return _Call(key_of(described), ask.prompt, sent, described, ask.enough)

    def _safely(self, gate: Turnstile, call: _Call) -> tuple[Read, Cost]:
        try:
            with self._slots:
                return self._asked(gate, call)
        except (MediaError, OSError) as error:
            return Failure(media_status(error), str(error)), Cost()
        except Exception as error:  # noqa: BLE001 - a row that breaks takes no other with it
            return Failure(Status.FAILED, self._hide(f"{type(error).__name__}: {error}")), Cost()

    def _asked(self, gate: Turnstile, call: _Call) -> tuple[Read, Cost]:
        kept = self.replay.get(call.key) if self.replay is not None else None
        again = read_body(kept) if kept is not None else None
        if again is not None and (again.keeps if isinstance(again, Failure) else call.takes(again)):
            return again, Cost()
        if self.replay is not None and self.replay.only:
            return Failure(Status.UNAVAILABLE, f"not kept in {self.replay.directory}, and nothing is asked"), Cost()
        if gate.closed:
            return Failure(Status.UNAVAILABLE, f"not asked: {gate.closed}"), Cost()
        estimated = tokens_estimated(call.prompt, self.frames)
        longest = int(call.sent.get("max_completion_tokens", call.sent.get("max_tokens", self.max_tokens)))
        most = Cost(read=estimated, written=longest, calls=1)
        streams = {} if call.enough is None else streamed.ASKS
        sent = {**call.sent, **streams, "messages": written(call.prompt, self.frames)}
        body = json.dumps(sent, ensure_ascii=True).encode()
        outcome: Read = Failure(Status.UNAVAILABLE, "")
        spent = Cost()
        for attempt in range(1, self.patience.attempts + 1):
            if why := self._turn(gate):
                return Failure(Status.UNAVAILABLE, f"{outcome.message}; {why}" if outcome.message else why), spent
            if not self.purse.reserve(most):
                told = f"the budget of {self.purse.budget} leaves no room for this call: raise it and run again"
                return Failure(Status.UNAVAILABLE, told), spent
            cost = self.purse.priced(most)
            try:
                outcome, raw, wait = self._sent(body, call, estimated)
                cost = self._cost(outcome, most)
            finally:
                self.purse.settle(most, cost)
            spent += cost
            if isinstance(outcome, Said) or not outcome.again:
                outcome = self._kept(call, outcome, raw)
                break
            gate.hold(wait)
            if attempt < self.patience.attempts:
                self.patience.sleep(self.patience.wait(attempt))
        _count(gate, outcome)
        return outcome, spent

    def _turn(self, gate: Turnstile) -> str:
        """Wait until the endpoint may be asked; why it is not asked where that is too long, or it is given up."""
        while not gate.closed and (delay := gate.delay()):
            if delay > self.patience.longest:
                return (
                    f"the endpoint asks to wait {delay:.0f} s, more than {self.patience.longest:g} s: run again later"
                )
            self.patience.sleep(delay)
        return f"not asked: {gate.closed}" if gate.closed else ""

    def _sent(self, body: bytes, call: _Call, estimated: int) -> tuple[Read, bytes, float]:
        """One call: what it gave, its body without the key, and the seconds that the endpoint asks to wait."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "assay"}
        key = self._secret()
        if self.key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
            return Failure(Status.UNAVAILABLE, f"the environment variable {self.key} holds no key", closes=True), b"", 0
        if key:
            headers["Authorization"] = f"Bearer {key}"
        heard = None if call.enough is None else streamed.Listener(call.enough)
        take = None if heard is None else heard.take
        try:
            reply = self.transport.send(Request(f"{self.url}/chat/completions", body, headers, self.seconds, take))
        except TransportError as error:
            status = Status.TIMEOUT if error.late else Status.UNAVAILABLE
            return Failure(status, self._hide(f"{self.url}: {error}"), again=True, billed=error.late), b"", 0
        if heard is not None:
            reply = replace(reply, body=heard.body(reply.body, estimated))
        reply = replace(reply, body=reply.body.replace(key.encode(), _HIDDEN.encode()) if key else reply.body)
        return read(reply), reply.body, retry_after(reply.headers) or 0.0

    def _cost(self, outcome: Read, most: Cost) -> Cost:
        if outcome.cost is not None:
            return self.purse.priced(outcome.cost)
        billed = isinstance(outcome, Said) or outcome.billed
        return self.purse.priced(most) if billed else Cost(calls=1)

    def _kept(self, call: _Call, outcome: Read, raw: bytes) -> Read:
        if self.replay is None or (isinstance(outcome, Failure) and not outcome.keeps):
            return outcome
        try:
            self.replay.put(call.key, call.described, raw)
        except OSError as error:
            return replace(outcome, message=f"{outcome.message} (the reply could not be kept: {error})".strip())
        return outcome

    def _hide(self, text: str) -> str:
        key = self._secret()
        return text.replace(key, _HIDDEN) if key else text

    def _secret(self) -> str:
        return os.environ.get(self.key, "").strip() if self.key is not None else ""


@final
@dataclass(frozen=True, slots=True)
class _Call:
    """One call: what is sent, and what describes it in the replay folder."""

    key: str
    prompt: Prompt
    sent: Mapping[str, Any]
    described: Mapping[str, Any]
    enough: Callable[[str], bool] | None

    def takes(self, kept: Said) -> bool:
        """Whether a kept answer will do: a part of one only where it is enough."""
        return not kept.part or (self.enough is not None and self.enough(kept.text))


def _count(gate: Turnstile, outcome: Read) -> None:
    failed = isinstance(outcome, Failure)
    if failed and outcome.closes:
        gate.close(outcome.message)
    gate.count(lost=failed and outcome.again, why=outcome.message)


def _answer(outcome: Read, cost: Cost) -> Answer:
    if isinstance(outcome, Said):
        return Answer(outcome.text, message=outcome.message, cut=outcome.cut, cost=cost)
    return Answer(status=outcome.status, message=outcome.message, cut=outcome.cut, cost=cost)


def _format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}


def seed_of(seed: int, copy: int) -> int:
    """The seed that is sent for one of several answers."""
    return int.from_bytes(hashlib.sha256(f"{seed} {copy}".encode()).digest()[:4], "big") >> 1


def _own_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(url: str) -> str:
    """The address without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
