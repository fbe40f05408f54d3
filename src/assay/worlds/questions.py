"""Records of questions about scenes: right and wrong answers, and reasoning with every step known right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from assay.records import Preference, Record, Response, StepLabels
from assay.worlds.captions import scene_with_count
from assay.worlds.language import NUMBERS, article, counted, noun, plural, sentence
from assay.worlds.scenes import (
    COLOURS,
    DIGITS,
    GRID,
    KINDS,
    RELATIONS,
    SHAPES,
    SIGN,
    Exists,
    Reads,
    Scene,
    Thing,
    named,
    picture,
    placed,
    relations,
    sample_scene,
    some_kinds,
)

SLIPS = {
    "exists": ("perception", "logic", "answer"),
    "count": ("perception", "count", "answer"),
    "compare": ("perception", "count", "logic", "answer"),
    "colour": ("perception", "logic", "answer"),
    "relation": ("perception", "logic", "answer"),
    "sum": ("perception", "arithmetic", "answer"),
}
QUESTIONS = tuple(SLIPS)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a scene; ``subject`` is what it asks about, ``wrong`` a wrong answer as likely as the right.

    Over many questions of a kind the words of question and answer alone do not tell which answer is right.
    """

    kind: str
    subject: tuple[str, ...]
    text: str
    scene: Scene
    wrong: str

    @property
    def answer(self) -> str:
        return solve(self)[-1].removeprefix("answer: ").removesuffix(".")


def sample_question(rng: np.random.Generator, kind: str) -> Question:
    """A random question of one of `QUESTIONS`, about a random scene.

    Raises:
        KeyError: no such kind.
    """
    ask = {
        "exists": _exists,
        "count": _count,
        "compare": _compare,
        "colour": _colour,
        "relation": _relation,
        "sum": _sum,
    }
    return ask[kind](rng)


def solve(question: Question, slip: str = "", rng: np.random.Generator | None = None) -> tuple[str, ...]:
    """The steps to the answer: what is seen, what follows, ``answer: ...``.

    With a ``slip`` (one of ``SLIPS[question.kind]``) one step is wrong and everything after it follows from it:
    ``perception`` (one thing seen wrongly), ``count`` (one too many or too few), ``logic`` (the wrong conclusion),
    ``arithmetic`` (the sum is off by one), ``answer`` (only the answer contradicts the steps).
    """
    chance = rng if rng is not None else np.random.default_rng(0)
    seen = list(_relevant(question))
    if slip == "perception":
        place = int(chance.integers(len(seen)))
        seen[place] = _misseen(question, seen[place], chance)
    looked = [_look(question, thing) for thing in seen]
    drawn, answer = _conclude(question, seen, slip, chance)
    if slip == "answer":
        answer = question.wrong if answer == question.answer else question.answer
    return (*looked, *drawn, f"answer: {answer}.")


def question_records(n: int, seed: int = 0, kinds: Sequence[str] = QUESTIONS, cell: int = 12) -> list[Record]:
    """``n`` pictures with a question; the right answer is preferred to a wrong one of the same kind.

    Context: ``scene`` (`Scene.to_dict`), ``kind`` (the question's), ``answer``.
    """
    rng = np.random.default_rng([seed, 3])
    records: list[Record] = []
    for i in range(n):
        question = sample_question(rng, kinds[i % len(kinds)])
        better = int(rng.integers(2))
        answers = [question.wrong, question.wrong]
        answers[better] = question.answer
        records.append(
            Record.of(
                [picture(question.scene, cell), question.text],
                answers,
                id=f"questions-{seed}-{i}",
                feedback=[Preference(better, 1 - better, criterion=question.kind)],
                scene=question.scene.to_dict(),
                kind=question.kind,
                answer=question.answer,
            )
        )
    return records


def step_records(n: int, seed: int = 0, kinds: Sequence[str] = QUESTIONS, cell: int = 12) -> list[Record]:
    """``n`` pictures with a question and two chains of reasoning, one right and one with a slip, every step labelled.

    A step's label is 1 where its claim is true of the picture, else 0: also after a slip, a claim may be true again.
    Context: ``scene``, ``kind``, ``slip``, ``first_error`` (a step's index in the wrong chain), ``answer``.
    """
    rng = np.random.default_rng([seed, 4])
    records: list[Record] = []
    for i in range(n):
        question = sample_question(rng, kinds[i % len(kinds)])
        slips = SLIPS[question.kind]
        slip = slips[int(rng.integers(len(slips)))]
        right, wrong = solve(question), solve(question, slip, rng)
        better = int(rng.integers(2))
        chains = [right, wrong] if better == 0 else [wrong, right]
        labels = [tuple(float(said == true) for said, true in zip(chain, right, strict=True)) for chain in chains]
        records.append(
            Record.of(
                [picture(question.scene, cell), question.text],
                [Response.from_steps(chain) for chain in chains],
                id=f"steps-{seed}-{i}",
                feedback=[Preference(better, 1 - better), *(StepLabels(k, labels[k]) for k in (0, 1))],
                scene=question.scene.to_dict(),
                kind=question.kind,
                slip=slip,
                first_error=labels[1 - better].index(0.0),
                answer=question.answer,
            )
        )
    return records


def _relevant(question: Question) -> tuple[Thing, ...]:
    """The things that a careful reader looks at, in reading order."""
    if question.kind == "sum":
        return question.scene.signs
    if question.kind == "relation":
        first, _, second = question.subject
        shapes = {noun(named(thing)): thing for thing in question.scene.shapes}
        return shapes[first], shapes[second]
    return question.scene.shapes


def _look(question: Question, thing: Thing) -> str:
    if question.kind == "relation":
        return f"the {noun(named(thing))} is in row {thing.row + 1}, column {thing.col + 1}."
    return sentence(Reads(thing.text) if thing.shape == SIGN else named(thing))


def _misseen(question: Question, thing: Thing, rng: np.random.Generator) -> Thing:
    shift = int(rng.integers(1, GRID))
    if question.kind == "relation":
        return replace(thing, row=(thing.row + shift) % GRID, col=(thing.col + shift) % GRID)
    if thing.shape == SIGN:
        return replace(thing, text=str((int(thing.text) + shift) % 10))
    if question.kind != "colour" and rng.random() < 0.5:
        return replace(thing, shape=SHAPES[(SHAPES.index(thing.shape) + shift) % len(SHAPES)])
    colours = list(COLOURS)
    return replace(thing, colour=colours[(colours.index(thing.colour) + shift) % len(colours)])


def _conclude(
    question: Question, seen: Sequence[Thing], slip: str, rng: np.random.Generator
) -> tuple[tuple[str, ...], str]:
    """What follows from the things seen, and the answer."""
    kind, subject = question.kind, question.subject
    if kind == "sum":
        first, second = (int(thing.text) for thing in seen)
        total = first + second + (_off(first + second, rng) if slip == "arithmetic" else 0)
        return (f"{first} + {second} = {total}.",), str(total)
    if kind == "colour":
        colour = next(thing.colour for thing in seen if thing.shape == subject[0])
        colour = question.wrong if slip == "logic" else colour
        return (f"so the {subject[0]} is {colour}.",), colour
    if kind in ("exists", "relation"):
        if kind == "exists":
            true = any(noun(named(thing)) == subject[0] for thing in seen)
            claim = (f"so there is {article(subject[0])}.", f"so there is no {subject[0]}.")
        else:
            true = subject[1] in relations(seen[0], seen[1])
            claim = tuple(f"so the {subject[0]} is {word}{subject[1]} the {subject[2]}." for word in ("", "not "))
        true = true != (slip == "logic")
        return (claim[0] if true else claim[1],), "yes" if true else "no"
    numbers = [sum(what in (thing.shape, thing.colour) for thing in seen) for what in subject]
    if slip == "count":
        place = int(rng.integers(len(numbers)))
        numbers[place] += _off(numbers[place], rng)
    steps = tuple(
        f"there {'is' if number == 1 else 'are'} {counted(what, number)}."
        for what, number in zip(subject, numbers, strict=True)
    )
    if kind == "count":
        return steps, NUMBERS[numbers[0]]
    more = (numbers[0] > numbers[1]) != (slip == "logic")
    conclusion = f"so there are {'' if more else 'not '}more {plural(subject[0])} than {plural(subject[1])}."
    return (*steps, conclusion), "yes" if more else "no"


def _off(number: int, rng: np.random.Generator) -> int:
    return 1 if number == 0 or rng.random() < 0.5 else -1


def _exists(rng: np.random.Generator) -> Question:
    kinds = some_kinds(rng, int(rng.integers(2, 5)))
    present = bool(rng.random() < 0.5)
    asked = kinds[0] if present else some_kinds(rng, 1, [kind for kind in KINDS if kind not in kinds])[0]
    text = f"Is there {article(noun(asked))}?"
    return Question("exists", (noun(asked),), text, placed(rng, kinds), "no" if present else "yes")


def _count(rng: np.random.Generator) -> Question:
    what = [*SHAPES, *COLOURS][int(rng.integers(len(SHAPES) + len(COLOURS)))]
    few = int(rng.integers(0, 3))
    number, wrong = (few, few + 1) if rng.random() < 0.5 else (few + 1, few)
    text = f"How many {plural(what)} are there?"
    return Question("count", (what,), text, scene_with_count(rng, what, number), NUMBERS[wrong])


def _compare(rng: np.random.Generator) -> Question:
    first, second = (SHAPES[i] for i in rng.permutation(len(SHAPES))[:2].tolist())
    low = int(rng.integers(0, 3))
    more = bool(rng.random() < 0.5)
    numbers = (low + 1, low) if more else (low, low + 1)
    kinds: list[Exists] = []
    for shape, number in zip((first, second), numbers, strict=True):
        kinds += some_kinds(rng, number, [kind for kind in KINDS if kind.shape == shape])
    text = f"Are there more {plural(first)} than {plural(second)}?"
    return Question("compare", (first, second), text, placed(rng, kinds), "no" if more else "yes")


def _colour(rng: np.random.Generator) -> Question:
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    scene = scene_with_count(rng, shape, 1)
    colour = next(thing.colour for thing in scene.shapes if thing.shape == shape)
    others = [other for other in COLOURS if other != colour]
    wrong = others[int(rng.integers(len(others)))]
    return Question("colour", (shape,), f"What colour is the {shape}?", scene, wrong)


def _relation(rng: np.random.Generator) -> Question:
    scene = sample_scene(rng, (2, 4))
    first, second = (scene.shapes[i] for i in rng.permutation(len(scene.shapes))[:2].tolist())
    true = relations(first, second)
    asked = true if rng.random() < 0.5 else [relation for relation in RELATIONS if relation not in true]
    relation = asked[int(rng.integers(len(asked)))]
    subject = (noun(named(first)), relation, noun(named(second)))
    text = f"Is the {subject[0]} {relation} the {subject[2]}?"
    return Question("relation", subject, text, scene, "no" if relation in true else "yes")


def _sum(rng: np.random.Generator) -> Question:
    low = int(rng.integers(0, 18))
    total, wrong = (low, low + 1) if rng.random() < 0.5 else (low + 1, low)
    pairs = [(a, total - a) for a in range(10) if 0 <= total - a < 10]
    signs = [DIGITS[digit] for digit in pairs[int(rng.integers(len(pairs)))]]
    scene = placed(rng, some_kinds(rng, int(rng.integers(0, 3))), signs)
    return Question("sum", (), "What is the sum of the two numbers?", scene, str(wrong))
