"""Making step labels without people: a step is as good as what a generator reaches from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

from assay.models.base import Generator
from assay.records import Record, Response, StepLabels
from assay.records.steps import up_to_step

IsRight: TypeAlias = Callable[[Record, Response], bool | None]
"""Whether a whole response answers the record rightly; None where that cannot be said."""
Label: TypeAlias = Callable[[Record], Record]
"""A record to the same record with step labels."""


def derived_seed(seed: int, *what: object) -> int:
    """A seed below 2^63 for one piece of work: the same whatever is done before or beside it."""
    digest = hashlib.sha256(repr((seed, *what)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@final
@dataclass(frozen=True, slots=True)
class MonteCarlo:
    """See `monte_carlo`."""

    generator: Generator
    is_right: IsRight
    n: int = 8
    hard: bool = False
    seed: int = 0
    rater: str = "monte-carlo"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"a value needs at least 1 completion, got n={self.n}")

    def __call__(self, record: Record, /) -> Record:
        """The record with one more `StepLabels` for each response that has steps."""
        values = {index: self._values(record, index) for index in range(len(record.responses))}
        said = [StepLabels(index, found, self.rater, self._kind) for index, found in values.items() if found]
        noted = {"n": self.n, "seed": self.seed, "hard": self.hard, "generator": name_of(self.generator)}
        return replace(record, feedback=(*record.feedback, *said), context={**record.context, self.rater: noted})

    @property
    def _kind(self) -> str:
        return "reachable" if self.hard else "value"

    def _values(self, record: Record, index: int) -> tuple[float | None, ...]:
        response = record.responses[index]
        bare = replace(record, feedback=())
        found: list[float | None] = []
        for step in range(len(response.step_ends)):
            if step == len(response.step_ends) - 1:
                said = self.is_right(record, response)
                found.append(None if said is None else float(said))
                continue
            prefix = replace(bare, responses=(up_to_step(response, step),))
            seed = derived_seed(self.seed, record.id, index, step)
            value = success(record, self.generator.generate([prefix], self.n, seed)[0], self.is_right)
            found.append(float(value > 0) if value is not None and self.hard else value)
        return tuple(found)


def monte_carlo(
    generator: Generator,
    is_right: IsRight,
    n: int = 8,
    *,
    hard: bool = False,
    seed: int = 0,
    rater: str = "monte-carlo",
) -> Label:
    """Labels each marked step by ``n`` completions from it: ``value = right / completed``.

    ``hard``: 1 where any completion is right. The last step is the whole response and is judged itself. Completions of
    which ``is_right`` cannot say count for nothing; without any that it can, the step is unlabelled. What was done is
    kept: the labels carry ``rater``, and the record's context the settings under that name.

    Source: Wang et al., Math-Shepherd, 2023, arXiv 2312.08935.

    Raises:
        ValueError: ``n`` is below 1.
    """
    return MonteCarlo(generator, is_right, n, hard, seed, rater)


def success(record: Record, completions: Sequence[Response], is_right: IsRight) -> float | None:
    """The share of completions that are right, of those that can be judged; None when none can."""
    judged = [said for each in completions if (said := is_right(record, each)) is not None]
    return sum(judged) / len(judged) if judged else None


def name_of(generator: Generator) -> str:
    """What a generator calls itself (``name``), or its class."""
    return str(getattr(generator, "name", type(generator).__name__))
