"""Outside reward functions as Assay rewards: plain ``f(prompt, response)``, TRL's and verl's shapes.

What the function raises, and what it returns that is no number, becomes the status of a row: ``FAILED`` with what was
raised (``TIMEOUT``, ``UNAVAILABLE``, ``OUT_OF_MEMORY`` and ``UNREADABLE_MEDIA`` for errors that say so), ``GATED`` for
None, ``NON_FINITE`` for NaN and infinities, ``UNPARSABLE`` for anything else. What it is, only its caller knows: give
its `Spec`. The function runs in this process with all its rights; `assay.rewards.program` confines code.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from traceback import format_exception_only
from typing import Any, TypeAlias, cast, final

import torch

from assay.adapters.waiting import waited
from assay.media import Image, Part, Text
from assay.records import Message, Record, Response
from assay.records.attachments import kind_of
from assay.records.chat import to_chat
from assay.rewards.base import ContractError, name_of, scores_of
from assay.rewards.batches import status_of
from assay.scores import RESERVED, Scores, Status
from assay.spec import Spec

__all__ = ["Ask", "OutsideReward", "Row", "from_function", "from_trl", "from_verl"]

Row: TypeAlias = tuple[Record, Response]
Ask: TypeAlias = Callable[[Sequence[Row]], Sequence[object]]
"""Rows to what the function said of each: a number, None, or a mapping with the value under a key."""

_LARGEST = torch.finfo(torch.float32).max


@final
@dataclass(frozen=True, slots=True)
class _Lost:
    """Why a row has no answer."""

    status: Status
    message: str


@final
@dataclass(frozen=True)
class OutsideReward:
    """A reward that asks an outside function; made by `from_function`, `from_trl` or `from_verl`.

    ``ask`` is handed ``at_once`` rows of a call together, or (None) all; when it raises on several, each record is
    asked alone, so that only the rows that fail are lost. ``value`` is the key of the number in an answer that is a
    mapping; its other numbers become attributes.
    """

    ask: Ask
    name: str
    spec: Spec
    at_once: int | None = None
    value: str = "score"

    def __call__(self, records: Sequence[Record], /) -> Scores:
        """
        Raises:
            ContractError: the function answered another number of rows than it was asked.
        """
        rows = [(record, response) for record in records for response in record.responses]
        size = self.at_once or max(len(rows), 1)
        answers: list[object] = []
        for start in range(0, len(rows), size):
            answers += self._answers(rows[start : start + size])
        return _scores(records, answers, self.value)

    def _answers(self, rows: Sequence[Row]) -> Sequence[object]:
        known = [_missing(record, self.spec.needs) for record, _ in rows]
        asked = [row for row, lost in zip(rows, known, strict=True) if lost is None]
        answers = iter(self._asked(asked) if asked else ())
        return [next(answers) if lost is None else lost for lost in known]

    def _asked(self, rows: Sequence[Row]) -> Sequence[object]:
        try:
            answers = list(self.ask(rows))
        except ContractError:
            raise
        except Exception as error:  # noqa: BLE001 whatever an outside function raises is a row's status
            parts = _by_record(rows)
            if len(parts) == 1:
                return [_Lost(status_of(error), format_exception_only(error)[-1].strip())] * len(rows)
            return [answer for part in parts for answer in self._asked(part)]
        _check_count(self.name, answers, rows)
        return answers

    def __repr__(self) -> str:
        return f"OutsideReward({self.name})"


def from_function(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    spec: Spec | None = None,
    value: str = "score",
) -> OutsideReward:
    """``f(prompt, response, **columns)`` of two texts, sync or async; the columns are those that ``spec`` needs.

    It gives a number, or a mapping with the number under ``value``. The prompt is its messages' text, one line each. A
    row of which prompt or response holds media is ``UNSUPPORTED_MODALITY``: for a function of pictures see `from_trl`.
    """
    declared = spec or Spec()
    asked = _Plain(function, declared.needs)
    return OutsideReward(asked, name or name_of(function), declared, at_once=1, value=value)


def from_trl(
    function: Callable[..., Any],
    *,
    conversational: bool = False,
    name: str | None = None,
    spec: Spec | None = None,
    tokenize: Callable[[str], list[int]] | None = None,
) -> OutsideReward:
    """A reward function written for TRL: ``f(prompts, completions, **columns) -> list[float | None]``, or async.

    It is called by keyword with all rows at once, as `GRPOTrainer` does: prompts and completions as texts or, with
    ``conversational``, as lists of messages; the pictures of prompts stand in the messages and in ``images``, and other
    media in messages alone (without them their rows are ``UNSUPPORTED_MODALITY``); the columns are those that ``spec``
    needs. ``tokenize`` makes ``completion_ids`` of a completion's text.
    ``trainer_state`` is None, and what the function logs goes nowhere.

    Raises:
        ValueError: the function asks for ``completion_ids``, and there is no ``tokenize``.
    """
    declared = spec or Spec()
    if tokenize is None and "completion_ids" in _parameters(function)[0]:
        raise ValueError(f"{name_of(function)} takes completion_ids; give tokenize=, text to token ids")
    asked = _Trl(function, conversational, declared.needs, tokenize)
    return OutsideReward(asked, name or name_of(function), declared)


def from_verl(
    compute_score: Callable[..., Any],
    *,
    ground_truth: str | None = "answer",
    data_source: str = "",
    extra: Sequence[str] = (),
    name: str | None = None,
    spec: Spec | None = None,
) -> OutsideReward:
    """A reward function written for verl: ``compute_score(data_source, solution_str, ground_truth, extra_info)``.

    ``ground_truth`` and ``extra`` are columns of the records, needed with those that ``spec`` names; ``data_source`` is
    what the function chooses its rule by. A dictionary's "score" is the value, its other numbers attributes.
    """
    declared = spec or Spec()
    truth = () if ground_truth is None else (ground_truth,)
    needs = tuple(dict.fromkeys([*declared.needs, *truth, *extra]))
    asked = _Verl(compute_score, ground_truth, data_source, tuple(extra))
    return OutsideReward(asked, name or name_of(compute_score), replace(declared, needs=needs), at_once=1)


@final
@dataclass(frozen=True)
class _Plain:
    function: Callable[..., Any]
    columns: tuple[str, ...]

    def __call__(self, rows: Sequence[Row]) -> Sequence[object]:
        return [self._one(record, response) for record, response in rows]

    def _one(self, record: Record, response: Response) -> object:
        if media := _media(record, response):
            return _Lost(Status.UNSUPPORTED_MODALITY, f"the function reads text; there is {media}")
        given = {name: record.context[name] for name in self.columns}
        return waited(self.function(_text(record.prompt), response.text, **given))


@final
@dataclass(frozen=True)
class _Trl:
    function: Callable[..., Any]
    conversational: bool
    columns: tuple[str, ...]
    tokenize: Callable[[str], list[int]] | None

    def __call__(self, rows: Sequence[Row]) -> Sequence[object]:
        lost = [None if self.conversational else _not_in_texts(*row) for row in rows]
        asked = [row for row, why in zip(rows, lost, strict=True) if why is None]
        answers = list(self._answers(asked)) if asked else []
        _check_count(name_of(self.function), answers, asked)
        left = iter(answers)
        return [next(left) if why is None else why for why in lost]

    def _answers(self, rows: Sequence[Row]) -> Sequence[object]:
        chat = self.conversational
        given: dict[str, Any] = {
            "prompts": [_chat(record.prompt) if chat else _text(record.prompt) for record, _ in rows],
            "completions": [_chat(response.messages) if chat else response.text for _, response in rows],
            "trainer_state": None,
            "log_extra": _nowhere,
            "log_metric": _nowhere,
            **{name: [record.context[name] for record, _ in rows] for name in self.columns},
        }
        pictures = [_pictures(record.prompt) for record, _ in rows]
        if any(pictures):
            given["images"] = [[picture.pil() for picture in each] for each in pictures]
        if self.tokenize is not None:
            given["completion_ids"] = [self.tokenize(response.text) for _, response in rows]
        taken, others = _parameters(self.function)
        return waited(self.function(**{key: cell for key, cell in given.items() if others or key in taken}))


@final
@dataclass(frozen=True)
class _Verl:
    function: Callable[..., Any]
    ground_truth: str | None
    data_source: str
    extra: tuple[str, ...]

    def __call__(self, rows: Sequence[Row]) -> Sequence[object]:
        return [self._one(record, response) for record, response in rows]

    def _one(self, record: Record, response: Response) -> object:
        if media := _named(_parts(response.messages)):
            return _Lost(Status.UNSUPPORTED_MODALITY, f"the function reads the response's text; there is {media}")
        return waited(
            self.function(
                data_source=self.data_source,
                solution_str=response.text,
                ground_truth=None if self.ground_truth is None else record.context[self.ground_truth],
                extra_info={column: record.context[column] for column in self.extra},
            )
        )


def _scores(records: Sequence[Record], answers: Sequence[object], key: str) -> Scores:
    read = [_read(answer, key) for answer in answers]
    names = dict.fromkeys(name for _, attributes in read for name in attributes)
    values = [math.nan if isinstance(value, _Lost) else value for value, _ in read]
    return scores_of(
        records,
        torch.tensor(values),
        [value.status if isinstance(value, _Lost) else Status.OK for value, _ in read],
        [value.message if isinstance(value, _Lost) else "" for value, _ in read],
        attributes={name: torch.tensor([attributes.get(name, math.nan) for _, attributes in read]) for name in names},
    )


def _read(answer: object, key: str) -> tuple[float | _Lost, Mapping[str, float]]:
    """The number of an answer, or why there is none, and its further numbers."""
    if isinstance(answer, _Lost):
        return answer, {}
    if isinstance(answer, Mapping):
        cells = cast("Mapping[str, object]", answer)
        if key not in cells:
            return _Lost(Status.UNPARSABLE, f"a mapping without {key!r}: {sorted(map(str, cells))}"), {}
        numbers = {name: _number(cell) for name, cell in cells.items() if name != key}
        return _number(cells[key]), {
            f"attribute_{name}" if name in RESERVED else name: cell
            for name, cell in numbers.items()
            if not isinstance(cell, _Lost)
        }
    return _number(answer), {}


def _number(answer: object) -> float | _Lost:
    if answer is None:
        return _Lost(Status.GATED, "the function gave None")
    try:
        value = float(cast("Any", answer))
    except (TypeError, ValueError, RuntimeError):
        return _Lost(Status.UNPARSABLE, f"the function gave {type(answer).__name__} {str(answer)[:80]!r}, no number")
    return value if abs(value) <= _LARGEST else _Lost(Status.NON_FINITE, f"the function gave {value}")


def _check_count(name: str, answers: Sequence[object], rows: Sequence[Row]) -> None:
    if len(answers) != len(rows):
        raise ContractError(f"{name} answered {len(answers)} rows of {len(rows)}; it gives one answer a row")


def _missing(record: Record, needs: Sequence[str]) -> _Lost | None:
    missing = [name for name in needs if record.context.get(name) is None]
    return _Lost(Status.MISSING_CONTEXT, f"record {record.id} has no column {missing[0]!r}") if missing else None


def _by_record(rows: Sequence[Row]) -> list[list[Row]]:
    parts: list[list[Row]] = []
    for row in rows:
        if parts and parts[-1][-1][0] is row[0]:
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts


def _text(messages: Sequence[Message]) -> str:
    return "\n".join(message.text for message in messages)


def _chat(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as TRL hands them over: pictures in place, as PIL."""
    media: list[Part] = []
    turns = to_chat(messages, media.append)
    left = iter(media)
    for turn in turns:
        for part in cast("list[dict[str, Any]]", turn["content"]) if isinstance(turn["content"], list) else ():
            if part["type"] != "text":
                medium = next(left)
                part[part["type"]] = medium.pil() if isinstance(medium, Image) else medium
    return turns


def _pictures(messages: Sequence[Message]) -> list[Image]:
    return [part for message in messages for part in message.parts if isinstance(part, Image)]


def _media(record: Record, response: Response) -> str:
    """What of a row is not text, in words; empty where all is."""
    return _named(_parts((*record.prompt, *response.messages)))


def _not_in_texts(record: Record, response: Response) -> _Lost | None:
    """Why texts and pictures of the prompt do not hold the row; None where they do."""
    asked = [part for part in _parts(record.prompt) if not isinstance(part, Image)]
    media = _named([*asked, *_parts(response.messages)])
    said = f"the function is handed texts and the prompt's pictures; there is {media} besides: conversational=True"
    return _Lost(Status.UNSUPPORTED_MODALITY, said) if media else None


def _parts(messages: Sequence[Message]) -> list[Part]:
    return [part for message in messages for part in message.parts]


def _named(parts: Sequence[Part]) -> str:
    return ", ".join(sorted({str(kind_of(part)) for part in parts if not isinstance(part, Text)}))


def _parameters(function: Callable[..., Any]) -> tuple[frozenset[str], bool]:
    """The names of a function's parameters, and whether it takes any other keyword."""
    parameters = inspect.signature(function).parameters.values()
    any_other = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return frozenset(parameter.name for parameter in parameters), any_other


def _nowhere(*_: object) -> None:
    """What a function logs."""
