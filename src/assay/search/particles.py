"""Particle filtering: beginnings of responses that are weighed after every step and drawn again by their weights."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

from assay.curation.step_labels import derived_seed
from assay.models.base import Generator
from assay.records import Record, Response
from assay.records.steps import Split, lines
from assay.rewards.base import Reward
from assay.search.growing import Desk, Found, Tokens, words

Resample: TypeAlias = Callable[[Sequence[float], random.Random], list[int]]
"""Weights that sum to 1, to the places of the particles that go on, as many."""


def effective_size(weights: Sequence[float]) -> float:
    """``(sum w)^2 / sum w^2``: how many equal weights these are worth, from 1 to their number; 0 where all are 0."""
    squares = math.fsum(weight * weight for weight in weights)
    return math.fsum(weights) ** 2 / squares if squares > 0 else 0.0


def systematic(weights: Sequence[float], rng: random.Random) -> list[int]:
    """One draw for all: place ``i`` is taken ``floor(N w_i)`` or ``ceil(N w_i)`` times, ``N w_i`` in expectation."""
    count, start = len(weights), rng.random()
    chosen: list[int] = []
    place, reached = 0, weights[0]
    for point in ((start + number) / count for number in range(count)):
        while reached < point and place < count - 1:
            place += 1
            reached += weights[place]
        chosen.append(place)
    return chosen


def multinomial(weights: Sequence[float], rng: random.Random) -> list[int]:
    """Independent draws by weight."""
    return rng.choices(range(len(weights)), weights=weights, k=len(weights))


@final
@dataclass(frozen=True, slots=True)
class _Particle:
    """A beginning, its last value, and the logarithm of its weight, -inf where it could not be judged."""

    response: Response | None
    whole: bool
    value: float
    log: float


def particles(
    record: Record,
    generator: Generator,
    reward: Reward,
    *,
    count: int = 16,
    strength: float = 1.0,
    least: float = 0.5,
    resample: Resample = systematic,
    depth: int = 32,
    split: Split = lines,
    tokens: Tokens = words,
    seed: int = 0,
) -> Found:
    """Sequential Monte Carlo towards ``p(y) exp(strength r(y))``, with the generator ``p`` and the reward ``r``.

    At each step every particle that is not whole is gone on with once, cut after its next step and scored; its weight
    is multiplied by ``exp(strength (r_t - r_(t-1)))`` with ``r_0 = 0``, which telescopes, so that a reward that is
    rough in between moves where particles go and not what is sampled in the limit. Where the `effective_size` of the
    weights falls below ``least count``, particles are drawn again by weight and weights are equal again (``least = 0``
    never, 1 always). ``strength`` 0 samples from the generator. A particle that cannot be gone on with, or judged,
    weighs nothing. After ``depth`` steps beginnings are finished once.

    ``noted``: ``weights`` of the whole responses, in their order, to vote with (`search.voting.vote`), or to draw one;
    ``effective`` the size after each step, before drawing; ``drawn`` the steps at which particles were drawn again.

    Raises:
        ValueError: ``count`` or ``depth`` is below 1, ``least`` outside 0..1, or ``strength`` below 0.

    Sources: Gordon, Salmond and Smith, 1993; Puri et al. (particles for language models at inference), 2025, arXiv
    2502.01618; the potential of differences as Singhal et al. (FK steering), 2025, arXiv 2501.06848.
    """
    if min(count, depth) < 1 or not 0 <= least <= 1 or not strength >= 0:
        raise ValueError(f"got {count=}, {depth=} (at least 1), {least=} (0..1), {strength=} (at least 0)")
    desk = Desk(record, generator, reward, split, tokens, seed)
    rng = random.Random(derived_seed(seed, record.id, "particles"))
    now = [_Particle(None, False, 0.0, 0.0)] * count
    effective: list[float] = []
    drawn: list[int] = []
    while len(effective) < depth and any(not each.whole for each in now):
        now = _moved(desk, now, len(effective), strength)
        weights = normalised([each.log for each in now])
        effective.append(effective_size(weights))
        if not effective[-1]:
            break
        if effective[-1] < least * count or least == 1:
            now = [_equal(now[place]) for place in resample(weights, rng)]
            drawn.append(len(effective))
    now = [each if each.whole else _finished(desk, each, place, strength) for place, each in enumerate(now)]
    return _told(desk, now, effective, drawn)


def normalised(logs: Sequence[float]) -> list[float]:
    """``exp(log w)`` over their sum; all 0 where every weight is."""
    most = max(logs)
    if most == -math.inf:
        return [0.0] * len(logs)
    raw = [math.exp(each - most) for each in logs]
    return [each / math.fsum(raw) for each in raw]


def _moved(desk: Desk, now: Sequence[_Particle], step: int, strength: float) -> list[_Particle]:
    """Every particle one step further, those at the same beginning in one call; whole ones and dead ones stay."""
    waiting: dict[str, list[int]] = {}
    for place, each in enumerate(now):
        if not each.whole and each.log > -math.inf:
            waiting.setdefault("" if each.response is None else each.response.text, []).append(place)
    places = [place for group in waiting.values() for place in group]
    cut = [
        made
        for group in waiting.values()
        for made in desk.one_step(now[group[0]].response, len(group), step, "particles", step)
    ]
    values = iter(desk.values([made[0] for made in cut if made is not None]))
    moved = list(now)
    for place, made in zip(places, cut, strict=True):
        moved[place] = _dead(now[place]) if made is None else _weighed(now[place], *made, next(values), strength)
    return moved


def _dead(before: _Particle) -> _Particle:
    """A particle that could not be gone on with."""
    return _Particle(before.response, True, before.value, -math.inf)


def _weighed(before: _Particle, response: Response, whole: bool, value: float | None, strength: float) -> _Particle:
    if value is None:
        return _Particle(response, True, before.value, -math.inf)
    return _Particle(response, whole, value, before.log + strength * (value - before.value))


def _equal(particle: _Particle) -> _Particle:
    return _Particle(particle.response, particle.whole, particle.value, 0.0)


def _finished(desk: Desk, particle: _Particle, place: int, strength: float) -> _Particle:
    made = desk.go_on(particle.response, 1, "finish", place)
    return _weighed(particle, made[0], True, desk.values(made)[0], strength) if made else _dead(particle)


def _told(desk: Desk, now: Sequence[_Particle], effective: Sequence[float], drawn: Sequence[int]) -> Found:
    """The particles that have a weight, the best first, and their weights in that order."""
    alive = [each for each in now if each.response is not None and each.log > -math.inf]
    alive.sort(key=lambda each: -each.value)
    found = desk.found([each.response for each in alive if each.response is not None])
    weights = normalised([each.log for each in alive]) if alive else []
    told = {"how": "particles", "weights": weights, "effective": list(effective), "drawn": list(drawn)}
    return replace(found, noted={**told, **found.noted})
