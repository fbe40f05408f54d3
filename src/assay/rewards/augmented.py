"""Rewards that read more than the record says by itself: facts about its pictures, and marks at which they are read."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from assay.media import Text
from assay.records import Message, Record, Response, StepEnd
from assay.rewards.base import Reward, name_of, score, spec_of
from assay.scores import Scores
from assay.spec import Spec

Change: TypeAlias = Callable[[Record], Record]
"""A record to the record that is read in its place: the same responses in the same order, however they are written."""


@dataclass(frozen=True)
class _Augmented:
    reward: Reward
    change: Change
    needs: tuple[str, ...]

    @property
    def spec(self) -> Spec:
        spec = spec_of(self.reward)
        return replace(spec, needs=tuple(dict.fromkeys((*self.needs, *spec.needs))))

    def __call__(self, records: Sequence[Record], /) -> Scores:
        return score(self.reward, [self.change(record) for record in records])

    def __repr__(self) -> str:
        return f"augmented({name_of(self.reward)}, {name_of(self.change)})"


def augmented(reward: Reward, change: Change, needs: Sequence[str] = ()) -> Reward:
    """The reward of ``change(record)``; ``needs`` are the context columns that the change reads. What a reward was
    trained on with ``Stage(present=each(change))`` it is to be given when it scores."""
    return _Augmented(reward, change, tuple(needs))


def each(change: Change) -> Callable[[Sequence[Record]], list[Record]]:
    """The change of every record: what ``Stage.present`` takes."""
    return lambda records: [change(record) for record in records]


@dataclass(frozen=True)
class _Facts:
    column: str
    seed: int

    def __call__(self, record: Record, /) -> Record:
        found = cast("object", record.context.get(self.column))
        given = [found] if isinstance(found, str) else list(cast("Sequence[object]", found or ()))
        if not given:
            return record
        lines = [str(fact) for fact in given]
        random.Random(f"{self.seed}/{record.id}").shuffle(lines)
        told = "What is known of it, which the answer must agree with:\n" + "\n".join(f"- {line}" for line in lines)
        return replace(record, prompt=_told(record.prompt, told))

    def __repr__(self) -> str:
        return f"facts({self.column!r}, seed={self.seed!r})"


def facts(column: str = "facts", *, seed: int = 0) -> Change:
    """Write what a context column holds (a text, or several) behind the last turn of the prompt, a fact a line, in an
    order drawn from ``seed`` and the record's id. A record without such a column stays as it is.

    Facts are privileged: captions, options, documents that the policy does not see. Source: Sun et al. (LLaVA-RLHF),
    2023, arXiv 2309.14525.
    """
    return _Facts(column, seed)


def _told(prompt: tuple[Message, ...], told: str) -> tuple[Message, ...]:
    if not prompt:
        return (Message("user", (Text(told),)),)
    *before, last = prompt
    return (*before, replace(last, parts=(*last.parts, Text(f"\n\n{told}"))))


@dataclass(frozen=True)
class _Marks:
    names: tuple[str, ...]

    def __call__(self, record: Record, /) -> Record:
        return replace(record, responses=tuple(self._marked(response) for response in record.responses))

    def _marked(self, response: Response) -> Response:
        *before, last = response.messages or (Message("assistant", ()),)
        text, ends = "\n", list[int]()
        for name in self.names:
            text += f"<|{name}|>"
            ends.append(len(text))
        messages = (*before, replace(last, parts=(*last.parts, Text(text))))
        place = (len(messages) - 1, len(last.parts))
        return Response(messages, tuple(StepEnd(*place, end) for end in ends))

    def __repr__(self) -> str:
        return f"marks({', '.join(map(repr, self.names))})"


def marks(*names: str) -> Change:
    """End every response with a mark for each attribute, ``<|name|>``, each the end of a step: where a `MarkedHead`
    reads. Marks are text, not tokens of their own, so that a tokenizer stays as it is.

    Raises:
        ValueError: no name.
    """
    if not names:
        raise ValueError("marks need the name of an attribute, or several")
    return _Marks(names)
