"""Searches with a generator and a reward: what they find and spend, best of n that grows, and comparison at equal cost.

A search is a function of a record. It gives `Found`: whole responses, best first, and what was spent on them, counted
where it is spent, by `Desk`. A `StepGenerator` stops at the end of a step, says itself what it wrote, and a draw that
fails is left out and told; of any other generator whole responses are taken and cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast, final

from assay.curation.step_labels import derived_seed
from assay.models.base import Generator, StepGenerator
from assay.records import Record, Response
from assay.records.steps import Split, cut_at, lines
from assay.rewards.base import Reward, score, spec_of
from assay.scores import Scores, Status
from assay.search.best_of_n import Pick, Picks

COLUMN = "search"
_AGAIN = 8


@final
@dataclass(frozen=True, slots=True)
class Spent:
    """``tokens`` written by the generator (what was thrown away too, a prefix that was given it not), ``responses``
    sampled, whole or up to a step, and ``calls``: texts that the reward scored, each once."""

    tokens: int = 0
    responses: int = 0
    calls: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.tokens + other.tokens, self.responses + other.responses, self.calls + other.calls)


@final
@dataclass(frozen=True, slots=True)
class Found:
    """What a search found for a record: whole ``responses``, best first, and their ``values``, higher better (the
    reward's scores; where lower is better their negatives), None where it abstains. Without a judged response
    ``reason`` says why. ``noted`` is what else the search says of itself."""

    record: Record
    responses: tuple[Response, ...]
    values: tuple[float | None, ...]
    spent: Spent
    reason: str = ""
    noted: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def best(self) -> Response | None:
        """The best response; None where none was judged."""
        return self.responses[0] if self.values and self.values[0] is not None else None

    def trace(self) -> Record:
        """The record with the responses found, best first, and the rest in the column ``search``."""
        spent = {"tokens": self.spent.tokens, "responses": self.spent.responses, "calls": self.spent.calls}
        noted = {"values": list(self.values), **spent, "reason": self.reason, **self.noted}
        context = {**self.record.context, COLUMN: noted}
        return replace(self.record, responses=self.responses, feedback=(), context=context)


Search: TypeAlias = Callable[[Record], Found]
Tokens: TypeAlias = Callable[[str], int]


def words(text: str) -> int:
    """Words between white space: how tokens are counted where no tokeniser is given."""
    return len(text.split())


@final
@dataclass(slots=True)
class Desk:
    """Where a search samples and has its texts scored, one record at a time: it counts both, and asks for no score
    twice. A generator that offers a ``session`` is used through one. ``tokens`` counts what a generator wrote that does
    not say so itself. ``last`` says why the latest draw or score that is missing is; ``failed`` counts the draws."""

    record: Record
    generator: Generator
    reward: Reward
    split: Split = lines
    tokens: Tokens = words
    seed: int = 0
    spent: Spent = field(default_factory=Spent)
    failed: int = 0
    last: str = ""
    _known: dict[str, tuple[float | None, tuple[float, ...]]] = field(
        default_factory=dict[str, tuple[float | None, tuple[float, ...]]]
    )

    def __post_init__(self) -> None:
        session = getattr(self.generator, "session", None)
        if callable(session):
            self.generator = cast("Generator", session())

    def go_on(self, prefix: Response | None, n: int, *what: object) -> list[Response]:
        """``n`` whole responses that begin with the prefix, their steps marked, less the draws that failed; ``what``
        makes the draw its own."""
        made = [each for each in self._drawn(prefix, n, None, what) if each is not None]
        return [replace(response, step_ends=self.split(response)) for response, _ in made]

    def one_step(
        self, prefix: Response | None, n: int, steps: int, *what: object
    ) -> list[tuple[Response, bool] | None]:
        """As `go_on`, each up to the end of step ``steps`` (0 the first), and whether that is all of it; None for a
        draw that failed.

        A prefix was cut because more came behind it. So a draw that ends it at once is drawn again, up to eight times:
        the end had its chance when the prefix was drawn, and would be too likely with two."""
        made = self._drawn(prefix, n, steps, what)
        for again in range(_AGAIN if prefix is not None else 0):
            ended = [place for place, each in enumerate(made) if each is not None and len(each[0].step_ends) <= steps]
            if not ended:
                break
            fresh = self._drawn(prefix, len(ended), steps, (*what, "again", again))
            made = [fresh[ended.index(place)] if place in ended else each for place, each in enumerate(made)]
        return made

    def _drawn(
        self, prefix: Response | None, n: int, steps: int | None, what: Sequence[object]
    ) -> list[tuple[Response, bool] | None]:
        bare = replace(self.record, responses=() if prefix is None else (prefix,), feedback=())
        before = "" if prefix is None else prefix.text
        drawn = derived_seed(self.seed, self.record.id, before, *what)
        if isinstance(self.generator, StepGenerator):
            return self._told(self.generator, bare, n, drawn, steps)
        made = self.generator.generate([bare], n, drawn)[0]
        self.spent += Spent(sum(self.tokens(each.text[len(before) :]) for each in made), len(made))
        return [(each, True) if steps is None else cut_at(each, self.split, steps) for each in made]

    def _told(
        self, generator: StepGenerator, bare: Record, n: int, drawn: int, steps: int | None
    ) -> list[tuple[Response, bool] | None]:
        split = None if steps is None else self.split
        (made,) = generator.generate_steps([bare], n, drawn, split=split, step=steps or 0)
        self.spent += Spent(sum(each.cost.written for each in made), sum(each.response is not None for each in made))
        for each in made:
            if each.response is None:
                self.failed += 1
                self.last = f"{each.status}: {each.message}"
        return [None if each.response is None else (each.response, each.whole) for each in made]

    def values(self, responses: Sequence[Response]) -> list[float | None]:
        """The reward's score of each response or beginning of one, higher better; None where it abstains."""
        return [value for value, _ in self.judged(responses)]

    def judged(self, responses: Sequence[Response]) -> list[tuple[float | None, tuple[float, ...]]]:
        """As `values`, each with the scores of its steps, NaN where one has none; empty for rewards without."""
        new = {each.text: each for each in responses if each.text not in self._known}
        if new:
            self.spent += Spent(calls=len(new))
            scores = score(self.reward, [replace(self.record, responses=tuple(new.values()), feedback=())])
            sign = -1.0 if spec_of(self.reward).better == "lower" else 1.0
            self._known |= {text: self._read(scores, row, sign) for row, text in enumerate(new)}
        return [self._known[each.text] for each in responses]

    def _read(self, scores: Scores, row: int, sign: float) -> tuple[float | None, tuple[float, ...]]:
        steps = () if scores.steps is None else tuple([sign * value for value in scores.steps[row].tolist()])
        if scores.status[row] is Status.OK:
            return sign * float(scores.values[row]), steps
        self.last = f"{scores.status[row]}: {scores.messages[row]}"
        return None, steps

    def found(self, responses: Sequence[Response], **noted: Any) -> Found:
        """The responses, best first, the first of equals; those without a score last."""
        rows = list(zip(responses, self.values(responses), strict=True))
        ranked = sorted(rows, key=lambda row: math.inf if row[1] is None else -row[1])
        nothing = not ranked or ranked[0][1] is None
        reason = (self.last or "no whole response was found") if nothing else ""
        kept, values = tuple([row[0] for row in ranked]), tuple([row[1] for row in ranked])
        lost = {"failed": self.failed, "why": self.last} if self.failed else {}
        return Found(self.record, kept, values, self.spent, reason, {**noted, **lost})


def growing(
    record: Record,
    generator: Generator,
    reward: Reward,
    *,
    n: int = 64,
    by: int = 4,
    gain: float = 0.0,
    budget: float = math.inf,
    split: Split = lines,
    tokens: Tokens = words,
    seed: int = 0,
) -> Found:
    """Best of n, ``by`` more at a time, until there are ``n``, ``budget`` tokens are spent, or more is not worth it.

    The responses that the record has are kept, come first and count; so the trace of a search grown to 8 goes on to 16
    from where it was, with the same 16 as one that grew to them at once (8 being a multiple of ``by``). With ``E_k``
    the unbiased estimate of best-of-k from the m scores so far (`Picks.expected_best`), it stops where
    ``E_m - E_(m - by) < gain``: the expected best is concave in k, so what the last draws were worth bounds in
    expectation what the next will be. ``gain`` is in the reward's unit; 0 never stops. At least ``2 by`` are judged
    first.

    A draw that fails counts among the n.

    Raises:
        ValueError: ``n``, ``by`` or ``budget`` is below 1.
    """
    if min(n, by, budget) < 1:
        raise ValueError(f"need at least 1, got {n=}, {by=}, {budget=}")
    desk = Desk(record, generator, reward, split, tokens, seed)
    responses = [each if each.step_ends else replace(each, step_ends=split(each)) for each in record.responses]
    stopped, worth, drawn = "n", None, len(record.responses)
    while drawn < n:
        worth = _last_gain(desk.values(responses), by)
        if worth is not None and gain > 0 and worth < gain:
            stopped = "gain"
            break
        if desk.spent.tokens >= budget:
            stopped = "budget"
            break
        more = min(by, n - drawn)
        responses += desk.go_on(None, more, "growing", drawn)
        drawn += more
    return desk.found(responses, how="best-of", n=len(responses), stopped=stopped, gain=worth)


def _last_gain(values: Sequence[float | None], by: int) -> float | None:
    """What the last ``by`` draws were worth; None before there are twice as many scores."""
    judged = [value for value in values if value is not None]
    if len(judged) < 2 * by:
        return None
    picks = Picks((Pick("", 0, 1, tuple(judged)),))
    most, fewer = picks.expected_best(len(judged)), picks.expected_best(len(judged) - by)
    return None if most is None or fewer is None else most - fewer


@final
@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison: what it spent, the mean value of its best responses by the reward it searched with,
    and by another measure (None without one, or where nothing was judged), and records for which it found nothing."""

    name: str
    spent: Spent
    value: float | None
    gold: float | None
    empty: int

    def __str__(self) -> str:
        gold = "" if self.gold is None else f", gold {self.gold:.4g}"
        value = "no score" if self.value is None else f"score {self.value:.4g}"
        spent = f"{self.spent.tokens:,} tokens in {self.spent.responses:,} responses, {self.spent.calls:,} reward calls"
        return f"{self.name}: {value}{gold}; {spent}" + (f"; nothing for {self.empty}" if self.empty else "")


def arm(name: str, found: Sequence[Found], gold: Reward | None = None) -> Arm:
    """What a search found for all records, as one side of a comparison. Calls of ``gold`` are no cost of a search."""
    best = [(each.record, each.best, each.values[0]) for each in found if each.best is not None]
    value = _mean([value for _, _, value in best if value is not None])
    mean: float | None = None
    if gold is not None and best:
        alone = [replace(record, responses=(response,), feedback=()) for record, response, _ in best if response]
        mean = _mean([each for each in score(gold, alone).values.tolist() if each == each])
    spent = sum((each.spent for each in found), Spent())
    return Arm(name, spent, value, mean, len(found) - len(best))


def at_equal_cost(
    name: str,
    searched: Sequence[Found],
    generator: Generator,
    reward: Reward,
    *,
    gold: Reward | None = None,
    tokens: Tokens = words,
    seed: int = 0,
) -> tuple[Arm, Arm]:
    """A search beside best of n that may write, for each record, as many tokens as the search did (by at most one
    response more), with the same generator and reward. `Arm` prints both, tokens and reward calls counted."""
    plain = [
        growing(
            replace(each.record, responses=()),
            generator,
            reward,
            n=max(each.spent.tokens, each.spent.responses, 1),
            by=1,
            budget=max(each.spent.tokens, 1),
            tokens=tokens,
            seed=seed,
        )
        for each in searched
    ]
    return arm(name, searched, gold), arm("best of n", plain, gold)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
