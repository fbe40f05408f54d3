"""Variations: the same responses scored in another company, order or layout. A score must not notice."""

from __future__ import annotations

import copy
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch

from assay.benchmarks.base import reordered
from assay.records import Record, Response
from assay.rewards.base import Reward, spec_of
from assay.rewards.batches import score_each
from assay.rewards.learned import LearnedReward
from assay.scores import Scores, Status

LONG_WORDS = 400


@dataclass(frozen=True, slots=True)
class Rescored:
    """Scores of the same responses in the same order, however come by: values ``[responses]`` and statuses."""

    values: torch.Tensor
    status: tuple[Status, ...]

    @staticmethod
    def of(scores: Scores) -> Rescored:
        """The values in float64 and the statuses of scores."""
        return Rescored(scores.values.detach().double().cpu(), scores.status)


Rescore = Callable[[Reward, Sequence[Record]], Rescored]


@dataclass(frozen=True, slots=True)
class Variation:
    """Another way to the same scores. ``gated`` is False for one that is only reported, ``why`` then says why."""

    name: str
    rescore: Rescore
    gated: bool = True
    why: str = ""


@runtime_checkable
class HasVariations(Protocol):
    """A reward that can be set up in several ways that must not change its scores: each by name, made when asked."""

    def variations(self) -> Mapping[str, Callable[[], Reward]]: ...


class NotApplicableError(ValueError):
    """A variation that this reward or these records do not have; the message says why."""


def variations_of(reward: Reward, records: Sequence[Record], *, seed: int = 0, reload: bool = True) -> list[Variation]:
    """Every variation that the reward's declaration allows to demand, then those of its own set-up."""
    spec = spec_of(reward)
    order = "" if spec.order_invariant else "declared not to be order-invariant"
    company = "" if spec.scale == "absolute" else "declared to mean something only within a record"
    found = [
        Variation("again", again),
        Variation("hidden columns in sight", unhidden),
        Variation("each record alone", in_batches(1)),
        *(Variation(f"batches of {size}", in_batches(size)) for size in (2, 3, 7) if size < len(records)),
        Variation("records reversed", other_record_order(lambda rows: list(reversed(rows))), not order, order),
        Variation("records shuffled", other_record_order(_shuffler(seed)), not order, order),
        Variation("beside a long record", beside(_long)),
        Variation("beside a short record", beside(_short)),
        Variation("responses shuffled", other_response_order(seed), not order, order),
    ]
    if not company:
        found += [
            Variation("each response alone", single_responses),
            Variation("responses halved", halved),
            Variation("beside strangers", beside_strangers(seed)),
        ]
    if not spec.deterministic:
        why = "declared not to be deterministic"
        found = [replace(item, gated=False, why=item.why or why) for item in found]
    return [*found, *_own(reward, reload)]


def again(reward: Reward, records: Sequence[Record]) -> Rescored:
    """The same call once more."""
    return Rescored.of(score_each(reward, records))


def unhidden(reward: Reward, records: Sequence[Record]) -> Rescored:
    """Called with feedback and every context column in sight."""
    if not any(record.feedback or record.context for record in records):
        raise NotApplicableError("the records hold nothing to hide")
    with torch.no_grad():
        return Rescored.of(reward(list(records)))


def in_batches(size: int) -> Rescore:
    """``size`` records a call."""

    def rescore(reward: Reward, records: Sequence[Record]) -> Rescored:
        parts = [score_each(reward, records[start : start + size]) for start in range(0, len(records), size)]
        return Rescored.of(Scores.concatenate(parts))

    return rescore


def other_record_order(arrange: Callable[[list[int]], list[int]]) -> Rescore:
    """All records in one call, in another order."""

    def rescore(reward: Reward, records: Sequence[Record]) -> Rescored:
        order = arrange(list(range(len(records))))
        rows = _rows(records)
        return _placed(score_each(reward, [records[i] for i in order]), [row for i in order for row in rows[i]])

    return rescore


def other_response_order(seed: int) -> Rescore:
    """Each record's responses in another order."""

    def rescore(reward: Reward, records: Sequence[Record]) -> Rescored:
        orders = [list(reversed(range(len(record.responses)))) for record in records]
        if all(len(order) < 2 for order in orders):
            raise NotApplicableError("no record has two responses")
        rng = random.Random(seed)
        for order in orders:
            if len(order) > 2:
                rng.shuffle(order)
        changed = [reordered(record, order) for record, order in zip(records, orders, strict=True)]
        rows = _rows(records)
        return _placed(score_each(reward, changed), [rows[i][k] for i, order in enumerate(orders) for k in order])

    return rescore


def beside(neighbour: Callable[[Sequence[Record]], Record]) -> Rescore:
    """All records in one call, each second one followed by another record that is not asked about."""

    def rescore(reward: Reward, records: Sequence[Record]) -> Rescored:
        other = neighbour(records)
        crowd: list[Record] = []
        asked: list[int | None] = []
        for number, rows in enumerate(_rows(records)):
            crowd.append(records[number])
            asked += rows
            if number % 2 == 0:
                crowd.append(replace(other, id=f"{other.id}-{number}"))
                asked += [None] * len(other.responses)
        return _placed(score_each(reward, crowd), asked)

    return rescore


def single_responses(reward: Reward, records: Sequence[Record]) -> Rescored:
    """Each response as the only one of its record, each in a call of its own."""
    rows = _rows(records)
    parts = [
        score_each(reward, [_only(record, [place])])
        for record, held in zip(records, rows, strict=True)
        for place in range(len(held))
    ]
    return Rescored.of(Scores.concatenate(parts))


def halved(reward: Reward, records: Sequence[Record]) -> Rescored:
    """Each record as two: one with its even responses, one with its odd ones."""
    if all(len(record.responses) < 2 for record in records):
        raise NotApplicableError("no record has two responses")
    parts: list[Record] = []
    asked: list[int | None] = []
    for record, rows in zip(records, _rows(records), strict=True):
        for side in (0, 1):
            places = list(range(side, len(rows), 2))
            if places:
                parts.append(replace(_only(record, places), id=f"{record.id}-{side}"))
                asked += [rows[place] for place in places]
    return _placed(score_each(reward, parts), asked)


def beside_strangers(seed: int) -> Rescore:
    """Each record's responses among those of another record, put before and behind them."""

    def rescore(reward: Reward, records: Sequence[Record]) -> Rescored:
        if len(records) < 2:
            raise NotApplicableError("there is no other record to take responses from")
        shift = random.Random(seed).randrange(1, len(records))
        crowd: list[Record] = []
        asked: list[int | None] = []
        for number, rows in enumerate(_rows(records)):
            strangers = records[(number + shift) % len(records)].responses
            first, last = strangers[:1], strangers[1:]
            own = records[number]
            crowd.append(replace(own.view(_all(own)), responses=(*first, *own.responses, *last)))
            asked += [*[None] * len(first), *rows, *[None] * len(last)]
        return _placed(score_each(reward, crowd), asked)

    return rescore


def _own(reward: Reward, reload: bool) -> Iterator[Variation]:
    if isinstance(reward, HasVariations):
        for name, make in reward.variations().items():
            yield Variation(name, _with(lambda _, make=make: make()))
    if isinstance(reward, LearnedReward):
        yield from _learned(reward, reload)


def _learned(reward: LearnedReward, reload: bool) -> Iterator[Variation]:
    from assay.models.families import family_of
    from assay.models.hf import Backbone
    from assay.models.layout import padded, shared

    yield Variation("padded, wide batches", _with(lambda _: _laid_out(reward, padded, 1 << 20)))
    yield Variation("padded, one row at a time", _with(lambda _: _laid_out(reward, padded, 1)))
    if isinstance(reward.backbone, Backbone) and family_of(reward.backbone.module).shares:
        yield Variation("prompt shared, all in one row", _with(lambda _: _laid_out(reward, shared, 1 << 20)))
        yield Variation("prompt shared, a row a record", _with(lambda _: _laid_out(reward, shared, 1)))
    yield Variation("small token budget", _with(lambda _: _laid_out(reward, reward.layout, 64)))
    if reload:
        yield Variation("saved and loaded", _reloaded)
    low = reward.backbone.placement.dtype != torch.float32
    other = torch.float32 if low else torch.bfloat16
    name = str(other).removeprefix("torch.")
    yield Variation(f"in {name}", _with(lambda _: _in_dtype(reward, other)), gated=False, why="another number format")


def _with(make: Callable[[Reward], Reward]) -> Rescore:
    return lambda reward, records: Rescored.of(score_each(make(reward), records))


def _laid_out(reward: LearnedReward, layout: Any, token_budget: int) -> LearnedReward:
    return reward.replace(token_budget=token_budget, layout=layout)


def _reloaded(reward: Reward, records: Sequence[Record]) -> Rescored:
    assert isinstance(reward, LearnedReward)
    where = reward.backbone.placement
    with tempfile.TemporaryDirectory(prefix="assay-verify-") as folder:
        try:
            saved = reward.save(Path(folder) / "reward")
        except ValueError as error:
            raise NotApplicableError(str(error)) from error
        loaded = LearnedReward.load(saved, device=where.device, dtype=where.dtype)
        return Rescored.of(score_each(loaded, records))


def _in_dtype(reward: LearnedReward, dtype: torch.dtype) -> LearnedReward:
    module = copy.deepcopy(reward.backbone.module).to(dtype)
    where = replace(reward.backbone.placement, dtype=dtype, reason=f"a copy in {dtype}")
    backbone = replace(cast("Any", reward.backbone), module=module, placement=where)
    head = copy.deepcopy(reward.head)
    return reward.replace(backbone=backbone, head=head)


def _rows(records: Sequence[Record]) -> list[list[int]]:
    rows: list[list[int]] = []
    start = 0
    for record in records:
        rows.append(list(range(start, start + len(record.responses))))
        start += len(record.responses)
    return rows


def _placed(scores: Scores, asked: Sequence[int | None]) -> Rescored:
    """Scores put back to the rows they were asked for; ``None`` marks a row nobody asked about."""
    total = sum(row is not None for row in asked)
    values = torch.full((total,), torch.nan, dtype=torch.float64)
    status = [Status.FAILED] * total
    for value, state, row in zip(scores.values.detach().double().cpu(), scores.status, asked, strict=True):
        if row is not None:
            values[row] = value
            status[row] = state
    return Rescored(values, tuple(status))


def _only(record: Record, places: Sequence[int]) -> Record:
    return replace(record.view(_all(record)), responses=tuple(record.responses[place] for place in places))


def _all(record: Record) -> tuple[str, ...]:
    return tuple(record.context)


def _shuffler(seed: int) -> Callable[[list[int]], list[int]]:
    def arrange(rows: list[int]) -> list[int]:
        return random.Random(seed).sample(rows, len(rows))

    return arrange


def _long(records: Sequence[Record]) -> Record:
    answer = " ".join(f"word{number}" for number in range(LONG_WORDS))
    return replace(records[0].view(_all(records[0])), id="neighbour", responses=(Response.of(answer),))


def _short(records: Sequence[Record]) -> Record:
    return replace(records[0].view(_all(records[0])), id="neighbour", responses=(Response.of("a"),))
