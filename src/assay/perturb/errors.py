"""Errors put into a text, each with where it stands, what stood there and of what kind it is."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: characters ``start`` to ``end`` (exclusive) of the *original* text become ``after``."""

    kind: str
    start: int
    end: int
    after: str


Corrupt: TypeAlias = Callable[[str, random.Random], Sequence[Edit]]
"""A text to every single error of one kind that could be put into it; a drawn one where there are many forms."""

_NUMBER = re.compile(r"(?<![\w.,/-])\d+(?:\.\d+)?(?![\w/-]|[.,]\d)")
_NAME = re.compile(r"(?<![.!?:\"'(]\s)(?<!^)(?<![\w-])[A-Z][a-z]+(?:\s[A-Z][a-z]+)*(?![\w-])")
_AUXILIARY = (
    "is|are|was|were|am|can|could|will|would|shall|should|may|might|must|does|do|did|has|have|had"  # of English
)
_NEGATION = re.compile(rf"\b(?P<verb>{_AUXILIARY})(?P<gap>\s+)(?P<not>not\s+)?(?=[a-z])", re.IGNORECASE)


def numbers(text: str, rng: random.Random) -> list[Edit]:
    """Each number replaced by another of the same form: as many decimals, never below 0.

    It is off by 1 to 9 units of its last place, or by a tenth to a half of itself.
    """
    found: list[Edit] = []
    for match in _NUMBER.finditer(text):
        whole, dot, decimals = match[0].partition(".")
        unit = 10 ** len(decimals)
        value = int(whole) * unit + int(decimals or 0)
        step = max(rng.randint(1, 9), round(rng.uniform(0.1, 0.5) * value) if rng.random() < 0.5 else 1)
        other = value + step if value < step or rng.random() < 0.5 else value - step
        after = f"{other // unit}.{other % unit:0{len(decimals)}d}" if dot else str(other)
        found.append(Edit("number", match.start(), match.end(), after))
    return found


def entities(pool: Sequence[str] = ()) -> Corrupt:
    """Each capitalised name inside a sentence replaced by another of the text, or of ``pool``."""

    def corrupt(text: str, rng: random.Random) -> list[Edit]:
        matches = list(_NAME.finditer(text))
        names = sorted({match[0] for match in matches} | set(pool))
        found: list[Edit] = []
        for match in matches:
            others = [name for name in names if name != match[0]]
            if others:
                found.append(Edit("entity", match.start(), match.end(), rng.choice(others)))
        return found

    return corrupt


def negation(text: str, rng: random.Random) -> list[Edit]:
    """Each English auxiliary negated, or freed of its ``not``."""
    del rng
    return [
        Edit("negation", match.start(), match.end(), f"{match['verb']}{match['gap']}{'' if match['not'] else 'not '}")
        for match in _NEGATION.finditer(text)
    ]


def applied(text: str, edits: Sequence[Edit]) -> tuple[str, list[tuple[int, int]]]:
    """The text with the edits made, and where each stands in it, in the order of their places.

    Raises:
        ValueError: two edits overlap, or one lies outside the text.
    """
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    done, length = 0, 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        if not done <= edit.start <= edit.end <= len(text):
            raise ValueError(f"{edit} overlaps another edit or leaves the text of {len(text)} characters")
        pieces += [text[done : edit.start], edit.after]
        start = length + edit.start - done
        length = start + len(edit.after)
        places.append((start, length))
        done = edit.end
    return "".join([*pieces, text[done:]]), places


def drawn(text: str, kinds: Sequence[Corrupt], count: int, rng: random.Random) -> list[Edit]:
    """Up to ``count`` edits that do not overlap, kinds drawn evenly as far as the text allows."""
    supply = [list(kind(text, rng)) for kind in kinds]
    for edits in supply:
        rng.shuffle(edits)
    chosen: list[Edit] = []
    while len(chosen) < count and any(supply):
        kind = rng.choice([edits for edits in supply if edits])
        edit = kind.pop()
        if all(edit.end <= other.start or edit.start >= other.end for other in chosen):
            chosen.append(edit)
    return sorted(chosen, key=lambda edit: edit.start)
