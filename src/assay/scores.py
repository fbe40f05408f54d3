"""Scores: what every reward returns, flat over the batch, with a typed status for each row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


class Status(StrEnum):
    """Why a row has, or does not have, a score. Every status but ``OK`` is an abstention: its value is NaN."""

    OK = "ok"
    UNREADABLE_MEDIA = "unreadable_media"
    UNSUPPORTED_MODALITY = "unsupported_modality"
    MISSING_CONTEXT = "missing_context"
    TOO_LONG = "too_long"
    EMPTY = "empty"
    UNPARSABLE = "unparsable"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    NON_FINITE = "non_finite"
    OUT_OF_MEMORY = "out_of_memory"
    GATED = "gated"
    INVALID = "invalid"
    FAILED = "failed"

    @property
    def is_failure(self) -> bool:
        """Whether a row has no score although one was wanted: every status but ``OK`` and ``GATED``."""
        return self not in (Status.OK, Status.GATED)


RESERVED = frozenset({"id", "group", "record", "response", "value", "status", "message", "std", "steps", "critique"})
"""The columns of every result, which no attribute may be called."""


@dataclass(frozen=True)
class Scores:
    """The scores of every response of a batch of records, in order.

    Shapes: ``values``, ``std`` and each attribute are ``[responses]`` over the whole batch; ``group`` says which
    record of the batch a row belongs to; ``steps`` holds one tensor ``[steps of that response]`` a row.
    ``values`` is NaN exactly where ``status`` is not ``OK``, and ``std`` is NaN there too. An attribute or step cell
    may be NaN on its own: ``attribute_status`` and ``step_status`` then say why, and are filled in where they are not
    given (``OK`` for a number, the row's own status in an abstaining row, else ``NON_FINITE``). Without ``status``
    a row whose value is not finite is ``NON_FINITE``.

    Raises:
        ValueError: lengths differ, NaN and status contradict each other, a std is negative, or an attribute has the
            name of a column.
    """

    values: Tensor
    group: Tensor
    ids: tuple[str, ...]
    status: tuple[Status, ...] = ()
    std: Tensor | None = None
    attributes: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    attribute_status: Mapping[str, tuple[Status, ...]] = field(default_factory=dict[str, tuple[Status, ...]])
    steps: tuple[Tensor, ...] | None = None
    step_status: tuple[tuple[Status, ...], ...] | None = None
    critiques: tuple[str | None, ...] | None = None
    messages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rows = len(self.ids)
        if not self.status:
            finite = torch.isfinite(self.values.detach())
            self._set("status", tuple(Status.OK if good else Status.NON_FINITE for good in finite.tolist()))
            if not bool(finite.all()):
                self._set("values", torch.where(finite, self.values, torch.nan))
        if not self.messages:
            self._set("messages", ("",) * rows)
        self._check_lengths(rows)
        self._check_rows()
        if self.std is not None:
            self._set("std", self._checked_std(self.std))
        self._set("attribute_status", self._complete_attribute_status())
        if self.steps is not None:
            self._set("step_status", self._complete_step_status(self.steps))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_lengths(self, rows: int) -> None:
        columns: dict[str, int] = {
            "values": self.values.numel(),
            "group": self.group.numel(),
            "status": len(self.status),
            "messages": len(self.messages),
        }
        if self.std is not None:
            columns["std"] = self.std.numel()
        for name, column in self.attributes.items():
            columns[f"attribute {name!r}"] = column.numel()
        for name, column in self.attribute_status.items():
            columns[f"status of attribute {name!r}"] = len(column)
        optional = {"steps": self.steps, "step_status": self.step_status, "critiques": self.critiques}
        columns |= {name: len(column) for name, column in optional.items() if column is not None}
        wrong = {name: length for name, length in columns.items() if length != rows}
        if wrong:
            raise ValueError(f"Scores need one cell a response: {rows} ids, but {wrong}")
        shapes = {"values": self.values, "group": self.group, **self.attributes}
        bent = {name: tuple(tensor.shape) for name, tensor in shapes.items() if tensor.dim() != 1}
        if bent or not self.values.is_floating_point():
            raise ValueError(f"Scores are flat and of a float type; got {bent or self.values.dtype}")
        if taken := RESERVED & set(self.attributes):
            raise ValueError(f"an attribute may not be called {sorted(taken)[0]!r}: that is a column of every result")

    def _check_rows(self) -> None:
        values = self.values.detach().tolist()
        for row, (value, status) in enumerate(zip(values, self.status, strict=True)):
            if (not math.isfinite(value)) if status is Status.OK else (not math.isnan(value)):
                raise ValueError(
                    f"row {row} ({self.ids[row]}) has value {value} with status {status}; "
                    "an abstention is NaN with a status that says why, and a score is finite with status 'ok'"
                )

    def _checked_std(self, std: Tensor) -> Tensor:
        if bool((std.detach() < 0).any()):
            raise ValueError("a std is negative")
        ok = self.ok
        return std if bool(ok.all()) else torch.where(ok.to(std.device), std, torch.nan)

    def _complete_attribute_status(self) -> dict[str, tuple[Status, ...]]:
        if unknown := set(self.attribute_status) - set(self.attributes):
            raise ValueError(f"attribute_status names {sorted(unknown)}, which are not attributes")
        return {
            name: _cell_status(column, self.status, self.attribute_status.get(name), f"attribute {name!r}")
            for name, column in self.attributes.items()
        }

    def _complete_step_status(self, steps: tuple[Tensor, ...]) -> tuple[tuple[Status, ...], ...]:
        given = self.step_status or (None,) * len(steps)
        return tuple(
            _cell_status(cells, (status,) * cells.numel(), known, f"the steps of {name}")
            for cells, status, known, name in zip(steps, self.status, given, self.ids, strict=True)
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ok(self) -> Tensor:
        """``[responses]`` bool, on the device of the values: rows that were judged."""
        return torch.tensor(
            [status is Status.OK for status in self.status], dtype=torch.bool, device=self.values.device
        )

    def filled(self, fill: float = 0.0) -> Tensor:
        """The values with a finite number in place of each abstention, cut off from the graph.

        An operation on these, rather than on NaN, keeps abstentions from poisoning the gradient of the other rows.
        """
        return torch.where(self.ok, self.values, torch.full_like(self.values, fill))

    def __getitem__(self, rows: int | slice | Sequence[int] | Tensor) -> Scores:
        """The chosen rows, every column with them. A bool tensor is a mask; one index gives Scores of one row."""
        chosen = self._chosen(rows)
        index = torch.tensor(chosen, dtype=torch.long, device=self.values.device)
        return Scores(
            values=self.values[index],
            group=self.group[index.to(self.group.device)],
            ids=tuple(self.ids[i] for i in chosen),
            status=tuple(self.status[i] for i in chosen),
            std=None if self.std is None else self.std[index],
            attributes={name: column[index.to(column.device)] for name, column in self.attributes.items()},
            attribute_status={n: tuple(column[i] for i in chosen) for n, column in self.attribute_status.items()},
            steps=None if self.steps is None else tuple(self.steps[i] for i in chosen),
            step_status=None if self.step_status is None else tuple(self.step_status[i] for i in chosen),
            critiques=None if self.critiques is None else tuple(self.critiques[i] for i in chosen),
            messages=tuple(self.messages[i] for i in chosen),
        )

    def _chosen(self, rows: int | slice | Sequence[int] | Tensor) -> list[int]:
        if isinstance(rows, slice):
            return list(range(len(self)))[rows]
        if isinstance(rows, Tensor) and rows.dtype == torch.bool:
            if rows.shape != (len(self),):
                raise IndexError(f"a mask of shape {tuple(rows.shape)} does not fit {len(self)} rows")
            return cast("list[int]", rows.nonzero().flatten().tolist())
        wanted = [rows] if isinstance(rows, int) else [int(i) for i in rows]
        for index in wanted:
            if not -len(self) <= index < len(self):
                raise IndexError(f"row {index} of {len(self)}")
        return [index % len(self) for index in wanted]

    def groups(self) -> Iterator[Tensor]:
        """Row indices of each record, in order of first appearance."""
        for record in dict.fromkeys(self.group.tolist()):
            yield (self.group == record).nonzero().flatten()

    def replace(self, **changes: Any) -> Scores:
        """A copy with some columns changed; the contract is checked again.

        New ``attributes`` or ``steps`` without their status get it from their cells.
        """
        for column, status in (("attributes", "attribute_status"), ("steps", "step_status")):
            if column in changes:
                changes.setdefault(status, {} if column == "attributes" else None)
        return replace(self, **changes)

    def with_values(self, values: Tensor, *, std: Tensor | None = None) -> Scores:
        """New values over the same rows.

        ``std`` is what is given, ``steps`` are dropped: both are in the unit of the old values. Attributes and
        critiques are judgements of their own and stay. A row that was an abstention stays one; a row whose new value
        is not finite becomes ``NON_FINITE``.
        """
        finite = torch.isfinite(values.detach())
        status = tuple(
            old if old is not Status.OK else (Status.OK if is_finite else Status.NON_FINITE)
            for old, is_finite in zip(self.status, finite.tolist(), strict=True)
        )
        good = self.ok & finite
        return replace(
            self,
            values=torch.where(good, values, torch.full_like(values, torch.nan)),
            status=status,
            std=std,
            steps=None,
            step_status=None,
        )

    def abstain(self, rows: Tensor, status: Status | Sequence[Status], message: str | Sequence[str] = "") -> Scores:
        """The same scores with the rows of a bool mask ``[responses]`` turned into abstentions.

        ``status`` and ``message`` are one for all those rows, or one for each row of the scores.
        """
        mask: list[bool] = rows.tolist()
        reasons = (status,) * len(self) if isinstance(status, Status) else tuple(status)
        messages = (message,) * len(self) if isinstance(message, str) else tuple(message)
        return replace(
            self,
            values=torch.where(rows.to(self.values.device), torch.full_like(self.values, torch.nan), self.values),
            status=tuple(new if hit else old for hit, new, old in zip(mask, reasons, self.status, strict=True)),
            messages=tuple(new if hit else old for hit, new, old in zip(mask, messages, self.messages, strict=True)),
        )

    @staticmethod
    def concatenate(parts: Sequence[Scores]) -> Scores:
        """Batches one after another, on the device of the first; groups are renumbered so that records stay apart.

        ``std``, an attribute, ``steps`` or ``critiques`` is kept when every part that judged anything has it; a part
        of abstentions alone then gets NaN cells. Otherwise the column is dropped.
        """
        parts = [part for part in parts if len(part)]
        if not parts:
            return Scores(values=torch.empty(0), group=torch.empty(0, dtype=torch.long), ids=())
        judged = [part for part in parts if Status.OK in part.status] or parts
        device = judged[0].values.device
        groups: list[Tensor] = []
        offset = 0
        for part in parts:
            groups.append(part.group.cpu() + offset)
            offset += int(part.group.max().item()) + 1
        shared = [name for name in judged[0].attributes if all(name in part.attributes for part in judged)]
        has_steps = all(part.steps is not None for part in judged)
        return Scores(
            values=torch.cat([part.values.to(device) for part in parts]),
            group=torch.cat(groups),
            ids=tuple(name for part in parts for name in part.ids),
            status=tuple(status for part in parts for status in part.status),
            std=_joined([part.std for part in parts], parts) if all(part.std is not None for part in judged) else None,
            attributes={name: _joined([part.attributes.get(name) for part in parts], parts) for name in shared},
            attribute_status={
                name: tuple(s for part in parts for s in part.attribute_status.get(name, part.status))
                for name in shared
            },
            steps=tuple(s for p in parts for s in p.steps or (torch.empty(0),) * len(p)) if has_steps else None,
            step_status=tuple(s for p in parts for s in p.step_status or ((),) * len(p)) if has_steps else None,
            critiques=(
                tuple(text for part in parts for text in part.critiques or (None,) * len(part))
                if all(part.critiques is not None for part in judged)
                else None
            ),
            messages=tuple(message for part in parts for message in part.messages),
        )

    def to_pandas(self) -> pd.DataFrame:
        """One row a response: id, group, value, status, message; where present std, attributes, steps, critique.

        An attribute gets a column ``<name>.status`` beside it when one of its cells says other than its row.
        """
        import pandas as pd

        frame: dict[str, Any] = {
            "id": list(self.ids),
            "group": self.group.tolist(),
            "value": numbers(self.values),
            "status": [str(status) for status in self.status],
            "message": list(self.messages),
        }
        if self.std is not None:
            frame["std"] = numbers(self.std)
        for name, column in self.attributes.items():
            frame[name] = numbers(column)
            if self.attribute_status[name] != self.status:
                frame[f"{name}.status"] = [str(status) for status in self.attribute_status[name]]
        if self.steps is not None:
            frame["steps"] = [numbers(steps).tolist() for steps in self.steps]
        if self.critiques is not None:
            frame["critique"] = list(self.critiques)
        return pd.DataFrame(frame)


def numbers(column: Tensor) -> npt.NDArray[np.floating[Any]]:
    """A column as a numpy array of its own precision; half precision becomes float32."""
    detached = column.detach().cpu()
    return (detached if detached.dtype in (torch.float32, torch.float64) else detached.float()).numpy()


def _cell_status(
    cells: Tensor, rows: tuple[Status, ...], given: tuple[Status, ...] | None, name: str
) -> tuple[Status, ...]:
    values: list[float] = cells.detach().tolist()
    if given is None:
        return tuple(
            Status.OK if math.isfinite(value) else (row if row is not Status.OK else Status.NON_FINITE)
            for value, row in zip(values, rows, strict=True)
        )
    if [math.isfinite(value) for value in values] != [status is Status.OK for status in given]:
        raise ValueError(f"{name}: a cell is finite with status 'ok', or NaN with a status that says why")
    return tuple(given)


def _joined(columns: Sequence[Tensor | None], parts: Sequence[Scores]) -> Tensor:
    given = next(column for column in columns if column is not None)
    return torch.cat(
        [
            given.new_full((len(part),), torch.nan) if column is None else column.to(given.device)
            for column, part in zip(columns, parts, strict=True)
        ]
    )
