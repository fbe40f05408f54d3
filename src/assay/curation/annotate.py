"""Preference data annotated by judges: ratings of aspects, the ranking they make, and its pairs.

Each judge rates every response by aspects; a response's aspect scores, each on its own scale, are averaged; the
averages rank the responses of a record; and a ranking of n responses gives n (n - 1) / 2 preferences less its ties.

Source: Wu et al., Multimodal Large Language Model is a Human-Aligned Annotator for Text-to-Image Generation
(VisionPrefer), 2024, arXiv 2404.15100.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeAlias, cast, final

from assay.models.asking import Cost
from assay.records import Critique, Feedback, Preference, Ranking, Rating, Record
from assay.records.pairs import preferences_of
from assay.rewards.base import Reward
from assay.rewards.batches import score_each
from assay.rewards.judges.verdicts import cost_of
from assay.scores import Scores, Status

COLUMN = "annotation"
TOGETHER, PEOPLE = "judges", "people"

Annotate: TypeAlias = Callable[[Sequence[Record]], list[Record]]
"""Records to the same records with more feedback."""


def annotated(
    records: Sequence[Record], judges: Mapping[str, Reward], *, aspects: Sequence[str] = (), tied: float = 0.0
) -> list[Record]:
    """The records with what the judges say, after the feedback they have.

    Of each judge, by its name as rater: a `Rating` of each response, one of each of ``aspects`` (attributes of its
    scores) as a criterion, and its critique. Then a `Ranking`, and the `preferences` it implies: of one judge by its
    scores, of several, as the rater ``judges``, by the mean of their ranks within the record, since their scales
    differ. Scores that differ by no more than ``tied`` are equal.

    A response that a judge could not judge has no rating of it, and one that any judge could not judge takes no part in
    the ranking; the context column ``annotation`` says of each judge the status of every response, the messages of
    those that failed, and what it cost. What judges said in an earlier annotation stays beside it; the pool of several
    is then the rater ``judges 2``, and so on.

    Raises:
        ValueError: no judge, ``tied`` below 0, an aspect that a judge's scores do not have, a record that was annotated
            by a judge of the same name, or one whose column ``annotation`` holds something else.
        ContractError: a judge breaks the contract of rewards.
    """
    if not judges or tied < 0:
        raise ValueError(f"annotation needs a judge, and tied at least 0, got {len(judges)} and {tied}")
    check_earlier(records, judges)
    said = {name: _by_record(score_each(judge, records), len(records)) for name, judge in judges.items()}
    return [
        _annotated(record, {name: rows[number] for name, rows in said.items()}, aspects, tied)
        for number, record in enumerate(records)
    ]


def check_earlier(records: Sequence[Record], judges: Iterable[str]) -> None:
    """See that annotating records by judges of these names overwrites nothing.

    Raises:
        ValueError: it would; see `annotated`.
    """
    for record in records:
        if twice := sorted(earlier(record).keys() & set(judges)):
            raise ValueError(
                f"record {record.id} is annotated by {twice[0]!r} already: give this judge another name "
                f"(--by NAME=...), or take the records without that annotation"
            )


def earlier(record: Record) -> Mapping[str, Mapping[str, Any]]:
    """What the column ``annotation`` of a record says, by judge; empty without one.

    Raises:
        ValueError: it is no annotation of judges.
    """
    held: object = record.context.get(COLUMN, {})
    entries = cast("Mapping[str, Any]", held) if isinstance(held, Mapping) else None
    if entries is not None and all(map(_is_entry, entries.values())):
        return entries
    raise ValueError(
        f"record {record.id} has a column {COLUMN!r} that no judge wrote, and it is not overwritten: rename it"
    )


def _is_entry(held: object) -> bool:
    return isinstance(held, Mapping) and {"status", "cost"} <= cast("Mapping[str, Any]", held).keys()


def preferences(ranking: Ranking) -> list[Preference]:
    """Every two responses of different ranks, ``n (n - 1) / 2`` less the ties; unranked ones take no part."""
    ranked = [(rank, place) for place, rank in enumerate(ranking.ranks) if rank is not None]
    found: list[Preference] = []
    for (first, one), (second, other) in combinations(ranked, 2):
        if first != second:
            better, worse = (one, other) if first < second else (other, one)
            found.append(Preference(better, worse, rater=ranking.rater, criterion=ranking.criterion))
    return found


def voters(records: Sequence[Record]) -> list[Record]:
    """Annotated records with, as their only feedback, what each judge prefers of every two responses it rated (a tie
    where the ratings are equal) and what people preferred there, of whatever feedback they gave (by the first criterion
    of several; those without a name are the rater ``people``): what `assay.benchmarks.agreement.rater_agreement`
    measures the agreement of judges, and with people, by."""
    return [replace(record, feedback=tuple(_votes(record))) for record in records]


def _votes(record: Record) -> list[Preference]:
    judges = earlier(record)
    by_rater: dict[str, list[Rating]] = {}
    for item in record.feedback:
        if isinstance(item, Rating) and item.criterion is None and item.rater in judges:
            by_rater.setdefault(str(item.rater), []).append(item)
    found: list[Preference] = []
    for rater, ratings in by_rater.items():
        for one, other in combinations(sorted(ratings, key=lambda rating: rating.response), 2):
            same, first = one.value == other.value, one.value >= other.value
            pair = (one.response, other.response) if first else (other.response, one.response)
            found.append(Preference(*pair, probability=0.5 if same else 1.0, tie=same, rater=rater))
    own = [item for item in record.feedback if item.rater not in judges and not _is_pool(item.rater)]
    people = preferences_of(replace(record, feedback=tuple(own)))
    same_criterion = [item for item in people if item.criterion == people[0].criterion]
    return found + [replace(item, rater=item.rater or PEOPLE, criterion=None) for item in same_criterion]


def _is_pool(rater: str | None) -> bool:
    return rater is not None and re.fullmatch(rf"{TOGETHER}( \d+)?", rater) is not None


def _pool(record: Record) -> str:
    """The rater that the judges of a record are together: a new one beside those of earlier annotations."""
    pools = {item.rater for item in record.feedback if _is_pool(item.rater)}
    return f"{TOGETHER} {len(pools) + 1}" if pools else TOGETHER


def ranked(values: Sequence[float], tied: float = 0.0) -> tuple[int | None, ...]:
    """The rank of each value, 0 the highest; one within ``tied`` of the next above shares its rank, NaN has none."""
    order = sorted((place for place, value in enumerate(values) if not math.isnan(value)), key=lambda i: -values[i])
    ranks: list[int | None] = [None] * len(values)
    for position, place in enumerate(order):
        above = order[position - 1] if position else None
        same = above is not None and values[above] - values[place] <= tied
        ranks[place] = ranks[above] if same and above is not None else position
    return tuple(ranks)


@final
@dataclass(frozen=True, slots=True)
class Spent:
    """What is known of annotated records: the cost of all judges, and how many judgements could not be made."""

    cost: Cost
    judged: int
    failed: Mapping[str, int]


def spent(records: Sequence[Record], judges: Sequence[str] | None = None) -> Spent:
    """What the annotation of records by ``judges`` (all) cost, and what failed, as their column ``annotation`` says."""
    total, failed, judged = Cost(), dict[str, int](), 0
    for record in records:
        for entry in _entries(record, judges):
            total += Cost(**entry["cost"])
            for status in entry["status"]:
                if status == Status.OK:
                    judged += 1
                else:
                    failed[status] = failed.get(status, 0) + 1
    return Spent(total, judged, failed)


def is_whole(record: Record, judges: Sequence[str] | None = None) -> bool:
    """Whether every one of ``judges`` (all) could judge every response of an annotated record."""
    entries = _entries(record, judges)
    return bool(entries) and all(status == Status.OK for entry in entries for status in entry["status"])


def _entries(record: Record, judges: Sequence[str] | None) -> list[Mapping[str, Any]]:
    held = earlier(record)
    return [held[name] for name in (held if judges is None else judges) if name in held]


def _by_record(scores: Scores, count: int) -> list[Scores]:
    groups: list[list[int]] = [[] for _ in range(count)]
    for row, record in enumerate(cast("list[int]", scores.group.tolist())):
        groups[record].append(row)
    return [scores[rows] for rows in groups]


def _annotated(record: Record, said: Mapping[str, Scores], aspects: Sequence[str], tied: float) -> Record:
    feedback: list[Feedback] = []
    for name, scores in said.items():
        feedback += _ratings(scores, name, aspects)
    table = [cast("list[float]", scores.values.tolist()) for scores in said.values()]
    if len(table) > 1:
        table = [_standings(row, tied) for row in table]
    together = [math.fsum(cells) / len(table) for cells in zip(*table, strict=True)]
    ranks = ranked(together, tied if len(table) == 1 else 0.0)
    if sum(rank is not None for rank in ranks) > 1:
        ranking = Ranking(ranks, rater=next(iter(said)) if len(said) == 1 else _pool(record))
        feedback += [ranking, *preferences(ranking)]
    told = {**earlier(record), **{name: _told(scores) for name, scores in said.items()}}
    return replace(record, feedback=(*record.feedback, *feedback), context={**record.context, COLUMN: told})


def _ratings(scores: Scores, rater: str, aspects: Sequence[str]) -> list[Feedback]:
    lacking = [aspect for aspect in aspects if aspect not in scores.attributes]
    if lacking and Status.OK in scores.status:
        raise ValueError(f"judge {rater} has no {lacking[0]!r} among its attributes {', '.join(scores.attributes)}")
    found: list[Feedback] = []
    for criterion, column in [
        (None, scores.values),
        *((name, scores.attributes[name]) for name in aspects if not lacking),
    ]:
        for place, value in enumerate(cast("list[float]", column.tolist())):
            if not math.isnan(value):
                found.append(Rating(place, value, rater=rater, criterion=criterion))
    for place, text in enumerate(scores.critiques or ()):
        if text:
            found.append(Critique(place, text, rater=rater))
    return found


def _standings(values: Sequence[float], tied: float) -> list[float]:
    """Minus the mean rank of each value among those of its record: higher is better, and scales do not matter."""
    ranks = ranked(values, tied)
    return [math.nan if rank is None else -(rank + (ranks.count(rank) - 1) / 2) for rank in ranks]


def _told(scores: Scores) -> dict[str, Any]:
    cost = cost_of(scores)
    messages = {str(place): message for place, message in enumerate(scores.messages) if message}
    return {
        "status": [str(status) for status in scores.status],
        "messages": messages,
        "cost": {"read": cost.read, "written": cost.written, "money": cost.money, "calls": cost.calls},
    }
