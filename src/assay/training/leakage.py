"""Overlap of training and evaluation records: texts exactly, normalised and by n-grams, pictures by content."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

from assay.media import Audio, Image, MediaError, Text, Video
from assay.records import Message, Record

_WORD = re.compile(r"\w+|[^\w\s]")
Grams: TypeAlias = frozenset[int]


@dataclass(frozen=True, slots=True)
class Match:
    """An evaluation record, the training record it resembles, how (``exact``, ``normalised``, ``near``), how much."""

    evaluation: str
    train: str
    kind: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Shared:
    """How many of ``total`` things of the evaluation set are also in the training set, each under its closest kind."""

    total: int
    exact: int = 0
    normalised: int = 0
    near: int = 0
    examples: tuple[Match, ...] = ()

    @property
    def found(self) -> int:
        return self.exact + self.normalised + self.near

    @property
    def fraction(self) -> float:
        return self.found / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Overlap:
    """What an evaluation set shares with a training set.

    ``prompts``: one a record, text and media. ``answers``: one a response, together with its prompt. ``media``: one a
    distinct content hash. ``unreadable`` media could not be compared.
    """

    prompts: Shared
    answers: Shared
    media: Shared
    unreadable: int

    @property
    def clean(self) -> bool:
        return not (self.prompts.found or self.answers.found or self.media.found)

    def lines(self) -> list[str]:
        """The report as text, one line a fact."""
        rows = [("prompts", self.prompts), ("prompts with answer", self.answers), ("media", self.media)]
        lines = [
            f"{name}: {shared.found} of {shared.total} evaluation {name} are in the training data "
            f"({shared.fraction:.1%}; exact {shared.exact}, normalised {shared.normalised}, near {shared.near})"
            for name, shared in rows
            if shared.total
        ]
        if self.unreadable:
            lines.append(f"media: {self.unreadable} could not be read and were not compared")
        seen = dict.fromkeys((*self.answers.examples, *self.prompts.examples, *self.media.examples))
        lines += [f"  {m.evaluation} ~ {m.train} ({m.kind}, {m.similarity:.2f})" for m in list(seen)[:5]]
        return lines


def overlap(
    train: Iterable[Record], evaluate: Iterable[Record], *, words: int = 5, threshold: float = 0.8, examples: int = 20
) -> Overlap:
    """Compare an evaluation set with a training set.

    Normalised: NFKC, case folded, punctuation and white space ignored. Near: the Jaccard similarity of the sets of
    ``words``-grams is at least ``threshold``; found exactly, by prefix filtering. Texts are only alike beside the same
    media: one question about two pictures is no overlap.

    Raises:
        ValueError: ``threshold`` is not in (0, 1], or ``words`` is below 1.

    Source of the filter: Bayardo, Ma and Srikant, WWW 2007.
    """
    if not 0.0 < threshold <= 1.0 or words < 1:
        raise ValueError(f"threshold {threshold} must lie in (0, 1] and words {words} be at least 1")
    left, right = [_Content(record) for record in train], [_Content(record) for record in evaluate]
    compare = _Comparison(words, threshold, examples)
    return Overlap(
        prompts=compare([(c.id, c.prompt) for c in left], [(c.id, c.prompt) for c in right]),
        answers=compare([a for c in left for a in c.answers], [a for c in right for a in c.answers]),
        media=_same_media(left, right, examples),
        unreadable=sum(content.unreadable for content in right),
    )


class _Content:
    """What of a record is compared: per text the media beside it, and the text itself."""

    def __init__(self, record: Record) -> None:
        self.id = record.id
        self.unreadable = 0
        self.media: list[str] = []
        self.prompt = self._flat(record.prompt)
        self.answers = [
            (record.response_id(i), self._joined(self.prompt, self._flat(response.messages)))
            for i, response in enumerate(record.responses)
        ]

    def _flat(self, messages: Sequence[Message]) -> tuple[tuple[str, ...], str]:
        keys: list[str] = []
        texts: list[str] = []
        for message in messages:
            for part in message.parts:
                if isinstance(part, Text):
                    texts.append(part.text)
                else:
                    keys += self._keys(part)
        self.media += keys
        return tuple(keys), "\n".join(texts)

    def _keys(self, part: Image | Video | Audio) -> Iterator[str]:
        if isinstance(part, Video) and part.frames:
            for frame in part.frames:
                yield from self._keys(frame)
            return
        try:
            yield part.content_hash
        except MediaError:
            self.unreadable += 1
            yield f"unreadable {id(part)}"

    @staticmethod
    def _joined(
        prompt: tuple[tuple[str, ...], str], answer: tuple[tuple[str, ...], str]
    ) -> tuple[tuple[str, ...], str]:
        return (*prompt[0], *answer[0]), f"{prompt[1]}\n{answer[1]}"


@dataclass(frozen=True)
class _Comparison:
    words: int
    threshold: float
    examples: int

    def __call__(
        self,
        left: Sequence[tuple[str, tuple[tuple[str, ...], str]]],
        right: Sequence[tuple[str, tuple[tuple[str, ...], str]]],
    ) -> Shared:
        exact = {content: name for name, content in reversed(left)}
        tokens = [(name, media, _tokens(text)) for name, (media, text) in left]
        normalised = {(media, words): name for name, media, words in reversed(tokens)}
        near = _Near([(name, self._grams(media, words)) for name, media, words in tokens], self.threshold)
        matches: list[Match] = []
        for name, (media, text) in right:
            words = _tokens(text)
            if (media, text) in exact:
                matches.append(Match(name, exact[media, text], "exact", 1.0))
            elif (media, words) in normalised:
                matches.append(Match(name, normalised[media, words], "normalised", 1.0))
            elif (closest := near.closest(self._grams(media, words))) is not None:
                matches.append(Match(name, closest[0], "near", closest[1]))
        kinds = Counter(match.kind for match in matches)
        return Shared(
            total=len(right),
            exact=kinds["exact"],
            normalised=kinds["normalised"],
            near=kinds["near"],
            examples=tuple(matches[: self.examples]),
        )

    def _grams(self, media: tuple[str, ...], words: tuple[str, ...]) -> Grams:
        count = max(1, len(words) - self.words + 1)
        return frozenset(hash((media, words[i : i + self.words])) for i in range(count))


class _Near:
    """Sets of n-grams by their rarest members: two sets with Jaccard >= t share one of their first few."""

    def __init__(self, sets: Sequence[tuple[str, Grams]], threshold: float) -> None:
        self.threshold = threshold
        self.frequency: Counter[int] = Counter(gram for _, grams in sets for gram in grams)
        self.sets = sets
        self.index: dict[int, list[int]] = {}
        for row, (_, grams) in enumerate(sets):
            for gram in self._prefix(grams):
                self.index.setdefault(gram, []).append(row)

    def _prefix(self, grams: Grams) -> list[int]:
        rarest_first = sorted(grams, key=lambda gram: (self.frequency[gram], gram))
        return rarest_first[: len(grams) - ceil(self.threshold * len(grams)) + 1]

    def closest(self, grams: Grams) -> tuple[str, float] | None:
        best: tuple[str, float] | None = None
        rows = {row for gram in self._prefix(grams) for row in self.index.get(gram, ())}
        for row in sorted(rows):
            name, other = self.sets[row]
            if min(len(grams), len(other)) < self.threshold * max(len(grams), len(other)):
                continue
            common = len(grams & other)
            similarity = common / (len(grams) + len(other) - common)
            if similarity >= self.threshold and (best is None or similarity > best[1]):
                best = (name, similarity)
        return best


def _same_media(left: Sequence[_Content], right: Sequence[_Content], examples: int) -> Shared:
    known = {key: content.id for content in reversed(left) for key in content.media}
    first = {key: content.id for content in reversed(right) for key in content.media}
    matches = [Match(name, known[key], "exact", 1.0) for key, name in first.items() if key in known]
    return Shared(total=len(first), exact=len(matches), examples=tuple(matches[:examples]))


def _tokens(text: str) -> tuple[str, ...]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return tuple(word for word in _WORD.findall(folded) if any(letter.isalnum() for letter in word))
