"""Spec: what a reward declares of itself, and what a transform or a combination makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Spec:
    """What a reward declares of itself. Declarations are tested, not trusted.

    ``low`` and ``high`` bound every value (None: no bound known). ``needs`` are the context columns it reads; every
    other column, and all feedback, is hidden from it. ``differentiable``: the score has a gradient in the weights or
    the pixels (a learned reward gives it in ``values``; its call only scores). ``order_invariant``: the score of a
    response depends neither on the order of the records nor on that of a record's responses. ``scale`` is
    ``within_group`` for a score that means something only beside the other responses of its prompt.

    Raises:
        ValueError: ``low`` is above ``high``.
    """

    modalities: frozenset[str] = frozenset({"text"})
    low: float | None = None
    high: float | None = None
    unit: str = "score"
    better: Literal["higher", "lower"] = "higher"
    deterministic: bool = True
    differentiable: bool = False
    order_invariant: bool = True
    needs: tuple[str, ...] = ()
    scale: Literal["absolute", "within_group"] = "absolute"
    memory_bytes: int = 0

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"a spec's low ({self.low}) is above its high ({self.high})")


def merge(specs: Sequence[Spec]) -> Spec:
    """What holds of several rewards together, whatever is made of their values: no range and no unit.

    A capability (deterministic, differentiable, order-invariant) holds when all have it; modalities and needs are
    united; memory adds up; lower is better only when it is for all.
    """
    return Spec(
        modalities=frozenset[str]().union(*(spec.modalities for spec in specs)),
        better="lower" if specs and all(spec.better == "lower" for spec in specs) else "higher",
        deterministic=all(spec.deterministic for spec in specs),
        differentiable=all(spec.differentiable for spec in specs),
        order_invariant=all(spec.order_invariant for spec in specs),
        needs=tuple(dict.fromkeys(need for spec in specs for need in spec.needs)),
        scale="within_group" if any(spec.scale == "within_group" for spec in specs) else "absolute",
        memory_bytes=sum(spec.memory_bytes for spec in specs),
    )


def common_unit(specs: Sequence[Spec]) -> str:
    """The unit that all share, else ``score``."""
    units = {spec.unit for spec in specs}
    return units.pop() if len(units) == 1 else "score"
