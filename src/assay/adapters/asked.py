"""Rows as adapters ask them: columns or a typed failure each, and single rows of many threads judged together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar, cast, final

from assay.adapters.rows import Judgement, judge
from assay.rewards.base import Reward, name_of, spec_of
from assay.scores import Status

_Row = TypeVar("_Row")
_MEDIA = ("images", "videos", "audios")


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, a completion, their media and further columns, as `assay.adapters.rows.judge` takes them."""

    prompt: Any
    completion: Any
    images: Any = None
    videos: Any = None
    audios: Any = None
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])


def judged(
    reward: Reward, rows: Sequence[Asked | Judgement], *, tags: bool = False, root: str | Path = ""
) -> list[Judgement]:
    """A judgement a row, in order. A row that was judged already (it could not be read) keeps its judgement."""
    asked = [row for row in rows if isinstance(row, Asked)]
    answers = iter(_judge(reward, asked, tags, root) if asked else ())
    return [row if isinstance(row, Judgement) else next(answers) for row in rows]


def _judge(reward: Reward, asked: Sequence[Asked], tags: bool, root: str | Path) -> list[Judgement]:
    media: dict[str, list[Any] | None] = {}
    for kind in _MEDIA:
        column = [getattr(row, kind) for row in asked]
        media[kind] = None if all(cell is None for cell in column) else column
    needs = [name for name in spec_of(reward).needs if any(name in row.context for row in asked)]
    return judge(
        reward,
        [row.prompt for row in asked],
        [row.completion for row in asked],
        **cast("dict[str, Any]", media),
        context={name: [row.context.get(name) for row in asked] for name in needs},
        tags=tags,
        root=root,
    )


def context_of(reward: Reward, given: Mapping[str, Any], truth: Any, column: str | None) -> dict[str, Any]:
    """The columns of a row with its ground truth under ``ground_truth`` and ``column``; without ``column``, under the
    one column that the reward needs and the row does not give, if there is one."""
    context = {**given, "ground_truth": truth}
    missing = [name for name in spec_of(reward).needs if name not in context]
    place = column or (missing[0] if len(missing) == 1 else None)
    return context if place is None or truth is None else {**context, place: truth}


def refuse_groups(reward: Reward, instead: str) -> None:
    """For callers that ask one response at a time.

    Raises:
        ValueError: the reward's score means something only beside the other responses of its prompt.
    """
    if spec_of(reward).scale == "within_group":
        raise ValueError(f"{name_of(reward)} compares the responses of a prompt, and is asked one at a time; {instead}")


@final
class _Ticket(Generic[_Row]):
    """A row that waits, and what became of it."""

    def __init__(self, row: _Row) -> None:
        self.row = row
        self.judgement: Judgement | None = None
        self.error: BaseException | None = None


@final
@dataclass(frozen=True)
class Together(Generic[_Row]):
    """Rows that threads ask one at a time, judged together: whoever comes next judges all that wait, at most ``most``.

    No timer: a row that comes alone is judged at once, and those that come meanwhile are the next batch. One batch runs
    at a time, so a reward needs no lock of its own.
    """

    judge: Callable[[Sequence[_Row]], Sequence[Judgement]]
    most: int = 256
    _waiting: list[_Ticket[_Row]] = field(default_factory=list[Any], init=False, repr=False, compare=False)
    _guard: Any = field(default_factory=Lock, init=False, repr=False, compare=False)
    _turn: Any = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __call__(self, row: _Row) -> Judgement:
        ticket = _Ticket(row)
        with self._guard:
            self._waiting.append(ticket)
        while ticket.judgement is None and ticket.error is None:
            with self._turn:
                if ticket.judgement is None and ticket.error is None:
                    self._run()
        if ticket.error is not None:
            raise ticket.error
        assert ticket.judgement is not None
        return ticket.judgement

    def _run(self) -> None:
        with self._guard:
            batch = self._waiting[: self.most]
            del self._waiting[: self.most]
        try:
            answers = self.judge([ticket.row for ticket in batch])
        except BaseException as error:  # noqa: BLE001 each thread that waits raises it
            for ticket in batch:
                ticket.error = error
            return
        for ticket, answer in zip(batch, answers, strict=True):
            ticket.judgement = answer

    def __reduce__(self) -> tuple[Any, ...]:
        return Together, (self.judge, self.most)


def unjudged(status: Status, message: str) -> Judgement:
    """A row that no reward is asked about, and why."""
    return Judgement(None, status, message)
