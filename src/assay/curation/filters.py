"""Filters: which responses to keep, said as a comparison of their scores."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from assay.records import (
    Critique,
    Feedback,
    Preference,
    Ranking,
    Rating,
    Record,
    SpanLabels,
    StepLabels,
)
from assay.scores import Scores, Status

Cell: TypeAlias = float | str | None
Row: TypeAlias = Mapping[str, Cell]
Test: TypeAlias = Callable[[Row], bool | None]
Columns: TypeAlias = Mapping[str, npt.NDArray[Any]]
Read: TypeAlias = Callable[[Any], Any]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*)|`(?P<quoted>[^`]+)`|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\""
    r"|(?P<sign><=|>=|==|!=|<|>|\(|\)))"
)
_DEEPEST = 50


class FilterError(ValueError):
    """A filter expression that cannot be read, or that names what the scores do not have."""


@dataclass(frozen=True)
class Keep:
    """A filter: called with Scores it gives a bool mask ``[responses]``, True where the expression holds.

    ``names`` are the columns it reads.
    """

    expression: str
    names: frozenset[str]
    test: Test

    def __call__(self, scores: Scores, /) -> Tensor:
        known = {"value", "std", "status", *scores.attributes}
        if unknown := sorted(self.names - known):
            raise FilterError(f"{self!r}: the scores have no {unknown[0]!r}; they have {', '.join(sorted(known))}")
        if "std" in self.names and scores.std is None:
            raise FilterError(f"{self!r}: this reward gives no std")
        columns = {name: _cells(scores, name) for name in sorted(self.names)}
        rows = ({name: cells[i] for name, cells in columns.items()} for i in range(len(scores)))
        return torch.tensor([self.test(row) is True for row in rows], dtype=torch.bool)

    def __repr__(self) -> str:
        return f"keep({self.expression!r})"


def keep(expression: str) -> Keep:
    """A filter from comparisons joined by ``and``, ``or``, ``not`` and parentheses; nothing is ever evaluated as code.

    Compared are numbers and the columns ``value``, ``std``, any attribute by name (in backticks when it is no word),
    and ``status`` with a status (``status == ok``). Comparisons chain: ``0.2 < value <= 0.8``. An abstention or an
    absent cell makes a comparison unknown, ``not`` of unknown is unknown, and only what is true is kept.

    Raises:
        FilterError: the expression cannot be read; when called, it names a column that the scores lack.
    """
    test, names = _parsed(expression, _ROWS)
    return Keep(expression, names, test)


@dataclass(frozen=True)
class KeepColumns:
    """The filter of `keep` over whole columns: called with arrays ``[rows]`` by name (NaN where a cell is absent,
    ``status`` as places in `Status`), it gives a bool array ``[rows]``.

    ``names`` are the columns it reads.
    """

    expression: str
    names: frozenset[str]
    test: Callable[[Columns], npt.NDArray[Any]]

    def __call__(self, columns: Columns, /) -> npt.NDArray[np.bool_]:
        return self.test(columns) == _TRUE


def keep_columns(expression: str, known: Sequence[str]) -> KeepColumns:
    """As `keep`, for columns as arrays; ``known`` are the names there are.

    Raises:
        FilterError: the expression cannot be read, or names what is not known.
    """
    test, names = _parsed(expression, _COLUMNS)
    if unknown := sorted(names - set(known)):
        raise FilterError(f"filter {expression!r}: no column {unknown[0]!r}; there are {', '.join(sorted(known))}")
    if not names:
        raise FilterError(f"filter {expression!r}: it names no column; there are {', '.join(sorted(known))}")
    return KeepColumns(expression, names, test)


def keep_responses(record: Record, indices: Sequence[int]) -> Record:
    """The record with the chosen responses alone, and the feedback that is about them, renumbered.

    A preference or ranking stays only as far as its responses do; a ranking of fewer than two goes.
    """
    place = {old: new for new, old in enumerate(indices)}
    feedback = [kept for item in record.feedback if (kept := _renumbered(item, place, indices)) is not None]
    return replace(record, responses=tuple(record.responses[i] for i in indices), feedback=tuple(feedback))


def _renumbered(item: Feedback, place: Mapping[int, int], indices: Sequence[int]) -> Feedback | None:
    match item:
        case Preference():
            if item.better in place and item.worse in place:
                return replace(item, better=place[item.better], worse=place[item.worse])
        case Ranking():
            ranks = tuple(item.ranks[i] for i in indices)
            if sum(rank is not None for rank in ranks) > 1:
                return replace(item, ranks=ranks)
        case Rating() | StepLabels() | SpanLabels() | Critique():
            if item.response in place:
                return replace(item, response=place[item.response])
    return None


def _cells(scores: Scores, name: str) -> list[Cell]:
    if name == "status":
        return [str(status) for status in scores.status]
    column = scores.values if name == "value" else scores.std if name == "std" else scores.attributes[name]
    assert column is not None
    numbers: list[float] = column.detach().tolist()
    return [number if math.isfinite(number) else None for number in numbers]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while position < len(expression.rstrip()):
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise _error(expression, position, "cannot be read here")
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        position = match.end()
    return tokens


def _error(expression: str, at: int, why: str) -> FilterError:
    example = "write for example: value > 0.3 and status == ok"
    return FilterError(f"filter {expression!r}: {why} (character {at + 1}); {example}")


@dataclass(frozen=True, slots=True)
class _Logic:
    """What comparisons, of cells and of a status with the one wanted, and their combinations mean for one kind of
    input."""

    compare: Callable[[Callable[[Any, Any], Any], Any, Any], Any]
    compare_status: Callable[[Callable[[Any, Any], Any], Any, str], Any]
    negate: Callable[[Any], Any]
    both: Callable[[Sequence[Any]], Any]
    either: Callable[[Sequence[Any]], Any]


def _parsed(expression: str, logic: _Logic) -> tuple[Read, frozenset[str]]:
    tokens = _tokens(expression)
    parser = _Parser(expression, tokens, logic)
    test = parser.any_of(0)
    if parser.position < len(tokens):
        raise parser.error("expected 'and', 'or' or the end")
    return test, frozenset(parser.names)


class _Parser:
    """Recursive descent: any_of is all_of ('or' all_of)*, all_of is one ('and' one)*, one is not, (...) or a chain."""

    def __init__(self, expression: str, tokens: Sequence[_Token], logic: _Logic) -> None:
        self.expression = expression
        self.tokens = tokens
        self.logic = logic
        self.position = 0
        self.names: set[str] = set()

    def error(self, why: str) -> FilterError:
        at = self.tokens[self.position].at if self.position < len(self.tokens) else len(self.expression)
        return _error(self.expression, at, why)

    def any_of(self, depth: int) -> Read:
        tests = [self.all_of(depth)]
        while self._take("name", "or"):
            tests.append(self.all_of(depth))
        return tests[0] if len(tests) == 1 else lambda row: self.logic.either([test(row) for test in tests])

    def all_of(self, depth: int) -> Read:
        tests = [self.one(depth)]
        while self._take("name", "and"):
            tests.append(self.one(depth))
        return tests[0] if len(tests) == 1 else lambda row: self.logic.both([test(row) for test in tests])

    def one(self, depth: int) -> Read:
        if depth > _DEEPEST:
            raise self.error(f"nested more than {_DEEPEST} deep")
        if self._take("name", "not"):
            inner = self.one(depth + 1)
            return lambda row: self.logic.negate(inner(row))
        if self._take("sign", "("):
            inner = self.any_of(depth + 1)
            if not self._take("sign", ")"):
                raise self.error("expected ')'")
            return inner
        return self._comparison()

    def _comparison(self) -> Read:
        links: list[Read] = []
        left = self._operand()
        while (sign := self._sign()) is not None:
            right = self._operand()
            links.append(self._link(left, sign, right))
            left = right
        if not links:
            raise self.error("expected a comparison: < <= > >= == !=")
        return links[0] if len(links) == 1 else lambda row: self.logic.both([link(row) for link in links])

    def _link(self, left: _Token, sign: str, right: _Token) -> Read:
        texts = [token.kind in ("single", "double") for token in (left, right)]
        about_status = [token.kind in ("name", "quoted") and token.text == "status" for token in (left, right)]
        if any(about_status) or any(texts):
            return self._status_link(left, sign, right, about_status)
        read_left, read_right = self._number(left), self._number(right)
        operation = _OPERATORS[sign]
        return lambda row: self.logic.compare(operation, read_left(row), read_right(row))

    def _status_link(self, left: _Token, sign: str, right: _Token, about_status: Sequence[bool]) -> Read:
        wanted = right.text if about_status[0] else left.text
        if sum(about_status) != 1 or sign not in ("==", "!=") or wanted not in set(Status):
            known = ", ".join(Status)
            raise self.error(f"status is compared by == or != with one of {known}; other columns are numbers")
        self.names.add("status")
        operation = _OPERATORS[sign]
        return lambda row: self.logic.compare_status(operation, row["status"], wanted)

    def _number(self, token: _Token) -> Read:
        if token.kind == "number":
            constant = float(token.text)
            return lambda row: constant
        self.names.add(token.text)
        return lambda row: row[token.text]

    def _operand(self) -> _Token:
        if self.position < len(self.tokens):
            token = self.tokens[self.position]
            keyword = token.kind == "name" and token.text in ("and", "or", "not")
            if token.kind != "sign" and not keyword:
                self.position += 1
                return token
        raise self.error("expected a number or the name of a column")

    def _sign(self) -> str | None:
        if self.position < len(self.tokens):
            token = self.tokens[self.position]
            if token.kind == "sign" and token.text in _OPERATORS:
                self.position += 1
                return token.text
        return None

    def _take(self, kind: str, text: str) -> bool:
        if self.position < len(self.tokens):
            token = self.tokens[self.position]
            if (token.kind, token.text) == (kind, text):
                self.position += 1
                return True
        return False


def _both(found: Sequence[bool | None]) -> bool | None:
    return False if False in found else None if None in found else True


def _either(found: Sequence[bool | None]) -> bool | None:
    return True if True in found else None if None in found else False


def _compared(operation: Callable[[Any, Any], Any], left: Cell, right: Cell) -> bool | None:
    return None if left is None or right is None else operation(left, right)


def _negated(found: bool | None) -> bool | None:
    return None if found is None else not found


_ROWS = _Logic(_compared, lambda operation, cell, wanted: operation(cell, wanted), _negated, _both, _either)

_FALSE, _UNKNOWN, _TRUE = np.int8(0), np.int8(1), np.int8(2)
"""Kleene's three values: ``and`` is the minimum, ``or`` the maximum, ``not x`` is ``2 - x``."""


def _compared_columns(operation: Callable[[Any, Any], Any], left: Any, right: Any) -> npt.NDArray[np.int8]:
    unknown = np.isnan(left) | np.isnan(right)
    return np.where(unknown, _UNKNOWN, np.where(operation(left, right), _TRUE, _FALSE))


_COLUMNS = _Logic(
    _compared_columns,
    lambda operation, cells, wanted: np.where(operation(cells, list(Status).index(Status(wanted))), _TRUE, _FALSE),
    lambda found: _TRUE - found,
    lambda found: reduce(np.minimum, found),
    lambda found: reduce(np.maximum, found),
)
