"""What a trainer that has no word for an abstention is handed in its place: the caller's choice, never a silent 0.0."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

from assay.adapters.rows import Judgement
from assay.scores import Status


@final
class AbstainedError(RuntimeError):
    """A reward could not judge a row, and its caller has no way to leave the row out."""

    def __init__(self, judgement: Judgement) -> None:
        said = f": {judgement.message}" if judgement.message else ""
        remedy = "mend the row, or hand the adapter on_abstain=as_nan or on_abstain=worth(number)"
        super().__init__(f"no score ({judgement.status}){said}; {remedy}")
        self.judgement = judgement


OnAbstain: TypeAlias = Callable[[Judgement], float]
"""An abstention to the number that stands for it; it may refuse (`refuse`)."""


def refuse(judgement: Judgement) -> float:
    """No number: the run stops and says which row and why.

    Raises:
        AbstainedError: always.
    """
    raise AbstainedError(judgement)


def as_nan(judgement: Judgement) -> float:
    """NaN, for a trainer that leaves NaN out. One that averages a group makes the whole group NaN of it."""
    return math.nan


@final
@dataclass(frozen=True, slots=True)
class worth:  # noqa: N801
    """The same number for every abstention, chosen by name: ``on_abstain=worth(0.0)``.

    Raises:
        ValueError: not a finite number.
    """

    value: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"an abstention is worth a finite number, got {self.value}; as_nan gives NaN")

    def __call__(self, judgement: Judgement) -> float:
        return self.value


def number_of(judgement: Judgement, on_abstain: OnAbstain) -> float:
    """The value of a judgement, or what stands for its abstention."""
    return on_abstain(judgement) if judgement.value is None else judgement.value


def columns_of(
    judgement: Judgement, on_abstain: OnAbstain, head: str, attributes: tuple[str, ...] | None = None
) -> dict[str, float]:
    """One row as numbers by name: ``head``, ``abstained`` (0 or 1) and the attributes.

    An attribute called like one of the first two, or ``status``, is ``attribute_NAME``. ``attributes`` are the names to
    give, NaN where the row has none; None for those that the row has.
    """
    given = judgement.attributes if attributes is None else dict.fromkeys(attributes, math.nan)
    cells = {name: judgement.attributes.get(name, math.nan) for name in given}
    taken = {head, "abstained", "status"}
    named = {f"attribute_{name}" if name in taken else name: cell for name, cell in cells.items()}
    return {
        head: number_of(judgement, on_abstain),
        "abstained": float(judgement.status is not Status.OK),
        **named,
    }
