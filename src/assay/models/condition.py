"""What a score is conditioned on: a column of a record's context as a vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor

from assay.models.base import Batch
from assay.models.prepare import Prepared
from assay.records import Record
from assay.scores import Status


@final
@dataclass(frozen=True, slots=True)
class Condition:
    """The vector that a record's context holds under ``column``: who asks, by which criterion, in which direction.

    With ``names`` the column holds one of them (one-hot), or a mapping of names to numbers (a profile, a direction of
    weights), and ``width`` is their number. Without, it holds ``width`` numbers. A record without the column, or with
    an unknown name, is unknown: it abstains if ``abstains``, and otherwise gets the head's population value.

    Raises:
        ValueError: a width below 1, or one that is not the number of names.
    """

    column: str
    width: int
    abstains: bool
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1 or (self.names and self.width != len(set(self.names))):
            raise ValueError(
                f"a condition of width {self.width} with {len(self.names)} names: one distinct name a place"
            )

    @staticmethod
    def of_names(column: str, names: Sequence[str], *, abstains: bool) -> Condition:
        """One of ``names``, or numbers by name."""
        return Condition(column, len(names), abstains, tuple(names))

    @staticmethod
    def of_numbers(column: str, width: int, *, abstains: bool) -> Condition:
        """``width`` numbers."""
        return Condition(column, width, abstains)

    def of(self, record: Record) -> list[float] | None:
        """``[width]`` numbers; None where it is unknown.

        Raises:
            ValueError: the column holds something else than it should.
        """
        value = record.context.get(self.column)
        if value is None:
            return None
        found = self._named(value) if self.names else self._numbers(value)
        if found is not None and not all(math.isfinite(number) for number in found):
            raise ValueError(f"record {record.id}: context column {self.column!r} holds a number that is not finite")
        return found

    def missing(self, record: Record) -> str:
        """Why a record abstains."""
        value = record.context.get(self.column)
        return f"no context column {self.column!r}" if value is None else f"{value!r} is no known {self.column}"

    def rows(self, records: Sequence[Record]) -> Tensor:
        """``[records, width]`` float32, NaN where it is unknown or malformed."""
        empty = [math.nan] * self.width
        found = [self._or_none(record) or empty for record in records]
        return torch.tensor(found, dtype=torch.float32).reshape(len(records), self.width)

    def _or_none(self, record: Record) -> list[float] | None:
        try:
            return self.of(record)
        except ValueError:  # the record abstains, and says why (`with_condition`)
            return None

    def _named(self, value: Any) -> list[float] | None:
        if isinstance(value, Mapping):
            given = cast("Mapping[str, Any]", value)
            if not given or set(given) - set(self.names):
                return None
            return [float(given.get(name, 0.0)) for name in self.names]
        return [float(value == name) for name in self.names] if value in self.names else None

    def _numbers(self, value: Any) -> list[float]:
        try:
            found = [float(number) for number in value]
        except (TypeError, ValueError):
            found = []
        if len(found) != self.width:
            raise ValueError(f"context column {self.column!r} holds {value!r}, not {self.width} numbers")
        return found


def with_condition(prepared: Prepared, records: Sequence[Record], condition: Condition) -> Prepared:
    """What was prepared, less the responses whose condition is malformed, or unknown where that abstains."""
    failures: dict[int, tuple[Status, str]] = {}
    for number, record in enumerate(records):
        try:
            known = condition.of(record) is not None
        except ValueError as error:
            failures[number] = (Status.INVALID, str(error))
            continue
        if not known and condition.abstains:
            failures[number] = (Status.MISSING_CONTEXT, condition.missing(record))
    return _without(prepared, records, failures) if failures else prepared


def _without(prepared: Prepared, records: Sequence[Record], failures: Mapping[int, tuple[Status, str]]) -> Prepared:
    of_row = [number for number, record in enumerate(records) for _ in record.responses]
    status, messages = list(prepared.status), list(prepared.messages)
    for row, number in enumerate(of_row):
        if number in failures and status[row] is Status.OK:
            status[row], messages[row] = failures[number]
    rows = iter(prepared.rows)
    groups = [(group, [next(rows) for _ in group]) for group in prepared.batch.groups]
    kept = [(group, own) for group, own in groups if of_row[own[0]] not in failures]
    keys = {key for group, _ in kept for sequence in group for key in sequence.images}
    pixels = {key: prepared.batch.pixels[key] for key in keys}
    return Prepared(
        Batch([group for group, _ in kept], pixels),
        tuple(r for _, own in kept for r in own),
        tuple(status),
        tuple(messages),
    )
