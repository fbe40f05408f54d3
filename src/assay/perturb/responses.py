"""Responses made worse, or only different, in known ways: each new response comes with what was changed in it.

The record keeps its responses and feedback; the new one is appended, below its original in a `Preference`, and
`SpanLabels` of the rater `MADE` mark what was changed. Where the record states no preference, those that its rankings
or ratings imply are stated beside them, as only the most direct feedback speaks of pairs.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TypeAlias

from assay.media import Image, MediaError, Text
from assay.perturb.errors import Corrupt, Edit, applied, drawn, entities, negation, numbers
from assay.perturb.pictures import prompt_pictures, with_pictures
from assay.records import Message, Preference, Ranking, Record, Response, Span, SpanLabels
from assay.records.pairs import preferences_of

MADE = "perturbation"
"""The rater of feedback that a perturbation wrote."""

Continue: TypeAlias = Callable[[Sequence[Record], Sequence[str], int], Sequence[str]]
"""``(records, what the response says so far, seed)`` to what a generator goes on with, one text a record."""

ERRORS: tuple[Corrupt, ...] = (numbers, entities(), negation)
_SENTENCE = re.compile(r"[^.!?]*(?:[.!?]+(?:\s+|$)|$)")
_YES_NO = re.compile(r"^(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Worsened:
    """Records with one more response each: same number, order and ids.

    ``edits[i]`` is what was changed in the last response of record i; it is empty, the record is the original, and
    ``reasons[i]`` says why, where nothing could be changed. ``note`` sums this up.
    """

    records: tuple[Record, ...]
    edits: tuple[tuple[Edit, ...], ...]
    reasons: tuple[str, ...]
    note: str

    @property
    def rows(self) -> tuple[int, ...]:
        """The indices of the changed records."""
        return tuple(i for i, edits in enumerate(self.edits) if edits)


def preferred(record: Record) -> int | None:
    """The response that is preferred most often, the first of equals; without preferences the only or first one."""
    if not record.responses:
        return None
    wins = Counter(item.better for item in preferences_of(record) if not item.tie and item.probability > 0.5)
    return max(range(len(record.responses)), key=lambda i: (wins[i], -i))


def inject_errors(
    records: Sequence[Record],
    kinds: Sequence[Corrupt] = ERRORS,
    *,
    most: int = 5,
    seed: int = 0,
    of: Callable[[Record], int | None] = preferred,
) -> Worsened:
    """A copy of one response of each record (``of``) with 1 to ``most`` errors.

    Kinds are functions (`errors.numbers`, `errors.entities`, `errors.negation`, or one's own). The draw follows from
    the seed and the record's id, not from its place. Only text of the last text part is changed.

    Raises:
        ValueError: no kind, or ``most`` is below 1.

    Source: Critic-V, 2024, arXiv 2411.18203 (1 to 5 errors, put in by a language model there).
    """
    if not kinds or most < 1:
        raise ValueError(f"inject_errors needs a kind of error and most of at least 1, got {len(kinds)} and {most}")

    def change(record: Record) -> tuple[str, int, list[Edit]] | str:
        found = _text(record, of(record))
        if isinstance(found, str):
            return found
        index, text = found
        rng = random.Random(f"{seed}:{record.id}")
        edits = drawn(text, kinds, rng.randint(1, most), rng)
        return (text, index, edits) if edits else "nothing in the text that these kinds of error change"

    return _worsened(records, [change(record) for record in records], f"errors, seed {seed}")


def mask_inputs_and_continue(
    records: Sequence[Record],
    generate: Continue,
    *,
    mask: Callable[[Image, random.Random], Image],
    seed: int = 0,
    alike: float = 0.97,
    attempts: int = 5,
    of: Callable[[Record], int | None] = preferred,
) -> Worsened:
    """Responses a generator gives without seeing the prompt's pictures well, sentence by sentence.

    Of each sentence of the original a random number of words is kept, at least none and not all; a leading yes or no
    is exchanged half of the time; the generator, which sees pictures changed by ``mask`` and the *original* sentences
    before, goes on to the end of the sentence. A sentence still ``alike`` (share of equal characters) is drawn again,
    up to ``attempts`` times, and the last time from no kept word. All sentences of an attempt go to the generator
    together. Records without a picture are left as they were.

    Raises:
        ValueError: ``attempts`` is below 1, or the generator gave another number of texts.

    Source: Amirloo et al. (BDHS), 2024, arXiv 2407.02477 (99 % of the picture masked).
    """
    if attempts < 1:
        raise ValueError(f"attempts is {attempts}; at least one is needed")
    reasons: dict[int, str] = {}
    open_: list[_Sentence] = []
    texts: dict[int, tuple[str, int]] = {}
    for row, record in enumerate(records):
        found = _text(record, of(record)) if prompt_pictures(record) else "no picture in the prompt"
        if isinstance(found, str):
            reasons[row] = found
            continue
        index, text = found
        rng = random.Random(f"{seed}:{record.id}")
        try:
            masked = with_pictures(record, [mask(picture, rng) for picture in prompt_pictures(record)])
        except MediaError as error:
            reasons[row] = error.code
            continue
        texts[row] = (text, index)
        open_ += [_Sentence(row, masked, start, end, rng) for start, end in _sentences(text)]
    done: dict[int, list[Edit]] = {row: [] for row in texts}
    for attempt in range(attempts):
        last = attempt == attempts - 1
        prefixes = [item.prefix(texts[item.row][0], last) for item in open_]
        given = generate([item.record for item in open_], [before + kept for before, kept in prefixes], seed + attempt)
        if len(given) != len(open_):
            raise ValueError(f"the generator gave {len(given)} texts for {len(open_)} prefixes")
        again: list[_Sentence] = []
        for item, (_, kept), rest in zip(open_, prefixes, given, strict=True):
            old = texts[item.row][0][item.start : item.end]
            new = kept + _to_sentence_end(rest)
            if SequenceMatcher(None, old.strip(), new.strip(), autojunk=False).ratio() <= alike:
                space = old[len(old.rstrip()) :]
                done[item.row].append(Edit("continuation", item.start, item.end, new.rstrip() + space))
            elif not last:
                again.append(item)
        open_ = again
        if not open_:
            break
    results: list[tuple[str, int, list[Edit]] | str] = []
    for row in range(len(records)):
        if row in reasons:
            results.append(reasons[row])
        elif done[row]:
            results.append((*texts[row], done[row]))
        else:
            results.append("the generator said the same every time")
    return _worsened(records, results, f"continuations of masked prompts, seed {seed}")


def mask_patches(share: float = 0.99, patch: int = 14) -> Callable[[Image, random.Random], Image]:
    """A mask of pictures: that ``share`` of the square patches becomes mid grey, drawn at random.

    Raises:
        ValueError: a share outside 0..1, or a patch below 1.
    """
    if not 0 <= share <= 1 or patch < 1:
        raise ValueError(f"need a share in 0..1 and a patch of at least 1 pixel, got {share} and {patch}")

    def mask(picture: Image, rng: random.Random) -> Image:
        seen = picture.pil().copy()
        width, height = seen.size
        for top in range(0, height, patch):
            for left in range(0, width, patch):
                if rng.random() < share:
                    box = (left, top, min(left + patch, width), min(top + patch, height))
                    seen.paste((128, 128, 128), box)
        return Image.from_pil(seen)

    return mask


@dataclass(frozen=True, slots=True)
class _Sentence:
    row: int
    record: Record
    start: int
    end: int
    rng: random.Random

    def prefix(self, text: str, bare: bool) -> tuple[str, str]:
        """What stands before the sentence, and what is kept of it."""
        sentence = text[self.start : self.end]
        places = [found.end() for found in re.finditer(r"\S+\s*", sentence)]
        count = 0 if bare or len(places) < 2 else self.rng.randrange(0, len(places))
        kept = sentence[: places[count - 1]] if count else ""
        if (word := _YES_NO.match(kept)) and self.rng.random() < 0.5:
            other = "no" if word[0].lower() == "yes" else "yes"
            kept = (other.capitalize() if word[0][0].isupper() else other) + kept[word.end() :]
        return text[: self.start], kept


def _sentences(text: str) -> list[tuple[int, int]]:
    return [(found.start(), found.end()) for found in _SENTENCE.finditer(text) if found[0].strip()]


def _to_sentence_end(text: str) -> str:
    found = _SENTENCE.match(text)
    return found[0].rstrip() if found and found[0].strip() else text.strip()


def _text(record: Record, index: int | None) -> tuple[int, str] | str:
    if index is None:
        return "no response"
    text = last_text(record.responses[index])
    return (index, text.text) if text and text.text.strip() else "no text in the response"


def last_text(response: Response) -> Text | None:
    """The last text part of a response, which perturbations change."""
    texts = [part for message in response.messages for part in message.parts if isinstance(part, Text)]
    return texts[-1] if texts else None


def _worsened(records: Sequence[Record], results: Sequence[tuple[str, int, list[Edit]] | str], name: str) -> Worsened:
    made: list[Record] = []
    for record, result in zip(records, results, strict=True):
        made.append(record if isinstance(result, str) else _with_worse(record, *result))
    reasons = tuple(result if isinstance(result, str) else "" for result in results)
    counted = Counter(reason for reason in reasons if reason)
    note = f"{name}: {len(records) - counted.total()} of {len(records)} records got a worse response"
    if counted:
        note += "; left as they were: " + ", ".join(f"{count} ({reason})" for reason, count in sorted(counted.items()))
    edits = tuple(() if isinstance(r, str) else tuple(sorted(r[2], key=lambda edit: edit.start)) for r in results)
    return Worsened(tuple(made), edits, reasons, note)


def _with_worse(record: Record, text: str, index: int, edits: Sequence[Edit]) -> Record:
    new, places = applied(text, edits)
    response = record.responses[index]
    before = len(response.text) - len(text)
    spans = tuple(
        Span(before + start, before + end, edit.kind, 0.0)
        for edit, (start, end) in zip(sorted(edits, key=lambda edit: edit.start), places, strict=True)
    )
    last = len(record.responses)
    own = [replace(item, ranks=(*item.ranks, None)) if isinstance(item, Ranking) else item for item in record.feedback]
    implied = () if any(isinstance(item, Preference) for item in own) else preferences_of(record)
    return replace(
        record,
        responses=(*record.responses, retold(response, new)),
        feedback=(*own, *implied, Preference(index, last, rater=MADE), SpanLabels(last, spans, rater=MADE)),
    )


def retold(response: Response, text: str) -> Response:
    """The response with the text of its last text part replaced. Step ends would be wrong: they are dropped."""
    target = last_text(response)
    messages: list[Message] = []
    for message in response.messages:
        parts = tuple(Text(text) if part is target else part for part in message.parts)
        messages.append(replace(message, parts=parts))
    return Response(tuple(messages))
