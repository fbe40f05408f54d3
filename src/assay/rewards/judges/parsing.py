"""Reading verdicts from answers: under the code of the question alone, and never a guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, final

from assay.models.asking import Answer
from assay.scores import Status

T = TypeVar("T")
Reader: TypeAlias = Callable[[str], T | None]
"""The words of a verdict to what they mean, or None."""

_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) sorry|i (?:can ?not|can't|won't|will not|am unable to|am not able to)|i must decline|"
    r"as an ai\b|i'm unable to|not able to (?:help|assist|judge|grade))",
    re.IGNORECASE,
)
_DRESS = " \t*_`\"'[](){}<>."
_SHOWN = 2000


@final
@dataclass(frozen=True, slots=True)
class Unread:
    """Why an answer holds no verdict."""

    status: Status
    message: str


def verdict(answer: Answer, code: str, read: Reader[T]) -> T | Unread:
    """What an answer says in its line ``Verdict CODE: ...``, by ``read``.

    Thoughts in ``<think>`` are not part of it. An answer without the line, with words that ``read`` does not
    understand, or with two different verdicts is `Status.UNPARSABLE`; one that declines is `Status.REFUSED`. The
    message holds the answer.
    """
    if answer.status is not Status.OK:
        return Unread(answer.status, answer.message or f"no answer: {answer.status}")
    said = _THOUGHT.sub("", answer.text)
    lines = re.findall(rf"verdict[*_\s]*[\[(#]?\s*{re.escape(code)}\b[\])]?[*_\s]*[:=][ \t]*([^\n]*)", said, re.I)
    known = {meaning for line in lines if (meaning := read(line.strip(_DRESS))) is not None}
    if len(known) == 1:
        return known.pop()
    if known:
        return unread(answer, "it gives several verdicts")
    if lines:
        return unread(answer, f"its verdict {lines[-1].strip()[:80]!r} is none that was asked for")
    if _REFUSAL.search(said):
        return Unread(Status.REFUSED, f"the judge declined: {_shown(answer.text)}")
    if answer.cut:
        return unread(answer, "it ended at the limit of tokens before its verdict; allow more")
    return unread(answer, f"it has no line 'Verdict {code}:'")


def label(values: Mapping[str, float]) -> Reader[float]:
    """Reads one of the labels, whatever its case; ``A`` also as ``Response A``."""
    known = {name.lower(): value for name, value in values.items()}

    def read(words: str) -> float | None:
        return known.get(words.lower().removeprefix("response ").strip(_DRESS))

    return read


def number(low: float, high: float) -> Reader[float]:
    """Reads a number from ``low`` to ``high``, also as ``7/10`` where 10 is the highest. Another is not made to fit."""
    pattern = re.compile(r"([+-]?\d+(?:\.\d+)?)(?:\s*(?:/|of|out of)\s*(\d+(?:\.\d+)?))?(?:\s*points?)?", re.I)

    def read(words: str) -> float | None:
        found = pattern.fullmatch(words)
        if found is None or (found[2] is not None and float(found[2]) != high):
            return None
        value = float(found[1])
        return value if low <= value <= high else None

    return read


def ranking(names: Sequence[str]) -> Reader[tuple[int, ...]]:
    """Reads ``B > A = C`` as the rank of each name in order, 0 the best, equals sharing one: ``(1, 0, 1)``. Every name
    must stand there exactly once."""
    places = {name.lower(): place for place, name in enumerate(names)}

    def read(words: str) -> tuple[int, ...] | None:
        ranks: dict[int, int] = {}
        before = 0
        for tied in words.replace(",", ">").split(">"):
            group = [name.strip(_DRESS).lower().removeprefix("response ") for name in tied.split("=")]
            if any(name not in places or places[name] in ranks for name in group) or len(set(group)) < len(group):
                return None
            ranks |= {places[name]: before for name in group}
            before += len(group)
        return tuple(ranks[place] for place in range(len(names))) if len(ranks) == len(names) else None

    return read


def unread(answer: Answer, why: str) -> Unread:
    """An answer that holds no verdict, and why; the message holds the answer."""
    return Unread(Status.UNPARSABLE, f"no verdict could be read, {why}: {_shown(answer.text)}")


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
