"""A dialogue as tokens: the model's own chat template, pictures in place, and text that cannot forge control tokens."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, cast, final

import torch

from assay.media import Image, Text, Video
from assay.models.base import TokenSequence
from assay.models.pictures import Picture, PictureLayout
from assay.records import Message

_MARKS = tuple(chr(code) for code in range(0xE000, 0xE020))
_PLAIN = (
    "{% for message in messages %}{{ message['role'] | capitalize }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}PLACEHOLDER{% endif %}"
    "{% endfor %}{% endif %}{{ '' if loop.last else '\\n' }}{% endfor %}"
)


class TemplateError(ValueError):
    """A dialogue that this backbone's template cannot write; the message says why."""


class UnsupportedMediaError(ValueError):
    """A medium that this backbone does not take; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One prompt with one response, and its pictures in order of appearance, preprocessed."""

    prompt: tuple[Message, ...]
    response: tuple[Message, ...]
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """Text to be tokenised on its own. ``marks`` are the offsets of control tokens that were written as plain text.

    ``adds`` says that the tokenizer puts its own special tokens around; ``kind`` is the token type of the segment.
    """

    text: str
    marks: tuple[int, ...] = ()
    adds: bool = False
    kind: int | None = None


class Template(Protocol):
    """How a backbone writes a candidate."""

    @property
    def fingerprint(self) -> str: ...

    def write(self, candidate: Candidate, /) -> tuple[Segment, ...]:
        """The segments whose token ids, one after another, are the candidate.

        Raises:
            TemplateError: the template refuses the dialogue (roles, an answer with pictures).
            UnsupportedMediaError: a part that the backbone does not take.
        """
        ...


def pictures_of(messages: Iterable[Message]) -> list[Image]:
    """Every picture of a dialogue, in order."""
    return [part for message in messages for part in message.parts if isinstance(part, Image)]


@final
@dataclass(frozen=True)
class ChatTemplate:
    """The Jinja template that a tokenizer carries, or the plain one.

    ``parts``: message contents are lists of parts rather than strings. ``adds``: the tokenizer puts its own special
    tokens around (only where the text does not begin with BOS already). A text template writes every token itself.
    Control tokens (special tokens and picture placeholders) that stand in a message are plain text to the model,
    unless ``parses_control_tokens``: a response cannot close its own turn or pretend to be the system.
    """

    tokenizer: Any
    source: str
    layout: PictureLayout | None = None
    parts: bool = False
    adds: bool = False
    parses_control_tokens: bool = False

    @property
    def fingerprint(self) -> str:
        """sha256 of the template and of how it is used."""
        layout = self.layout and [self.layout.placeholder, self.layout.token, self.layout.token_id]
        described = ["chat", self.source, layout, self.parts, self.adds, self.parses_control_tokens]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    @cached_property
    def _control(self) -> re.Pattern[str]:
        return control_tokens(self.tokenizer, self.layout)

    def write(self, candidate: Candidate, /) -> tuple[Segment, ...]:
        dialogue = [*candidate.prompt, *candidate.response]
        contents = [self._content(message) for message in dialogue]
        mark = "" if self.parses_control_tokens else free_mark(contents)
        guarded = cast("list[dict[str, Any]]", guard(contents, self._control, mark) if mark else contents)
        try:
            text = cast("str", self.tokenizer.apply_chat_template(guarded, chat_template=self.source, tokenize=False))
        except Exception as error:
            raise TemplateError(f"the chat template refuses this dialogue: {error}") from error
        text = expand(text, self.layout, candidate.pictures)
        text, marks = unmark(text, mark)
        bos = self.tokenizer.bos_token
        return (Segment(text, marks, self.adds and not (bos and text.startswith(bos))),)

    def _content(self, message: Message) -> dict[str, Any]:
        written: dict[str, Any] = {"role": message.role, "content": self._body(message)}
        if message.name is not None:
            written["name"] = message.name
        if message.tool_calls:
            written["tool_calls"] = [dict(call) for call in message.tool_calls]
        return written

    def _body(self, message: Message) -> str | list[dict[str, str]]:
        check_parts(message, takes_pictures=self.layout is not None)
        if not self.parts:
            if self.layout is not None and pictures_of([message]):
                raise TemplateError("the chat template takes text only, but the message holds a picture")
            return message.text
        body = [{"type": "text", "text": p.text} if isinstance(p, Text) else {"type": "image"} for p in message.parts]
        return body or [{"type": "text", "text": ""}]


@final
@dataclass(frozen=True)
class PrefixTemplate:
    """PaliGemma's own form: pictures, BOS, the prompt and a line break in both directions; the answer and EOS causal.

    A single user message is written as it is; several are written one a line as ``Role: text``. Pictures come first,
    in order, as the class was trained. Token types are 0 in the prompt and 1 in the answer.
    """

    tokenizer: Any
    layout: PictureLayout
    parses_control_tokens: bool = False

    @property
    def fingerprint(self) -> str:
        """sha256 of how the template is used."""
        described = ["prefix", self.layout.token, self.layout.token_id, self.parses_control_tokens]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    @cached_property
    def _control(self) -> re.Pattern[str]:
        return control_tokens(self.tokenizer, self.layout)

    def write(self, candidate: Candidate, /) -> tuple[Segment, ...]:
        for message in (*candidate.prompt, *candidate.response):
            check_parts(message, takes_pictures=True)
        if pictures_of(candidate.response):
            raise TemplateError("the answer holds a picture, but PaliGemma reads pictures at the head of the prompt")
        asked, answered = _lines(candidate.prompt), _lines(candidate.response)
        mark = "" if self.parses_control_tokens else free_mark([asked, answered])
        if mark:
            asked, answered = (cast("str", guard(text, self._control, mark)) for text in (asked, answered))
        shown = "".join(picture.text for picture in candidate.pictures)
        prefix, before = unmark(f"{shown}{self.tokenizer.bos_token}{asked}\n", mark)
        suffix, after = unmark(f"{answered}{self.tokenizer.eos_token}", mark)
        return Segment(prefix, before, kind=0), Segment(suffix, after, kind=1)


def _lines(messages: Sequence[Message]) -> str:
    if len(messages) == 1:
        return messages[0].text
    return "\n".join(f"{message.role.capitalize()}: {message.text}" for message in messages)


def template_of(
    tokenizer: Any, layout: PictureLayout | None, *, model_type: str, source: str | None = None
) -> Template:
    """The template of a backbone: its own where it has one, else the plain one (``User: ...``, one turn a line, EOS).

    Raises:
        ValueError: the chat template writes neither strings nor lists of parts.
    """
    if model_type == "paligemma" and layout is not None:
        return PrefixTemplate(tokenizer, layout)
    own = source if source is not None else tokenizer.chat_template
    if isinstance(own, Mapping):
        own = cast("Mapping[str, str]", own).get("default")
    if own is None:
        return _plain(tokenizer, layout)
    template = ChatTemplate(tokenizer, cast("str", own), layout, adds=layout is not None)
    for parts in (True, False) if layout is not None else (False, True):
        tried = replace(template, parts=parts)
        if _writes(tried):
            return tried
    raise ValueError("the chat template writes neither a string nor a list of parts: pass another with template=")


def _plain(tokenizer: Any, layout: PictureLayout | None) -> ChatTemplate:
    ends = tokenizer.eos_token is not None and tokenizer("x")["input_ids"][-1] != tokenizer.eos_token_id
    source = _PLAIN.replace("PLACEHOLDER", layout.placeholder if layout else "") + ("{{ eos_token }}" if ends else "")
    return ChatTemplate(tokenizer, source, layout, parts=layout is not None, adds=True)


def _writes(template: ChatTemplate) -> bool:
    asked, answered = "assay probe question", "assay probe answer"
    dialogue = Candidate((Message("user", (Text(asked),)),), (Message("assistant", (Text(answered),)),))
    try:
        text = template.write(dialogue)[0].text
    except TemplateError:
        return False
    return text.count(asked) == 1 and text.count(answered) == 1 and "'type'" not in text


def check_parts(message: Message, *, takes_pictures: bool) -> None:
    """Refuse what the backbone does not take.

    Raises:
        UnsupportedMediaError: a video, a sound, or a picture for a text backbone.
    """
    for part in message.parts:
        if isinstance(part, Text) or (isinstance(part, Image) and takes_pictures):
            continue
        kind = type(part).__name__.lower()
        if isinstance(part, Image):
            raise UnsupportedMediaError("this backbone reads text only, but the message holds an image")
        remedy = (
            "give its frames as pictures (the extra `pip install 'assay[video]'` decodes them)"
            if isinstance(part, Video)
            else "give its transcript as text"
        )
        raise UnsupportedMediaError(f"this backbone does not take {kind}: {remedy}")


def control_tokens(tokenizer: Any, layout: PictureLayout | None) -> re.Pattern[str]:
    """Matches every token that a message must not be able to write: special tokens and picture placeholders."""
    return _any_of(control_ids(tokenizer, layout))


def control_ids(tokenizer: Any, layout: PictureLayout | None) -> dict[str, int]:
    """The id of each control token by its text."""
    added = cast("Mapping[int, Any]", tokenizer.added_tokens_decoder)
    found = {str(token.content): int(index) for index, token in added.items() if token.special}
    for token in (*tokenizer.all_special_tokens, *((layout.placeholder, layout.token) if layout else ())):
        found.setdefault(str(token), int(tokenizer.convert_tokens_to_ids(token)))
    return {token: index for token, index in found.items() if token}


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(re.escape(token) for token in longest_first) or r"(?!)")


def free_mark(contents: object) -> str:
    """A character that stands nowhere in the contents.

    Raises:
        TemplateError: every candidate character is taken.
    """
    text = json.dumps(contents, ensure_ascii=False, default=str)
    for mark in _MARKS:
        if mark not in text:
            return mark
    raise TemplateError("the dialogue uses every private-use character from U+E000 to U+E01F")


def guard(value: object, control: re.Pattern[str], mark: str) -> object:
    """The same value with ``mark`` set behind the first character of every control token in its strings."""
    if isinstance(value, str):
        return control.sub(lambda found: found[0][0] + mark + found[0][1:], value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value)
        return {key: item if key == "type" else guard(item, control, mark) for key, item in pairs.items()}
    if isinstance(value, list | tuple):
        return [guard(item, control, mark) for item in cast("Sequence[object]", value)]
    return value


def unmark(text: str, mark: str) -> tuple[str, tuple[int, ...]]:
    """The text without marks, and the offsets in it of the control tokens that were marked."""
    if not mark or mark not in text:
        return text, ()
    pieces = text.split(mark)
    ends: list[int] = []
    length = 0
    for piece in pieces[:-1]:
        length += len(piece)
        ends.append(length - 1)
    return "".join(pieces), tuple(ends)


def expand(text: str, layout: PictureLayout | None, pictures: Sequence[Picture]) -> str:
    """The text with the n-th picture placeholder replaced by what stands for the n-th picture.

    Raises:
        TemplateError: the template wrote another number of placeholders than there are pictures.
    """
    if layout is None:
        return text
    pieces = text.split(layout.placeholder)
    if len(pieces) - 1 != len(pictures):
        raise TemplateError(
            f"the chat template wrote {len(pieces) - 1} of {layout.placeholder!r} for {len(pictures)} pictures"
        )
    return pieces[0] + "".join(picture.text + piece for picture, piece in zip(pictures, pieces[1:], strict=True))


@final
class Tokeniser:
    """Turns written segments into token sequences, whole; control tokens marked as text stay text."""

    def __init__(self, tokenizer: Any, layout: PictureLayout | None) -> None:
        self.tokenizer = tokenizer
        self.layout = layout
        self._control = control_ids(tokenizer, layout)
        self._control_ids = frozenset(self._control.values())
        self._literal = _any_of(self._control)
        self._as_text: dict[str, list[int]] = {}

    def __call__(self, written: Sequence[tuple[Segment, ...]], keys: Sequence[tuple[str, ...]]) -> list[TokenSequence]:
        """One sequence a candidate; ``keys`` are its pictures' keys in order.

        Raises:
            TemplateError: a control token stands in a message, and this tokenizer cannot say where tokens begin.
        """
        flat = [segment for segments in written for segment in segments]
        ids = iter(self._ids(flat))
        return [
            self._sequence(segments, [next(ids) for _ in segments], images)
            for segments, images in zip(written, keys, strict=True)
        ]

    def _ids(self, segments: Sequence[Segment]) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in segments]
        for adds in (False, True):
            for marked in (False, True):
                rows = [i for i, s in enumerate(segments) if s.adds is adds and bool(s.marks) is marked]
                if not rows:
                    continue
                if marked and not self.tokenizer.is_fast:
                    raise TemplateError("a message holds a control token, and this tokenizer cannot keep it as text")
                made = self.tokenizer(
                    [segments[i].text for i in rows],
                    add_special_tokens=adds,
                    return_attention_mask=False,
                    return_token_type_ids=False,
                    return_offsets_mapping=marked,
                    verbose=False,
                )
                for place, row in enumerate(rows):
                    ids = cast("list[int]", made["input_ids"][place])
                    offsets = cast("list[tuple[int, int]]", made["offset_mapping"][place]) if marked else []
                    found[row] = self._without_forged(segments[row], ids, offsets) if marked else ids
        return found

    def _without_forged(self, segment: Segment, ids: list[int], offsets: list[tuple[int, int]]) -> list[int]:
        made: list[int] = []
        for token, (start, end) in zip(ids, offsets, strict=True):
            forged = [mark for mark in segment.marks if start <= mark < end] if token in self._control_ids else []
            literal = self._literal.match(segment.text, forged[0]) if forged else None
            made += self._text_ids(literal[0]) if literal else [token]
        return made

    def _text_ids(self, literal: str) -> list[int]:
        if literal not in self._as_text:
            self._as_text[literal] = self._split(literal)
        return self._as_text[literal]

    def _split(self, literal: str) -> list[int]:
        halves = [(literal,), *((literal[:cut], literal[cut:]) for cut in range(1, len(literal)))]
        for pieces in halves:
            ids = [i for p in pieces for i in cast("list[int]", self._plain_ids(p))]
            if ids and not self._control_ids.intersection(ids):
                return ids
        raise TemplateError(f"{literal!r} stands in a message, and this tokenizer cannot write it as text")

    def _plain_ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def _sequence(self, segments: Sequence[Segment], parts: list[list[int]], images: tuple[str, ...]) -> TokenSequence:
        bos = self.tokenizer.bos_token_id
        if bos is not None and parts[0][:2] == [bos, bos]:
            parts[0] = parts[0][1:]
        ids = torch.tensor([token for part in parts for token in part], dtype=torch.long)
        if not ids.numel():
            raise TemplateError("the dialogue has no tokens at all")
        kinds = [segment.kind for segment in segments]
        types = self.layout.types(ids) if self.layout else None
        if None not in kinds:
            typed = [torch.full((len(part),), kind or 0) for kind, part in zip(kinds, parts, strict=True)]
            types = torch.cat(typed)
        return TokenSequence(ids, torch.tensor([ids.numel() - 1]), types, images)


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """sha256 of a tokenizer's vocabulary, added tokens and BOS, EOS and UNK; padding plays no part in a score."""
    added = cast("Mapping[int, Any]", tokenizer.added_tokens_decoder)
    described = {
        "vocabulary": sorted(cast("Mapping[str, int]", tokenizer.get_vocab()).items()),
        "added": sorted((int(index), str(token.content), bool(token.special)) for index, token in added.items()),
        "special": [str(tokenizer.bos_token), str(tokenizer.eos_token), str(tokenizer.unk_token)],
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()
