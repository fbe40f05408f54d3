"""What waits for one reward: requests cut into units, taken in turns and by shared prompts, a budget at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from assay.records import Record
from assay.scores import Status

Row: TypeAlias = Mapping[str, Any]
"""A row of `assay.runs.results.rows_of`; its id is not read."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may wait for one version of a reward, and what of it is computed at once.

    ``tokens`` and ``rows`` (responses) bound what waits, ``batch_tokens`` what is computed in one call; a unit that
    alone exceeds it is a call of its own. A model that computes here is not given more at once than takes it about
    ``batch_seconds``, so that on a slow machine, too, turns come round soon. A reward that is free waits up to ``wait``
    seconds for company. A row that has not begun after ``seconds`` is given up, where its request does not say
    otherwise. An isolated reward that computes longer than ``hang`` seconds at a time is taken for dead.

    Raises:
        ValueError: a bound that is not positive.
    """

    tokens: int = 262_144
    rows: int = 65_536
    batch_tokens: int = 16_384
    batch_seconds: float = 1.0
    wait: float = 0.004
    seconds: float = 60.0
    hang: float = 600.0

    def __post_init__(self) -> None:
        bounds = {"tokens": self.tokens, "rows": self.rows, "batch_tokens": self.batch_tokens}
        bounds |= {"batch_seconds": self.batch_seconds, "seconds": self.seconds, "hang": self.hang}
        if wrong := [name for name, bound in bounds.items() if not bound > 0]:
            raise ValueError(f"{wrong[0]} must be positive, got {bounds[wrong[0]]}")
        if not self.wait >= 0:
            raise ValueError(f"wait must not be negative, got {self.wait}")


@final
@dataclass(slots=True, eq=False)
class Unit:
    """What is judged together: one response, a record whose responses mean something only together, or all records.

    ``places`` are its rows in the request, ``kept`` what each of them is kept under, ``origin`` the first row of the
    record that it is of. Units of equal ``key`` share the prompt, of ``shared`` tokens; ``own`` tokens are their own.
    Of units of equal ``twin`` one is computed. ``alone``: nothing else may be in the same call.
    """

    request: Request
    records: tuple[Record, ...]
    places: range
    kept: tuple[bytes | None, ...]
    origin: int
    key: Hashable
    shared: int
    own: int
    twin: Hashable = None
    alone: bool = False


@final
@dataclass(slots=True, eq=False)
class Request:
    """Rows that one caller waits for: those that are there, and the units of the others that wait, by prompt.

    ``finished`` is called when every row is there. ``arrived`` and ``deadline`` are in seconds of one clock. ``tokens``
    are what waits, each prompt once; ``waiting`` its rows.
    """

    arrived: float
    deadline: float
    finished: Callable[[], None]
    rows: list[Row | None] = field(default_factory=list["Row | None"])
    units: dict[Hashable, deque[Unit]] = field(default_factory=dict[Hashable, deque[Unit]])
    tokens: int = 0
    waiting: int = 0
    left: int = 0
    begun: bool = False

    def extend(self, rows: Sequence[Row | None]) -> None:
        """Further rows: those that are there, None for those that are not."""
        self.rows.extend(rows)
        self.left += sum(row is None for row in rows)

    def add(self, unit: Unit) -> None:
        """A unit that has to be judged."""
        if unit.key not in self.units:
            self.units[unit.key] = deque()
            self.tokens += unit.shared
        self.units[unit.key].append(unit)
        self.tokens += unit.own
        self.waiting += len(unit.places)

    def first(self) -> Unit:
        """The unit whose turn is next."""
        return next(iter(self.units.values()))[0]

    def take(self, key: Hashable) -> Unit:
        """Take out the next unit of this prompt."""
        of_key = self.units[key]
        unit = of_key.popleft()
        if not of_key:
            del self.units[key]
            self.tokens -= unit.shared
        self.tokens -= unit.own
        self.waiting -= len(unit.places)
        return unit

    def settle(self, places: Iterable[int], rows: Sequence[Row]) -> None:
        """Rows that are there now; the first answer to a row is the one that stays."""
        for place, row in zip(places, rows, strict=True):
            if self.rows[place] is None:
                self.rows[place] = row
                self.left -= 1
        if self.left == 0:
            self.finished()

    def give_up(self, status: Status, message: str) -> None:
        """Answer whatever is not there yet with this status."""
        missing = [place for place, row in enumerate(self.rows) if row is None]
        self.settle(missing, [abstention(status, message)] * len(missing))


def abstention(status: Status, message: str) -> Row:
    """A row without a score."""
    return {"value": None, "status": str(status), "message": message}


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """Units to compute in one call, and their cost in tokens, each shared prompt counted once."""

    units: tuple[Unit, ...]
    tokens: int

    def by_request(self) -> list[Batch]:
        """The same units, those of each request by themselves."""
        found: dict[Request, _Taken] = {}
        for unit in self.units:
            found.setdefault(unit.request, _Taken(0)).add(unit)
        return [Batch(tuple(each.units), each.tokens) for each in found.values()]


@final
class Queue:
    """Requests in a ring; each gives one unit in its turn, however much it holds.

    A request that gives a unit is followed, within the budget, by one unit of every other request with the same
    prompt, since that prompt is paid for. No lock: one thread alone may use a queue.
    """

    def __init__(self, limits: QueueLimits) -> None:
        self.limits = limits
        self.tokens = 0
        self.rows = 0
        self._ring: dict[Request, None] = {}
        self._by_key: dict[Hashable, dict[Request, None]] = {}

    def __len__(self) -> int:
        return len(self._ring)

    @property
    def requests(self) -> tuple[Request, ...]:
        """What waits, in the order of turns."""
        return tuple(self._ring)

    @property
    def arrived(self) -> float:
        """When the request that has waited longest arrived."""
        return min(request.arrived for request in self._ring)

    def has_room(self, request: Request) -> bool:
        """Whether the request fits beside what waits."""
        return self.tokens + request.tokens <= self.limits.tokens and self.rows + request.waiting <= self.limits.rows

    def could_hold(self, request: Request) -> bool:
        """Whether the request would fit if nothing waited."""
        return request.tokens <= self.limits.tokens and request.waiting <= self.limits.rows

    def add(self, request: Request) -> None:
        """Let a request wait."""
        if not request.units:
            return
        self._ring[request] = None
        self.tokens += request.tokens
        self.rows += request.waiting
        for key in request.units:
            self._by_key.setdefault(key, {})[request] = None

    def remove(self, request: Request) -> range | tuple[int, ...]:
        """Take out what of a request still waits; the rows that nobody will compute now."""
        if request not in self._ring:
            return ()
        del self._ring[request]
        self.tokens -= request.tokens
        self.rows -= request.waiting
        places = tuple(place for units in request.units.values() for unit in units for place in unit.places)
        for key in request.units:
            self._forget(key, request)
        request.units.clear()
        request.tokens = request.waiting = 0
        return places

    def expire(self, now: float) -> None:
        """Answer the rows of requests whose deadline has passed with ``TIMEOUT``."""
        for request in [request for request in self._ring if request.deadline <= now]:
            self.time_out(request)

    def time_out(self, request: Request) -> None:
        """Answer the rows of one request that still wait with ``TIMEOUT``."""
        places = self.remove(request)
        message = f"not begun within {request.deadline - request.arrived:g} s"
        request.settle(places, [abstention(Status.TIMEOUT, message)] * len(places))

    def take(self, budget: int) -> Batch:
        """The next units to compute: at least one where anything waits, and no more than the budget beyond it."""
        taken = _Taken(budget)
        while self._ring:
            request = next(iter(self._ring))
            unit = request.first()
            if not taken.fits(unit):
                break
            self._take(request, unit.key, taken)
            if unit.alone:
                break
            self._take_with(unit.key, request, taken)
        return Batch(tuple(taken.units), taken.tokens)

    def _take_with(self, key: Hashable, giver: Request, taken: _Taken) -> None:
        """One unit of every other request with this prompt, while they fit."""
        for request in [other for other in self._by_key.get(key, ()) if other is not giver]:
            if not taken.fits(request.units[key][0]):
                return
            self._take(request, key, taken)

    def _take(self, request: Request, key: Hashable, taken: _Taken) -> None:
        before = request.tokens
        unit = request.take(key)
        self.tokens -= before - request.tokens
        self.rows -= len(unit.places)
        taken.add(unit)
        del self._ring[request]
        if request.units:
            self._ring[request] = None
        if key not in request.units:
            self._forget(key, request)

    def _forget(self, key: Hashable, request: Request) -> None:
        requests = self._by_key[key]
        del requests[request]
        if not requests:
            del self._by_key[key]


@final
class _Taken:
    """A batch as it fills."""

    def __init__(self, budget: int) -> None:
        self.units: list[Unit] = []
        self.tokens = 0
        self._budget = budget
        self._paid: set[Hashable] = set()
        self._twins: set[Hashable] = set()

    def fits(self, unit: Unit) -> bool:
        if not self.units:
            return True
        return not unit.alone and self.tokens + self._cost(unit) <= self._budget

    def add(self, unit: Unit) -> None:
        self.tokens += self._cost(unit)
        self.units.append(unit)
        self._paid.add(unit.key)
        if unit.twin is not None:
            self._twins.add(unit.twin)

    def _cost(self, unit: Unit) -> int:
        if unit.twin in self._twins:
            return 0
        return unit.own + (0 if unit.key in self._paid else unit.shared)
