"""Raters: populations with known preferences and noise, whose gold utilities are returned with what they say.

A rater with weights w sees attributes a of a response and has utility u = w . a. All of its feedback follows from one
noisy scale: comparing i with j it feels d = (u_i - u_j) / temperature + logistic noise, calls |d| <= tie a tie and
|d| > strong a strong preference, and reports the opposite with probability ``flip``. Without ties and flips this is the
model of Bradley and Terry (1952), with ties that of Rao and Kupper (1967), and rankings follow Plackett and Luce.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from assay.records import Feedback, Preference, Ranking, Rating, Record

Attributes = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rater:
    """One rater. ``weights`` by attribute (others weigh 0); ``temperature`` > 0; ``flip`` in 0..1; 0 <= tie <= strong.

    Raises:
        ValueError: a number out of its range.
    """

    name: str
    weights: Attributes
    temperature: float = 1.0
    flip: float = 0.0
    tie: float = 0.0
    strong: float = 2.0

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and 0 <= self.flip <= 1 and 0 <= self.tie <= self.strong):
            raise ValueError(f"need temperature > 0, flip in 0..1 and 0 <= tie <= strong, got {self}")

    def utility(self, attributes: Attributes) -> float:
        """u = w . a, in the unit of the weights."""
        return sum(weight * attributes.get(name, 0.0) for name, weight in self.weights.items())


@dataclass(frozen=True, slots=True)
class Odds:
    """What a rater says of a pair, as probabilities that sum to 1."""

    win: float
    tie: float
    loss: float


@dataclass(frozen=True, slots=True)
class Rated:
    """Records with the raters' feedback, and the gold utilities: ``utilities[rater][record][response]``."""

    records: tuple[Record, ...]
    utilities: Mapping[str, tuple[tuple[float, ...], ...]]

    @property
    def gold(self) -> tuple[tuple[float, ...], ...]:
        """The population's utility ``[record][response]``: the mean over raters."""
        columns = [np.array([u for row in rows for u in row]) for rows in self.utilities.values()]
        flat = iter(np.mean(columns, axis=0).tolist())
        return tuple(tuple(next(flat) for _ in record.responses) for record in self.records)


def population(
    mean: Attributes,
    n: int,
    *,
    seed: int = 0,
    spread: float = 0.0,
    temperature: float = 1.0,
    flip: float = 0.0,
    tie: float = 0.0,
    prefix: str = "rater",
) -> list[Rater]:
    """``n`` raters whose weights are normal about ``mean`` with standard deviation ``spread``; add lists for groups."""
    rng = np.random.default_rng([seed, 7])
    raters: list[Rater] = []
    for i in range(n):
        weights = {name: weight + spread * float(rng.standard_normal()) for name, weight in mean.items()}
        raters.append(Rater(f"{prefix}-{i}", weights, temperature, flip, tie))
    return raters


def odds(rater: Rater, first: float, second: float) -> Odds:
    """The probabilities that a response of utility ``first`` wins against, ties with, or loses to one of ``second``."""
    gap = (first - second) / rater.temperature
    win, loss = _sigmoid(gap - rater.tie), _sigmoid(-gap - rater.tie)
    kept = 1 - rater.flip
    return Odds(kept * win + rater.flip * loss, 1 - win - loss, kept * loss + rater.flip * win)


def grade(rater: Rater, first: float, second: float, rng: np.random.Generator) -> int:
    """-2..2: how much better the first is felt to be; 0 is a tie, 2 a strong preference."""
    felt = (first - second) / rater.temperature + float(rng.logistic())
    size = 0 if abs(felt) <= rater.tie else 1 if abs(felt) <= rater.strong else 2
    sign = -1 if (felt < 0) != bool(rng.random() < rater.flip) else 1
    return sign * size


def compare(rater: Rater, utilities: Sequence[float], rng: np.random.Generator) -> Preference:
    """A preference between two responses drawn at random; ``strength`` is the size of the grade, 0 for a tie.

    Raises:
        ValueError: fewer than two responses.
    """
    if len(utilities) < 2:
        raise ValueError(f"a comparison needs two responses, got {len(utilities)}")
    first, second = rng.permutation(len(utilities))[:2].tolist()
    felt = grade(rater, utilities[first], utilities[second], rng)
    better, worse = (first, second) if felt >= 0 else (second, first)
    return Preference(
        better,
        worse,
        probability=0.5 if felt == 0 else 1.0,
        tie=felt == 0,
        strength=float(abs(felt)),
        rater=rater.name,
    )


def rate(rater: Rater, utilities: Sequence[float], rng: np.random.Generator, levels: int = 5) -> list[Rating]:
    """A rating 1..``levels`` of every response: the middle plus the utility over the temperature, with logistic noise.

    A flipped rating is mirrored about the middle.
    """
    middle = (1 + levels) / 2
    ratings: list[Rating] = []
    for i, utility in enumerate(utilities):
        felt = utility / rater.temperature + 0.5 * float(rng.logistic())
        felt = -felt if rng.random() < rater.flip else felt
        ratings.append(Rating(i, float(min(max(round(middle + felt), 1), levels)), rater=rater.name))
    return ratings


def rank(rater: Rater, utilities: Sequence[float], rng: np.random.Generator) -> Ranking:
    """A ranking by Plackett-Luce: utilities over the temperature with Gumbel noise, sorted; a flip turns it round."""
    felt = [utility / rater.temperature + float(rng.gumbel()) for utility in utilities]
    sign = 1 if rng.random() < rater.flip else -1
    ranks = [0] * len(felt)
    for place, i in enumerate(sorted(range(len(felt)), key=lambda i: sign * felt[i])):
        ranks[i] = place
    return Ranking(tuple(ranks), rater=rater.name)


def rated(
    records: Sequence[Record],
    attributes: Sequence[Sequence[Attributes]],
    raters: Sequence[Rater],
    *,
    kind: Literal["preference", "rating", "ranking"] = "preference",
    each: int = 1,
    seed: int = 0,
) -> Rated:
    """Feedback of ``each`` raters, drawn without repetition for each record, in place of the records' own.

    ``attributes[record][response]`` is what raters see. Every rater's utilities are returned, also where it was silent.

    Raises:
        ValueError: lengths differ, more raters asked for than there are, or names that repeat.
    """
    if len(attributes) != len(records) or any(
        len(row) != len(record.responses) for row, record in zip(attributes, records, strict=True)
    ):
        raise ValueError("need one mapping of attributes for every response of every record")
    names = [rater.name for rater in raters]
    if not 1 <= each <= len(raters) or len(set(names)) != len(names):
        raise ValueError(f"need 1 <= each <= {len(raters)} raters of different names, got each={each}")
    rng = np.random.default_rng([seed, 8])
    utilities = {
        rater.name: tuple(tuple(rater.utility(cell) for cell in row) for row in attributes) for rater in raters
    }
    done: list[Record] = []
    for i, record in enumerate(records):
        feedback: list[Feedback] = []
        for k in rng.permutation(len(raters))[:each].tolist():
            seen = utilities[raters[k].name][i]
            if kind == "rating":
                feedback += rate(raters[k], seen, rng)
            else:
                feedback.append((compare if kind == "preference" else rank)(raters[k], seen, rng))
        done.append(replace(record, feedback=tuple(feedback)))
    return Rated(tuple(done), utilities)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


@dataclass(frozen=True, slots=True)
class Judge:
    """A scripted judge: it stands in for a model that is asked, and reads nothing but the true utilities.

    Asked which of two is better it answers nothing readable with probability ``abstain``; else it names the first
    whatever it saw with probability ``position_bias``; else the better one with probability ``reliability`` (either of
    two equal ones). Its score of one response is the utility plus normal noise of standard deviation ``noise``.

    Raises:
        ValueError: a probability outside 0..1, or a negative ``noise``.
    """

    reliability: float = 0.8
    position_bias: float = 0.0
    abstain: float = 0.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        odds_of = (self.reliability, self.position_bias, self.abstain)
        if not all(0 <= chance <= 1 for chance in odds_of) or self.noise < 0:
            raise ValueError(f"a judge needs probabilities in 0..1 and noise of at least 0, got {self}")

    def compare(self, first: float, second: float, rng: np.random.Generator) -> str:
        """What it writes of two responses of these utilities: ``Answer 1 is better.``, ``Answer 2 is better.``, or a
        sentence without a verdict."""
        silent, lazy, right = rng.random(3)
        if silent < self.abstain:
            return "Both answers have their merits."
        if lazy < self.position_bias:
            return "Answer 1 is better."
        better = 1 if first > second or (first == second and rng.random() < 0.5) else 2
        named = better if right < self.reliability else 3 - better
        return f"Answer {named} is better."

    def rate(self, utility: float, rng: np.random.Generator) -> float | None:
        """Its score of one response, None where it abstains."""
        if rng.random() < self.abstain:
            return None
        return utility + self.noise * float(rng.standard_normal())
