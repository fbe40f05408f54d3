"""What people are asked: which of two is better, an order, ratings of aspects, labels of steps. A task is a value of
functions: from a record to questions, from a form to an answer, from an answer to feedback and to labels that agree or
not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, TypeAlias, final

from assay.benchmarks.agreement import Distance, interval, nominal, ordinal
from assay.records import Feedback, Preference, Ranking, Rating, Record, StepLabels

Answer: TypeAlias = Mapping[str, Any]
"""What was said, in the record's own numbers of responses; ``{"skip": True}`` of a question passed over."""
Form: TypeAlias = Mapping[str, str]
Label: TypeAlias = tuple[str, str, float]
"""What is labelled together, which unit of it, and the label: what raters agree on, or not."""
SCALE = 5
MARKS = {"right": 1.0, "unsure": 0.5, "wrong": 0.0}


class AnswerError(ValueError):
    """A form that does not answer the question; the message says what is missing."""


@final
@dataclass(frozen=True)
class Question:
    """Some responses of one record, by number; ``steps`` is how many steps the response has where these are asked."""

    record: int
    responses: tuple[int, ...]
    steps: int = 0

    @property
    def key(self) -> str:
        """What the question is known by: ``record:response-response``."""
        return f"{self.record}:{'-'.join(map(str, self.responses))}"


@final
@dataclass(frozen=True)
class Task:
    """One kind of question.

    ``questions(record, number)`` are those about a record; ``read(form, question, sides)`` is the answer, ``sides``
    being the responses in the order they were shown; ``feedback`` of an answer and its rater, ``labels`` of an answer
    with how far two of them are apart, ``distance``. ``fields`` are the aspects that are rated, if any.
    """

    name: str
    asked: str
    questions: Callable[[Record, int], list[Question]]
    read: Callable[[Form, Question, Sequence[int]], Answer]
    feedback: Callable[[Answer, Question, str], list[Feedback]]
    labels: Callable[[Answer, Question], list[Label]]
    distance: Distance
    fields: tuple[str, ...] = ()


def pairs() -> Task:
    """Which of two responses is better: every two of a record."""
    return Task("pairs", "Which response is better?", _every_two, _read_pair, _preference, _pair_labels, nominal)


def ranking() -> Task:
    """The responses of a record in order, ties allowed."""
    asked = "Order the responses: 1 is the best. Equal ones may share a place."
    return Task("ranking", asked, _whole, _read_ranks, _ranking, _rank_labels, ordinal)


def rating(aspects: Sequence[str]) -> Task:
    """Each response of a record on each aspect, 1 to 5. A response may be left out, a form may not be empty.

    Raises:
        ValueError: no aspect.
    """
    if not aspects:
        raise ValueError("rating needs an aspect to rate, for example --aspect helpful")
    names = tuple(dict.fromkeys(aspects))
    read = partial(_read_ratings, aspects=names)
    asked = f"Rate each response, {SCALE} is best."
    return Task("rating", asked, partial(_whole, least=1), read, _ratings, _rating_labels, interval, names)


def steps() -> Task:
    """Each step of a response: right, wrong, or unsure. Responses without marked steps are not asked about."""
    return Task("steps", "Is each step right?", _each_stepped, _read_steps, _step_labels, _mark_labels, interval)


TASKS: Mapping[str, Callable[[Sequence[str]], Task]] = {
    "pairs": lambda aspects: pairs(),
    "ranking": lambda aspects: ranking(),
    "rating": rating,
    "steps": lambda aspects: steps(),
}


def _every_two(record: Record, number: int) -> list[Question]:
    return [Question(number, two) for two in combinations(range(len(record.responses)), 2)]


def _whole(record: Record, number: int, least: int = 2) -> list[Question]:
    count = len(record.responses)
    return [Question(number, tuple(range(count)))] if count >= least else []


def _each_stepped(record: Record, number: int) -> list[Question]:
    found = enumerate(len(response.step_ends) for response in record.responses)
    return [Question(number, (place,), count) for place, count in found if count]


def _read_pair(form: Form, question: Question, sides: Sequence[int]) -> Answer:
    verdict = form.get("verdict", "")
    if verdict == "tie":
        return {"tie": True}
    if verdict not in ("0", "1"):
        raise AnswerError("say which response is better, or that they are tied")
    return {"better": sides[int(verdict)]}


def _preference(answer: Answer, question: Question, rater: str) -> list[Feedback]:
    first, second = question.responses
    if answer.get("tie"):
        return [Preference(first, second, probability=0.5, tie=True, rater=rater)]
    better = answer["better"]
    return [Preference(better, second if better == first else first, rater=rater)]


def _pair_labels(answer: Answer, question: Question) -> list[Label]:
    side = 0.0 if answer.get("tie") else 1.0 if answer["better"] == question.responses[0] else -1.0
    return [("", question.key, side)]


def _read_ranks(form: Form, question: Question, sides: Sequence[int]) -> Answer:
    places = {shown: _choice(form, f"rank-{side}", 1, len(sides)) for side, shown in enumerate(sides)}
    if missing := [side + 1 for side, shown in enumerate(sides) if places[shown] is None]:
        raise AnswerError(f"give response {missing[0]} a place")
    order = sorted({place for place in places.values() if place is not None})
    return {"ranks": [order.index(place) for shown in question.responses if (place := places[shown]) is not None]}


def _ranking(answer: Answer, question: Question, rater: str) -> list[Feedback]:
    return [Ranking(tuple(answer["ranks"]), rater=rater)]


def _rank_labels(answer: Answer, question: Question) -> list[Label]:
    return [("", f"{question.key}/{place}", float(rank)) for place, rank in enumerate(answer["ranks"])]


def _read_ratings(form: Form, question: Question, sides: Sequence[int], aspects: Sequence[str]) -> Answer:
    place = {shown: side for side, shown in enumerate(sides)}
    given = {
        aspect: [_choice(form, f"rate-{number}-{place[shown]}", 1, SCALE) for shown in question.responses]
        for number, aspect in enumerate(aspects)
    }
    if all(value is None for values in given.values() for value in values):
        raise AnswerError("rate a response, or skip")
    return {"ratings": given}


def _ratings(answer: Answer, question: Question, rater: str) -> list[Feedback]:
    return [
        Rating(response, float(value), rater=rater, criterion=aspect)
        for aspect, values in answer["ratings"].items()
        for response, value in zip(question.responses, values, strict=True)
        if value is not None
    ]


def _rating_labels(answer: Answer, question: Question) -> list[Label]:
    return [
        (aspect, f"{question.key}/{place}", float(value))
        for aspect, values in answer["ratings"].items()
        for place, value in enumerate(values)
        if value is not None
    ]


def _read_steps(form: Form, question: Question, sides: Sequence[int]) -> Answer:
    labels = [MARKS.get(form.get(f"step-{step}", "")) for step in range(question.steps)]
    if all(label is None for label in labels):
        raise AnswerError("label a step, or skip")
    return {"labels": labels}


def _step_labels(answer: Answer, question: Question, rater: str) -> list[Feedback]:
    return [StepLabels(question.responses[0], tuple(answer["labels"]), rater=rater)]


def _mark_labels(answer: Answer, question: Question) -> list[Label]:
    found = enumerate(answer["labels"])
    return [("", f"{question.key}/{step}", label) for step, label in found if label is not None]


def _choice(form: Form, name: str, low: int, high: int) -> int | None:
    """A whole number of a form within bounds; None where it is not given.

    Raises:
        AnswerError: it is something else.
    """
    text = form.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not low <= int(text[:9]) <= high:
        raise AnswerError(f"{name}: a number from {low} to {high}, not {text[:20]!r}")
    return int(text)
