"""A conversation that a trainer sends as one templated string, as the turns that it was made of.

What a chat template writes around the turns is found by writing a conversation of known words with it; texts are read
by these literals. In a prompt with its response only the prompt is read for turns: whatever the response holds, also
what looks like another turn, is the response. In a conversation that comes as one text it cannot be told from one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from assay.media import Text
from assay.records import Message, Record, Response

Turns: TypeAlias = tuple[tuple[str, str], ...]
"""Roles and what was said."""

_SYSTEM, _ASKED, _SAID, _AGAIN, _LAST = "Zsystemz", "Zaskedz", "Zsaidz", "Zagainz", "Zlastz"


class TemplatedError(ValueError):
    """A chat template whose texts cannot be read back into turns."""


@final
@dataclass(frozen=True, slots=True)
class Untemplate:
    """What a template writes around the turns of a conversation.

    ``openings`` are what may stand before the first user's words: alone, or before and after a system's. ``answers``
    stands between a user's words and the assistant's, ``asks`` between the assistant's and the next user's, ``end``
    after the last.
    """

    openings: tuple[tuple[str, ...], ...]
    answers: str
    asks: str
    end: str

    def conversation(self, text: str) -> Turns | None:
        """The turns of a whole conversation that ends with the assistant's; None for a text of another template."""
        found = self._opened(text)
        if found is None:
            return None
        turns, rest = found
        while True:
            asked, mark, rest = rest.partition(self.answers)
            if not mark:
                return None
            said, mark, following = rest.partition(self.asks)
            if not mark:
                return (*turns, ("user", asked), ("assistant", self.ended(said)))
            turns = (*turns, ("user", asked), ("assistant", said))
            rest = following

    def prompt(self, text: str) -> Turns | None:
        """The turns of a prompt that the assistant's words are to follow; None for a text of another template."""
        if not text.endswith(self.answers):
            return None
        found = self.conversation(text)
        return None if found is None or found[-1][1] else found[:-1]

    def ended(self, text: str) -> str:
        """What the assistant said, without the ending that the template writes, if it is there."""
        for end in (self.end, self.end.rstrip()):
            if end and text.endswith(end):
                return text[: -len(end)]
        return text

    def _opened(self, text: str) -> tuple[Turns, str] | None:
        for opening in self.openings:
            if not text.startswith(opening[0]):
                continue
            rest = text[len(opening[0]) :]
            if len(opening) == 1:
                return (), rest
            system, mark, rest = rest.partition(opening[1])
            if mark:
                return (("system", system),), rest
        return None


def untemplate(write: Callable[[Sequence[Mapping[str, str]], bool], str]) -> Untemplate:
    """What is around the turns, by a function that writes messages (and, when asked, the beginning of an answer).

    Raises:
        TemplatedError: the template does not write turns one after another between fixed words.
    """
    spoken = [("user", _ASKED), ("assistant", _SAID), ("user", _AGAIN), ("assistant", _LAST)]
    plain = _around(_written(write, spoken), [_ASKED, _SAID, _AGAIN, _LAST])
    openings: list[tuple[str, ...]] = [(plain[0],)]
    try:
        system = _around(_written(write, [("system", _SYSTEM), *spoken[:2]]), [_SYSTEM, _ASKED, _SAID])
        openings.append((system[0], system[1]))
    except Exception:  # noqa: BLE001, S110 - a template without a system's turn refuses it with an error of its own
        pass
    begun = write(_messages(spoken[:1]), True).partition(_ASKED)[2]
    first = tuple(sorted(openings, key=lambda each: -len(each[0])))
    for answers in (begun, plain[1]):  # a template may not know how an answer begins, or begin the last one longer
        if answers and plain[2] and plain[1].startswith(answers):
            made = Untemplate(first, answers, plain[2], plain[4])
            if made.conversation(_written(write, spoken)) == tuple(spoken):
                return made
    raise TemplatedError("this chat template does not write turns one after another between fixed words")


def untemplate_of(reference: str) -> Untemplate:
    """`untemplate` by the tokenizer of a model's directory, or of a hub id that is in the local cache.

    Raises:
        TemplatedError: it has no chat template, or one that cannot be read back.
        OSError: there is no tokenizer.
    """
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(reference)
    if tokenizer.chat_template is None:
        raise TemplatedError(f"{reference}: its tokenizer has no chat template")

    def write(messages: Sequence[Mapping[str, str]], begin: bool) -> str:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=begin))

    return untemplate(write)


def record_of_text(text: str, form: Untemplate | None, id: str, context: Mapping[str, Any] | None = None) -> Record:
    """A templated conversation as a record: its last turn, the assistant's, is what is judged.

    A text that is not of the template, or of which no template is known, is one response to an empty prompt.
    """
    turns = None if form is None else form.conversation(text)
    if not turns:
        return _record("", text, id, context)
    return Record(id, _said(turns[:-1]), (Response(_said(turns[-1:])),), (), context or {})


def record_of_pair(
    prompt: str, response: str, form: Untemplate | None, id: str, context: Mapping[str, Any] | None = None
) -> Record:
    """A prompt and the text that follows it, as a record: by the prompt's turns where it is of the template, else the
    prompt is the user's one turn, as it is."""
    turns = None if form is None else form.prompt(prompt)
    if form is None or not turns:
        return _record(prompt, response, id, context)
    said = _said((("assistant", form.ended(response)),))
    return Record(id, _said(turns), (Response(said),), (), context or {})


def _record(prompt: str, response: str, id: str, context: Mapping[str, Any] | None) -> Record:
    return Record(id, _said((("user", prompt),)), (Response(_said((("assistant", response),))),), (), context or {})


def _said(turns: Turns) -> tuple[Message, ...]:
    return tuple(Message(role, (Text(text),)) for role, text in turns)


def _messages(turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns]


def _written(write: Callable[[Sequence[Mapping[str, str]], bool], str], turns: Sequence[tuple[str, str]]) -> str:
    return write(_messages(turns), False)


def _around(text: str, words: Sequence[str]) -> list[str]:
    """What stands before, between and after words."""
    pieces: list[str] = []
    for word in words:
        before, mark, text = text.partition(word)
        if not mark:
            raise TemplatedError("this chat template leaves out or reorders turns")
        pieces.append(before)
    return [*pieces, text]
