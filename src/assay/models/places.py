"""Where a response stands in the text that a template wrote: where the prompt ends, its own text, its steps.

A response is written a second time with private-use marks at the ends of its texts and steps. Where a template's own
doing forbids that (it cuts texts at a tag, say), the response's words are found in what was written instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from assay.media import Text
from assay.models.control import TemplateError
from assay.records import Message, StepEnd
from assay.records.steps import NOT_OWN

_PLANES = ((0xF0000, 0xFFFFD), (0x100000, 0x10FFFD))
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """``text[start:stop]`` as written is the response's text from its character ``at`` on."""

    start: int
    stop: int
    at: int


@dataclass(frozen=True, slots=True)
class Places:
    """Offsets in a written text: where the prompt ends, what is the response's own text, where its steps end."""

    prompt: int
    pieces: tuple[Piece, ...]
    steps: tuple[int, ...]

    def behind(self, length: int) -> Places:
        """The same places with ``length`` characters in front of the text."""
        return Places(
            self.prompt + length,
            tuple([Piece(piece.start + length, piece.stop + length, piece.at) for piece in self.pieces]),
            tuple([step + length for step in self.steps]),
        )


@dataclass(frozen=True, slots=True)
class Slot:
    """One text of a response as its template is given it, or one medium (``text`` None).

    ``at`` is where it begins in the response's text; ``own`` says that the response's author wrote it.
    """

    text: str | None
    at: int
    own: bool


Write = Callable[[Sequence[str], Sequence[str]], str]
"""The dialogue with these texts in place of the response's, and these tails behind the response's media."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A response as slots, and for each of its steps the slot and the offset in it at which the step ends."""

    slots: tuple[Slot, ...]
    steps: tuple[tuple[int, int], ...]


def spoken(messages: Sequence[Message], ends: Sequence[StepEnd], *, parts: bool) -> Spoken:
    """The slots of a response: one for each part, or, without ``parts``, one text for each message.

    Raises:
        TemplateError: a step ends outside the response, or before the step in front of it.
    """
    slots: list[Slot] = []
    found: dict[tuple[int, int], tuple[int, int]] = {}
    length = 0
    for number, message in enumerate(messages):
        own = message.role not in NOT_OWN
        if not parts or not message.parts:
            slots.append(Slot(message.text, length, own))
        start = length
        for place, part in enumerate(message.parts):
            text = part.text if isinstance(part, Text) else None
            if parts:
                slots.append(Slot(text, length, own))
            found[number, place] = (len(slots) - 1, 0 if parts else length - start)
            length += len(text or "")
    steps = tuple([_step(end, number, messages, found) for number, end in enumerate(ends)])
    if any(after < before for before, after in pairwise(steps)):
        raise TemplateError("the steps of the response do not follow one another: put their ends in order")
    return Spoken(tuple(slots), steps)


def _step(
    end: StepEnd, number: int, messages: Sequence[Message], found: Mapping[tuple[int, int], tuple[int, int]]
) -> tuple[int, int]:
    if (end.message, end.part) not in found:
        raise TemplateError(
            f"step {number} ends at message {end.message}, part {end.part}, which the response does not have"
        )
    slot, before = found[end.message, end.part]
    part = messages[end.message].parts[end.part]
    length = len(part.text) if isinstance(part, Text) else 0
    offset = length if end.offset is None else end.offset
    if not 0 <= offset <= length:
        raise TemplateError(f"step {number} ends at character {offset} of a part with {length}")
    return slot, before + offset


def locate(said: Spoken, written: str, prompt: int, write: Write) -> Places:
    """Where each text and step of a response stands in ``written``, whose prompt ends at ``prompt``.

    Raises:
        TemplateError: the template does not show the text at which a step ends, or all private-use characters are
            taken.
    """
    first = _free_plane([written, *(slot.text or "" for slot in said.slots)])
    points = _points(said)
    texts, tails = _anchored(said, points, first)
    plain, stands = _unanchored(write(texts, tails), first)
    known = {point: stands[number] for point, number in points.items() if number in stands}
    cores = [(slot.text, known.get(_start(i, slot)), known.get(_stop(i, slot))) for i, slot in enumerate(said.slots)]
    if plain != written or len(known) < len(points) or not all(_copied(written, *core) for core in cores):
        return _aligned(said, written, prompt)
    return _places(said, written, prompt, known)


def prompt_end(written: str, framed: str, mark: str) -> int:
    """Where the prompt ends in ``written``, given the same prompt followed by a turn that says only ``mark``."""
    return _shared(written, framed.split(mark)[0])


def free_anchor(texts: Iterable[str]) -> str:
    """A private-use character that stands in none of the texts.

    Raises:
        TemplateError: characters of both supplementary private-use planes are in use.
    """
    return chr(_free_plane(texts))


def _free_plane(texts: Iterable[str]) -> int:
    joined = "".join(texts)
    for first, last in _PLANES:
        if not re.search(f"[{chr(first)}-{chr(last)}]", joined):
            return first
    raise TemplateError("the dialogue uses characters of both supplementary private-use planes")


def _start(index: int, slot: Slot) -> tuple[int, int]:
    text = slot.text or ""
    return index, len(text) - len(text.lstrip())


def _stop(index: int, slot: Slot) -> tuple[int, int]:
    return index, len((slot.text or "").rstrip())


def _points(said: Spoken) -> dict[tuple[int, int], int]:
    """The places that are marked, numbered: no mark touches the white space at a text's ends, which templates trim."""
    wanted: list[tuple[int, int]] = []
    for index, slot in enumerate(said.slots):
        if slot.text is None:
            wanted.append((index, 0))
        elif slot.text.strip():
            wanted += [_start(index, slot), _stop(index, slot)]
    for slot, offset in said.steps:
        text = said.slots[slot].text
        if text is not None and text[:offset].strip():
            wanted.append((slot, len(text[:offset].rstrip())))
    return {point: number for number, point in enumerate(sorted(set(wanted)))}


def _anchored(said: Spoken, points: Mapping[tuple[int, int], int], first: int) -> tuple[list[str], list[str]]:
    texts: list[str] = []
    tails: list[str] = []
    for index, slot in enumerate(said.slots):
        if slot.text is None:
            tails.append(chr(first + points[index, 0]))
            continue
        here = sorted(offset for at, offset in points if at == index)
        made, before = "", 0
        for offset in here:
            made += slot.text[before:offset] + chr(first + points[index, offset])
            before = offset
        texts.append(made + slot.text[before:])
    return texts, tails


def _unanchored(text: str, first: int) -> tuple[str, dict[int, int]]:
    pieces = re.split(f"([{chr(first)}-{chr(first + 0xFFFD)}])", text)
    stands: dict[int, int] = {}
    length = 0
    for piece, anchor in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        length += len(piece)
        if anchor:
            stands[ord(anchor) - first] = length
    return "".join(pieces[::2]), stands


def _copied(written: str, text: str | None, start: int | None, stop: int | None) -> bool:
    return text is None or not text.strip() or written[start:stop] == text.strip()


def _places(said: Spoken, written: str, prompt: int, known: Mapping[tuple[int, int], int]) -> Places:
    pieces: list[Piece] = []
    before: list[int] = []
    bound = prompt
    places = sorted(known.values())
    for index, slot in enumerate(said.slots):
        before.append(bound)
        if slot.text is None:
            bound = known[index, 0]
        elif slot.text.strip():
            (_, lead), (_, trail) = _start(index, slot), _stop(index, slot)
            start, stop = known[index, lead], known[index, trail]
            kept = _shared(slot.text[:lead][::-1], written[bound:start][::-1])
            following = min([place for place in places if place > stop], default=len(written))
            bound = stop + _shared(slot.text[trail:], written[stop:following])
            if slot.own:
                pieces.append(Piece(start - kept, bound, slot.at + lead - kept))
    steps: list[int] = []
    for index, offset in said.steps:
        text = said.slots[index].text
        if text is None:
            steps.append(known[index, 0])
        elif not text[:offset].strip():
            start = known.get(_start(index, said.slots[index]), before[index])
            inside = start - len(text) + len(text.lstrip()) + offset
            steps.append(max(before[index], inside) if text.strip() else before[index])
        else:
            point = len(text[:offset].rstrip())
            at = known[index, point]
            steps.append(at + _shared(text[point:offset], written[at:]))
    return Places(prompt, tuple(pieces), tuple(steps))


def _shared(left: str, right: str) -> int:
    """How many characters two texts have in common at their start."""
    length = min(len(left), len(right))
    return next((index for index in range(length) if left[index] != right[index]), length)


def _aligned(said: Spoken, written: str, prompt: int) -> Places:
    text = "".join(slot.text or "" for slot in said.slots)
    ours, theirs = list(_WORD.finditer(text)), list(_WORD.finditer(written, prompt))
    matcher = SequenceMatcher(None, [word[0] for word in ours], [word[0] for word in theirs], autojunk=False)
    own = [range(slot.at, slot.at + len(slot.text or "")) for slot in said.slots if slot.own]
    stands: dict[int, int] = {}
    pieces: list[Piece] = []
    for first, second, count in matcher.get_matching_blocks():
        for mine, shown in zip(ours[first : first + count], theirs[second : second + count], strict=True):
            stands[mine.end()] = shown.end()
            if any(mine.start() in part for part in own):
                pieces.append(Piece(shown.start(), shown.end(), mine.start()))
    steps: list[int] = []
    for number, (index, offset) in enumerate(said.steps):
        end = len(text[: said.slots[index].at + offset].rstrip())
        covering = [word.end() for word in ours if word.start() < end <= word.end()]
        if said.slots[index].text is None or (covering and covering[0] not in stands):
            raise TemplateError(
                f"the chat template rewrites the response and does not show the text at which step {number} ends: "
                "mark its steps elsewhere, or give a template that keeps it (template=)"
            )
        inside = end - covering[0] if covering else 0
        steps.append(stands[covering[0]] + inside if covering else prompt)
    return Places(prompt, tuple(pieces), tuple(steps))
