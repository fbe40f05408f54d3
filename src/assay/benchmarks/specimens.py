"""Specimens: a small built-in set of records on which any text or picture reward can be verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from assay.media import Image
from assay.records import Message, Preference, Record
from assay.records.record import messages_of
from assay.spec import Spec
from assay.worlds.scenes import picture, sample_scene

_ANSWERS = (
    "Yes.",
    "No, I do not think so.",
    "There is a red circle beside a blue square, and nothing else.",
    "Two. I counted them twice:\n1. the one on the left\n2. the one behind it",
    "Ich sehe einen grünen Kreis; und daneben 三角形 🔺.",
    "It is hard to say: the answer depends on what is meant by a shape, how many of them there are, which colours they "
    "have, and whether one that is cut off by the edge still counts. Taken together, I would say there are three.",
)
_QUESTIONS = (
    "Is there a circle?",
    "How many shapes do you see, and which colours do they have?",
    "Describe what is there as exactly as you can, from left to right and from top to bottom, and say at the end "
    "what you are least sure about.",
    "What is 17 + 25?",
)


def specimens(spec: Spec) -> list[Record]:
    """Twelve records with two to six responses of unlike lengths; some have several turns, one a system message.

    Where the reward takes pictures, two of three records have one or two, of unlike sizes. Columns that it needs are
    filled with a short text. Feedback and one column more are there to be hidden.
    """
    rng = np.random.default_rng(7)
    pictures = "image" in spec.modalities
    made: list[Record] = []
    for number in range(12):
        answers = [_ANSWERS[(number + place) % len(_ANSWERS)] for place in range(2 + number % 5)]
        shown = [_scene(rng, 8 + 4 * (number % 3)) for _ in range(1 + number % 4 // 3)] if pictures else []
        prompt = _prompt(number, shown if number % 3 else [])
        context: dict[str, Any] = {"hidden": f"column {number}", **dict.fromkeys(spec.needs, "Yes.")}
        best = Preference(number % len(answers), (number + 1) % len(answers))
        record = Record.of(prompt, answers, id=f"specimen-{number}", feedback=[best])
        made.append(replace(record, context=context))
    return made


def _scene(rng: np.random.Generator, cell: int) -> Image:
    return picture(sample_scene(rng), cell)


def _prompt(number: int, pictures: Sequence[Image]) -> list[Message]:
    asked = messages_of([*pictures, _QUESTIONS[number % len(_QUESTIONS)]], "user")
    if number % 4 == 1:
        before = (*messages_of("Hello, can you help me?", "user"), *messages_of("Of course. Ask away.", "assistant"))
        return [*before, *asked]
    if number == 6:
        return [*messages_of("You answer briefly.", "system"), *asked]
    return list(asked)
