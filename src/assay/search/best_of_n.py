"""Best of n: of each record's responses, the one that the reward scores best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from assay.records import Record
from assay.rewards.base import Reward, spec_of
from assay.rewards.batches import batched, score_each
from assay.scores import Scores, Status


@dataclass(frozen=True, slots=True)
class Pick:
    """What was chosen for one record.

    ``index`` is the best response, the first of equals; None when no response was judged, and ``reason`` then says why
    the first was not. ``ties`` counts the responses that share the best score. ``values`` are the scores of the
    responses considered, in order, None where the reward abstained.
    """

    record: str
    index: int | None
    ties: int
    values: tuple[float | None, ...]
    reason: str = ""

    @property
    def value(self) -> float | None:
        """The score of the chosen response."""
        return None if self.index is None else self.values[self.index]

    @property
    def judged(self) -> tuple[float, ...]:
        """The scores of the responses that were judged."""
        return tuple(value for value in self.values if value is not None)


@dataclass(frozen=True, slots=True)
class Picks:
    """The choices for every record, in order, and what choosing was worth by the reward's own measure."""

    picks: tuple[Pick, ...]
    better: Literal["higher", "lower"] = "higher"

    def __len__(self) -> int:
        return len(self.picks)

    def __iter__(self) -> Iterator[Pick]:
        return iter(self.picks)

    @property
    def unjudged(self) -> tuple[Pick, ...]:
        """Records of which no response was judged: nothing was chosen."""
        return tuple(pick for pick in self.picks if pick.index is None)

    @property
    def tied(self) -> int:
        """Records of which several responses share the best score."""
        return sum(pick.ties > 1 for pick in self.picks)

    @property
    def mean_best(self) -> float | None:
        """Mean score of the chosen responses; None when none was chosen."""
        return _mean([pick.value for pick in self.picks if pick.value is not None])

    @property
    def mean_any(self) -> float | None:
        """Mean over records of the mean score of their judged responses: what choosing at random is worth."""
        return self.expected_best(1)

    def expected_best(self, k: int) -> float | None:
        """Expected score of the best of ``k`` responses drawn without replacement, averaged over records.

        For a record with scores ``r_(1) <= ... <= r_(N)`` this is ``sum_i C(i - 1, k - 1) / C(N, k) r_(i)``, the
        unbiased estimate of best-of-k from N samples. Records with fewer than ``k`` judged responses are left out;
        None when all are.

        Raises:
            ValueError: ``k`` is below 1.
        """
        if k < 1:
            raise ValueError(f"best of k needs k of at least 1, got {k}")
        ordered = [sorted(pick.judged, reverse=self.better == "lower") for pick in self.picks]
        return _mean([_expected_best(values, k) for values in ordered if len(values) >= k])


def pick(
    reward: Reward,
    records: Iterable[Record],
    n: int | None = None,
    *,
    batch: int = 64,
    progress: Callable[[int], None] | None = None,
) -> Picks:
    """For each record the best of its first ``n`` responses (of all, without ``n``).

    Best is highest, or lowest where the reward declares that lower is better. A response that the reward cannot judge
    is never chosen; a record of which none can be judged is reported without a choice. Scores go in batches of up to
    ``batch`` responses; ``progress(records done)`` is called after each.

    Raises:
        ValueError: ``n`` or ``batch`` is below 1.
        ContractError: the reward breaks the contract of rewards.
    """
    if n is not None and n < 1:
        raise ValueError(f"best of n needs n of at least 1, got {n}")
    better = spec_of(reward).better
    picks: list[Pick] = []
    for chunk in batched((_first(record, n) for record in records), batch):
        scores = score_each(reward, chunk)
        start = 0
        for record in chunk:
            rows = slice(start, start + len(record.responses))
            picks.append(_pick(record.id, scores[rows], better))
            start = rows.stop
        if progress:
            progress(len(picks))
    return Picks(tuple(picks), better)


def _first(record: Record, n: int | None) -> Record:
    """The record with its first ``n`` responses, and without feedback, which a reward may not see anyway."""
    return replace(record, responses=record.responses[:n], feedback=())


def _pick(record: str, scores: Scores, better: Literal["higher", "lower"]) -> Pick:
    judged: list[bool] = scores.ok.tolist()
    raw: list[float] = scores.values.tolist()
    values = tuple(value if ok else None for value, ok in zip(raw, judged, strict=True))
    known = [value for value in values if value is not None]
    if not known:
        first = f"{scores.status[0]}: {scores.messages[0]}" if len(scores) else f"{Status.EMPTY}: no responses"
        return Pick(record, None, 0, values, first)
    best = max(known) if better == "higher" else min(known)
    return Pick(record, values.index(best), known.count(best), values)


def _expected_best(ordered: list[float], k: int) -> float:
    total = math.comb(len(ordered), k)
    return math.fsum(value * (math.comb(i, k - 1) / total) for i, value in enumerate(ordered))


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
