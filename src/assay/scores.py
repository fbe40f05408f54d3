"""Scores: what every reward returns, flat over the batch, with a typed status for each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class Scores:
    """The scores of every response of a batch of records, in order.

    Shapes: ``values``, ``std`` and each attribute are ``[responses]`` over the whole batch; ``group`` says which
    record of the batch a row belongs to; ``steps`` holds one tensor ``[steps of that response]`` a row.
    ``values`` is NaN exactly where ``status`` is not ``OK``. An attribute or step cell may be NaN on its own:
    ``attribute_status`` and ``step_status`` then say why.

    Raises:
        ValueError: lengths differ, or NaN and status contradict each other.
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
            found = torch.isfinite(self.values.detach())
            status = tuple(Status.OK if ok else Status.NON_FINITE for ok in found.tolist())
            object.__setattr__(self, "status", status)
            if not bool(found.all()):
                object.__setattr__(self, "values", torch.where(found, self.values, torch.nan))
        if not self.messages:
            object.__setattr__(self, "messages", ("",) * rows)
        self._check(rows)

    def _check(self, rows: int) -> None:
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
        finite = torch.isfinite(self.values.detach()).tolist()
        for row, (is_finite, status) in enumerate(zip(finite, self.status, strict=True)):
            if is_finite != (status is Status.OK):
                raise ValueError(
                    f"row {row} ({self.ids[row]}) has value {self.values[row].item()} with status {status}; "
                    "an abstention is NaN with a status that says why, and a score is finite with status 'ok'"
                )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ok(self) -> Tensor:
        """``[responses]`` bool: rows that were judged."""
        return torch.tensor([status is Status.OK for status in self.status], dtype=torch.bool)

    def __getitem__(self, rows: slice | Sequence[int] | Tensor) -> Scores:
        """The chosen rows, every column with them. A bool tensor is a mask."""
        index = (
            torch.arange(len(self))[rows]
            if isinstance(rows, slice | Tensor)
            else torch.tensor(list(rows), dtype=torch.long)
        )
        chosen: list[int] = index.tolist()
        return Scores(
            values=self.values[index],
            group=self.group[index],
            ids=tuple(self.ids[i] for i in chosen),
            status=tuple(self.status[i] for i in chosen),
            std=None if self.std is None else self.std[index],
            attributes={name: column[index] for name, column in self.attributes.items()},
            attribute_status={n: tuple(column[i] for i in chosen) for n, column in self.attribute_status.items()},
            steps=None if self.steps is None else tuple(self.steps[i] for i in chosen),
            step_status=None if self.step_status is None else tuple(self.step_status[i] for i in chosen),
            critiques=None if self.critiques is None else tuple(self.critiques[i] for i in chosen),
            messages=tuple(self.messages[i] for i in chosen),
        )

    def groups(self) -> Iterator[Tensor]:
        """Row indices of each record, in order of first appearance."""
        for record in dict.fromkeys(self.group.tolist()):
            yield (self.group == record).nonzero().flatten()

    def replace(self, **changes: Any) -> Scores:
        """A copy with some columns changed; the contract is checked again."""
        return replace(self, **changes)

    def with_values(self, values: Tensor, *, std: Tensor | None = None) -> Scores:
        """New values over the same rows; what a map of values cannot carry (attributes, steps, critiques) is dropped.

        A row that was an abstention stays one; a row whose new value is not finite becomes ``NON_FINITE``.
        """
        kept = self.ok.to(values.device)
        finite = torch.isfinite(values.detach())
        status = tuple(
            old if old is not Status.OK else (Status.OK if is_finite else Status.NON_FINITE)
            for old, is_finite in zip(self.status, finite.tolist(), strict=True)
        )
        good = kept & finite
        return Scores(
            values=torch.where(good, values, torch.full_like(values, torch.nan)),
            group=self.group,
            ids=self.ids,
            status=status,
            std=std,
            messages=self.messages,
        )

    def abstain(self, rows: Tensor, status: Status, message: str = "") -> Scores:
        """The same scores with the rows of a bool mask ``[responses]`` turned into abstentions."""
        mask: list[bool] = rows.tolist()
        return replace(
            self,
            values=torch.where(rows.to(self.values.device), torch.full_like(self.values, torch.nan), self.values),
            status=tuple(status if hit else old for hit, old in zip(mask, self.status, strict=True)),
            messages=tuple(message if hit else old for hit, old in zip(mask, self.messages, strict=True)),
        )

    @staticmethod
    def concatenate(parts: Sequence[Scores]) -> Scores:
        """Batches one after another; groups are renumbered so that records stay apart.

        A column that some part lacks is dropped, except ``std``, ``attributes`` and ``steps`` held by all.
        """
        if not parts:
            return Scores(values=torch.empty(0), group=torch.empty(0, dtype=torch.long), ids=())
        groups: list[Tensor] = []
        offset = 0
        for part in parts:
            groups.append(part.group + offset)
            offset += int(part.group.max().item()) + 1 if len(part) else 0
        names = [name for name in parts[0].attributes if all(name in part.attributes for part in parts)]
        reasons = [name for name in parts[0].attribute_status if all(name in part.attribute_status for part in parts)]
        stds = [part.std for part in parts if part.std is not None]
        steps = [part.steps for part in parts if part.steps is not None]
        step_status = [part.step_status for part in parts if part.step_status is not None]
        critiques = [part.critiques for part in parts if part.critiques is not None]
        return Scores(
            values=torch.cat([part.values for part in parts]),
            group=torch.cat(groups),
            ids=tuple(name for part in parts for name in part.ids),
            status=tuple(status for part in parts for status in part.status),
            std=torch.cat(stds) if len(stds) == len(parts) else None,
            attributes={name: torch.cat([part.attributes[name] for part in parts]) for name in names},
            attribute_status={n: tuple(s for part in parts for s in part.attribute_status[n]) for n in reasons},
            steps=tuple(s for part in steps for s in part) if len(steps) == len(parts) else None,
            step_status=tuple(s for p in step_status for s in p) if len(step_status) == len(parts) else None,
            critiques=tuple(c for part in critiques for c in part) if len(critiques) == len(parts) else None,
            messages=tuple(message for part in parts for message in part.messages),
        )

    def to_pandas(self) -> pd.DataFrame:
        """One row a response: id, group, value, status, message; where present std, attributes, steps, critique."""
        import pandas as pd

        frame: dict[str, Any] = {
            "id": list(self.ids),
            "group": self.group.tolist(),
            "value": self.values.detach().float().cpu().numpy(),
            "status": [str(status) for status in self.status],
            "message": list(self.messages),
        }
        if self.std is not None:
            frame["std"] = self.std.detach().float().cpu().numpy()
        frame |= {name: column.detach().float().cpu().numpy() for name, column in self.attributes.items()}
        if self.steps is not None:
            frame["steps"] = [steps.detach().float().cpu().tolist() for steps in self.steps]
        if self.critiques is not None:
            frame["critique"] = list(self.critiques)
        return pd.DataFrame(frame)
