"""A reward on a server, as a reward here: every failure is a row's, and a changed model never goes unnoticed."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast, final
from urllib.parse import unquote, urlsplit

from assay.models.endpoints.patience import Patience, Turnstile, retry_after
from assay.models.endpoints.transport import Reply, Request, Transport, TransportError, network
from assay.records import Record
from assay.rewards.base import ContractError, expected_ids, group_index, scores_of
from assay.rewards.batches import batched
from assay.runs.reading import scores_from
from assay.scores import Scores, Status
from assay.serving.sending import Unsent, row_of
from assay.spec import Spec

TOKEN = "ASSAY_TOKEN"  # noqa: S105 - the name of a variable
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_LATE = (408, 504)
_CLOSED = (401, 403)
_GRACE = 5.0
_LONGEST = 3_600.0
_DIGITS = 32


class RemoteError(RuntimeError):
    """A server that cannot be asked what it serves: the address, the token, or the name of the reward is wrong, or
    nobody is there."""


class ChangedRewardError(ContractError):
    """The server no longer has the version of the reward that was asked before."""


class ServerLostError(ContractError):
    """The server could not be reached, or refused, for as long as it was tried."""


@final
@dataclass(frozen=True, slots=True)
class Known:
    """What a server says of a reward."""

    name: str
    fingerprint: str
    recipe: str
    spec: Spec


@final
@dataclass(frozen=True)
class RemoteReward:
    """The reward that ``assay serve`` serves as ``reward`` (``name``, or ``name@fingerprint``; None: its only or first
    one) at ``url``. Its spec and fingerprint are the server's, asked for when they are first needed.

    The version that was current then is asked by its fingerprint from then on, also when another is promoted; when the
    server has it no more, or answers with another, `ChangedRewardError`. With ``follow`` whatever is current answers.

    Up to ``batch`` responses go in a request, ``at_once`` requests at a time, each with ``seconds`` to be answered;
    what is answered by 408, 429 or 5xx, or not at all, is asked again by ``patience``. ``within`` bounds a call in all.
    A row that has no score then is ``UNAVAILABLE``, ``TIMEOUT``, or ``INVALID`` where the server refuses it; with
    ``insist`` a server that is lost is a `ServerLostError` instead, so that a run can be resumed. Media go by their
    bytes.

    ``token``, else the variable ASSAY_TOKEN, goes only over https or to this machine, unless ``insecure``.

    Raises:
        ValueError: the address is not http(s), holds a name or password, or a number is not positive.
    """

    url: str
    reward: str | None = None
    token: str | None = field(default=None, repr=False)
    seconds: float = 60.0
    within: float | None = None
    batch: int = 64
    at_once: int = 4
    patience: Patience = field(default_factory=Patience)
    follow: bool = False
    insist: bool = False
    insecure: bool = False
    transport: Transport | None = field(default=None, repr=False, compare=False)
    _known: Known | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("need the address of a server, like http://host:8000")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"a token does not belong into the address: give it as token=, or in {TOKEN}")
        if self.batch < 1 or self.at_once < 1 or self.seconds <= 0 or (self.within is not None and self.within <= 0):
            raise ValueError("batch, at_once, seconds and within are positive")
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def __repr__(self) -> str:
        follow = ", follow=True" if self.follow else ""
        return f"RemoteReward({self.url!r}, {self.reward!r}{follow})"

    @property
    def known(self) -> Known:
        """What the server says of the reward; asked for once.

        Raises:
            RemoteError: it cannot be asked, or has no such reward.
        """
        if self._known is None:
            object.__setattr__(self, "_known", self._asked())
        assert self._known is not None
        return self._known

    @property
    def spec(self) -> Spec:
        """As the server declares it. Raises as `known`."""
        return self.known.spec

    def fingerprint(self) -> str:
        """That of the reward on the server. Raises as `known`."""
        return self.known.fingerprint

    def __call__(self, records: Sequence[Record], /) -> Scores:
        """Scores by the server, in order.

        Raises:
            ChangedRewardError: the server has another version.
            ServerLostError: the server is lost, and this reward insists.
        """
        return self._scores(records, Turnstile(self.patience))

    async def score_async(self, records: Sequence[Record], /) -> Scores:
        """As calling it, beside other work of an event loop; cancelled, it sends no further request."""
        gate = Turnstile(self.patience)
        try:
            return await asyncio.to_thread(self._scores, records, gate)
        except asyncio.CancelledError:
            gate.close("cancelled")
            raise

    def _scores(self, records: Sequence[Record], gate: Turnstile) -> Scores:
        try:
            known = self.known
        except RemoteError as error:
            return self._lost(list(records), Status.UNAVAILABLE, str(error))
        ends = math.inf if self.within is None else time.monotonic() + self.within
        seen = [record.view(known.spec.needs) for record in records]
        batches = list(batched(seen, self.batch)) if known.spec.order_invariant else [seen] if seen else []
        pool = ThreadPoolExecutor(min(self.at_once, max(1, len(batches))), thread_name_prefix="remote")
        try:
            found = Scores.concatenate(list(pool.map(lambda batch: self._batch(batch, known, gate, ends), batches)))
            return found.replace(ids=expected_ids(records), group=group_index(records))
        except BaseException:
            gate.close("interrupted")
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _batch(self, records: Sequence[Record], known: Known, gate: Turnstile, ends: float) -> Scores:
        """The scores of some records: those that can be sent, sent; the others by why they cannot."""
        records = _apart(records)
        rows = [row_of(record) for record in records]
        sent = [record for record, row in zip(records, rows, strict=True) if isinstance(row, str)]
        judged = self._sent(sent, [row for row in rows if isinstance(row, str)], known, gate, ends) if sent else None
        if judged is not None and len(sent) == len(records):
            return judged
        parts: list[Scores] = []
        place = 0
        for record, row in zip(records, rows, strict=True):
            count = len(record.responses)
            if isinstance(row, Unsent):
                parts.append(scores_of([record], [math.nan] * count, [row.status] * count, [row.message] * count))
            elif judged is not None:
                parts.append(judged[place : place + count])
                place += count
        return Scores.concatenate(parts)

    def _sent(self, records: list[Record], rows: list[str], known: Known, gate: Turnstile, ends: float) -> Scores:
        """One request for these rows; in halves where it is too large for the server."""
        name = known.name if self.follow else f"{known.name}@{known.fingerprint[:_DIGITS]}"
        given = max(0.001, min(self.seconds, ends - time.monotonic(), _LONGEST))
        head = json.dumps({"reward": name, "seconds": round(given, 3)})[:-1]
        body = f'{head}, "records": [{", ".join(rows)}]}}'.encode("utf-8", "surrogatepass")
        found = self._exchanged("/v1/scores", body, gate, ends)
        if isinstance(found, Unsent):
            return self._lost(records, found.status, found.message)
        if found.code == 200:
            return self._read(found, records, known)
        if found.code == 413 and len(records) > 1:
            half = len(records) // 2
            return Scores.concatenate(
                [
                    self._sent(records[:half], rows[:half], known, gate, ends),
                    self._sent(records[half:], rows[half:], known, gate, ends),
                ]
            )
        if found.code == 404:
            raise ChangedRewardError(f"{self.url} no longer has {name}: {_told(found)}; connect to it again")
        if found.code in _CLOSED:
            gate.close(_told(found))
            return self._lost(records, Status.UNAVAILABLE, _told(found))
        return _failed(records, Status.INVALID, _told(found))

    def _read(self, reply: Reply, records: list[Record], known: Known) -> Scores:
        try:
            content = cast("dict[str, Any]", json.loads(reply.body))
            rows, now = cast("list[dict[str, Any]]", content["rows"]), str(content["fingerprint"])
            found = scores_from(rows, records) if [row["id"] for row in rows] == list(expected_ids(records)) else None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            return _failed(records, Status.UNPARSABLE, f"{self.url} answers something else than scores ({error})")
        if found is None:
            return _failed(records, Status.UNPARSABLE, f"{self.url} answers rows of other responses")
        if now != known.fingerprint and not self.follow:
            raise ChangedRewardError(
                f"{self.url} answered as {known.name}@{now[:12]}, not as the {known.fingerprint[:12]} that was asked; "
                "connect to it again, or follow=True to take whatever is current"
            )
        return found

    def _exchanged(self, path: str, body: bytes | None, gate: Turnstile, ends: float) -> Reply | Unsent:
        """A reply that is not worth another attempt; else why there is none."""
        found = Unsent(Status.UNAVAILABLE, "")
        for attempt in range(1, self.patience.attempts + 1):
            if stopped := self._turn(gate, ends):
                return Unsent(stopped.status, "; ".join(filter(None, (found.message, stopped.message))))
            left = min(self.seconds + _GRACE, ends - time.monotonic())
            request = Request(self.url + path, body or b"", self._headers(), left, method="POST" if body else "GET")
            try:
                reply = (self.transport or _shared()).send(request)
            except TransportError as error:
                found = Unsent(Status.TIMEOUT if error.late else Status.UNAVAILABLE, f"{self.url}: {error}")
                if error.late:
                    break
            else:
                if reply.code not in _AGAIN:
                    gate.count(lost=False)
                    return reply
                found = Unsent(Status.TIMEOUT if reply.code in _LATE else Status.UNAVAILABLE, _told(reply))
                gate.hold(retry_after(reply.headers) or 0.0)
            if attempt < self.patience.attempts:
                self.patience.sleep(max(0.0, min(self.patience.wait(attempt), ends - time.monotonic())))
        gate.count(lost=True, why=found.message)
        return found

    def _turn(self, gate: Turnstile, ends: float) -> Unsent | None:
        """Wait until the server may be asked; why it is not, where it is given up or that would be too late."""
        while not gate.closed and (delay := gate.delay()):
            if delay > min(self.patience.longest, ends - time.monotonic()):
                return Unsent(Status.UNAVAILABLE, f"the server asks to wait {delay:.0f} s")
            self.patience.sleep(delay)
        if time.monotonic() >= ends:
            return Unsent(Status.TIMEOUT, f"not answered within {self.within:g} s")
        return Unsent(Status.UNAVAILABLE, f"not asked: {gate.closed}") if gate.closed else None

    def _lost(self, records: list[Record], status: Status, message: str) -> Scores:
        if self.insist and status is Status.UNAVAILABLE:
            raise ServerLostError(f"{message}; what was scored is kept: run it again when the server is back")
        return _failed(records, status, message)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "assay"}
        token = self.token or os.environ.get(TOKEN, "").strip()
        if token and (self.insecure or self.url.startswith("https:") or _own_machine(self.url)):
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _asked(self) -> Known:
        found = self._exchanged("/v1/rewards", None, Turnstile(self.patience), time.monotonic() + self.seconds)
        if isinstance(found, Unsent):
            raise RemoteError(f"{self.url} cannot be asked: {found.message}")
        if found.code in _CLOSED:
            raise RemoteError(f"{self.url} wants a token: give it as token=, or in {TOKEN}, over https")
        if found.code != 200:
            raise RemoteError(f"{self.url} is no Assay server: {_told(found)}")
        try:
            served = [_known(each) for each in json.loads(found.body)["rewards"]]
        except (ValueError, LookupError, TypeError) as error:
            raise RemoteError(f"{self.url} is no Assay server ({type(error).__name__}: {error})") from None
        return self._chosen(served)

    def _chosen(self, served: Sequence[tuple[Known, bool]]) -> Known:
        name, _, prefix = (self.reward or "").partition("@")
        for known, current in served:
            if name in ("", known.name) and (known.fingerprint.startswith(prefix) if prefix else current):
                return known
        have = ", ".join(f"{known.name}@{known.fingerprint[:12]}" for known, _ in served) or "nothing yet"
        raise RemoteError(f"{self.url} does not serve {self.reward or 'a reward'}; it serves {have}")


def connect(url: str, reward: str | None = None, **given: Any) -> RemoteReward:
    """A `RemoteReward` that has asked its server what the reward is. ``given`` are its other fields.

    Raises:
        RemoteError: the server cannot be asked, or has no such reward.
    """
    remote = RemoteReward(url, reward, **given)
    _ = remote.known
    return remote


def from_reference(reference: str, **given: Any) -> RemoteReward:
    """`connect` to ``http(s)://host:port/NAME`` or ``.../NAME@fingerprint``; without a NAME the server's first reward.
    A ``/`` in a name is written ``%2F``.

    Raises:
        RemoteError: the server cannot be asked, or has no such reward.
        ValueError: it is no such address.
    """
    parts = urlsplit(reference)
    path, _, name = parts.path.rstrip("/").rpartition("/")
    return connect(f"{parts.scheme}://{parts.netloc}{path}", unquote(name) or None, **given)


def _apart(records: Sequence[Record]) -> Sequence[Record]:
    """The records, those that repeat an id under another one: a request names each record once."""
    taken = {record.id for record in records}
    if len(taken) == len(records):
        return records
    found: list[Record] = []
    met: set[str] = set()
    for place, record in enumerate(records):
        name = record.id
        while name in met or (name != record.id and name in taken):
            name = f"{name}~{place}"
        met.add(name)
        found.append(record if name == record.id else replace(record, id=name))
    return found


def _shared() -> Transport:
    """The connections that all remote rewards of this process share; one that was forked makes its own."""
    return _connections(os.getpid())


@cache
def _connections(process: int) -> Transport:
    del process
    return network()


def _known(described: Mapping[str, Any]) -> tuple[Known, bool]:
    spec = dict(described["spec"])
    spec |= {"modalities": frozenset(spec["modalities"]), "needs": tuple(spec["needs"])}
    known = Known(str(described["name"]), str(described["fingerprint"]), str(described["recipe"]), Spec(**spec))
    return known, bool(described["current"])


def _failed(records: Sequence[Record], status: Status, message: str) -> Scores:
    rows = sum(len(record.responses) for record in records)
    return scores_of(records, [math.nan] * rows, [status] * rows, [message] * rows)


def _told(reply: Reply) -> str:
    """What a refusal says, in one line."""
    said = ""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        error = json.loads(reply.body)["error"]
        said = f"{error['code']}: {error['message']}"
    return f"the server answered {reply.code}" + (f" ({said[:500]})" if said else "")


def _own_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
