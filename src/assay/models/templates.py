"""A dialogue as tokens: the model's own chat template, pictures in place, and text that cannot forge control tokens."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Protocol, cast, final

from assay.media import Audio, Image, Text, Video
from assay.models.control import TemplateError, control_tokens, free_mark, guard, unmark
from assay.models.pictures import Picture, PictureLayout
from assay.models.places import Places, free_anchor, locate, prompt_end, spoken
from assay.records import Message, StepEnd

_PLAIN = (
    "{% for message in messages %}{{ message['role'] | capitalize }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}PLACEHOLDER{% endif %}"
    "{% endfor %}{% endif %}{{ '' if loop.last else '\\n' }}{% endfor %}"
)


_DAY = datetime.date(2024, 7, 26)
_DATE_FORMAT = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1""")


_WRITTEN = 16_384
_FRAMES = 256


class UnsupportedMediaError(ValueError):
    """A medium that this backbone does not take; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One prompt with one response, and its pictures in order of appearance, preprocessed.

    With ``steps``, the ends of the response's steps, the template also says where the response stands.
    """

    prompt: tuple[Message, ...]
    response: tuple[Message, ...]
    pictures: tuple[Picture, ...] = ()
    steps: tuple[StepEnd, ...] | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Text to be tokenised on its own. ``marks`` are the offsets of control tokens that were written as plain text.

    ``adds`` says that the tokenizer puts its own special tokens around; ``kind`` is the token type of the segment;
    ``places``, in the segment that holds the response, where it stands.
    """

    text: str
    marks: tuple[int, ...] = ()
    adds: bool = False
    kind: int | None = None
    places: Places | None = None


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


def pictures_of(messages: Iterable[Message]) -> list[Image | Audio]:
    """Every picture and sound of a dialogue, in order."""
    return [part for message in messages for part in message.parts if isinstance(part, Image | Audio)]


@final
@dataclass(frozen=True)
class ChatTemplate:
    """The Jinja template that a tokenizer carries, or the plain one.

    ``parts``: message contents are lists of parts rather than strings. ``adds``: the tokenizer puts its own special
    tokens around (only where the text does not begin with BOS already). A text template writes every token itself.
    A template that writes today's date writes 26 July 2024, so that a score does not change overnight.
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

    @cached_property
    def _dated(self) -> str:
        return fixed_date(self.source)

    def write(self, candidate: Candidate, /) -> tuple[Segment, ...]:
        dialogue = (*candidate.prompt, *candidate.response)
        contents = [self._content(message) for message in dialogue]
        if any(message.tool_calls for message in dialogue):
            written = self._write(contents, [picture.text for picture in candidate.pictures])
        else:
            written = self._kept(json.dumps(contents, ensure_ascii=False), candidate.pictures)
        if candidate.steps is None:
            return written
        return (replace(written[0], places=self._places(candidate, candidate.steps, contents, written[0].text)),)

    @cached_property
    def _kept(self) -> Callable[[str, tuple[Picture, ...]], tuple[Segment, ...]]:
        """Dialogues that differ in nothing but their pictures' content are written once: short questions recur."""

        @lru_cache(maxsize=_WRITTEN)
        def written(contents: str, texts: tuple[str, ...]) -> tuple[Segment, ...]:
            return self._write(json.loads(contents), texts)

        return lambda contents, pictures: written(contents, tuple(picture.text for picture in pictures))

    def _write(self, contents: list[dict[str, Any]], shown: Sequence[str]) -> tuple[Segment, ...]:
        mark = self._mark(contents)
        text, marks = unmark(self._rendered(contents, shown, mark), mark)
        bos = self.tokenizer.bos_token
        return (Segment(text, marks, self.adds and not (bos and text.startswith(bos))),)

    def _mark(self, contents: object) -> str:
        return "" if self.parses_control_tokens else free_mark(contents)

    def _rendered(self, contents: list[dict[str, Any]], shown: Sequence[str], mark: str) -> str:
        guarded = cast("list[dict[str, Any]]", guard(contents, self._control, mark) if mark else contents)
        try:
            text = cast("str", self.tokenizer.apply_chat_template(guarded, chat_template=self._dated, tokenize=False))
        except Exception as error:
            raise TemplateError(f"the chat template refuses this dialogue: {error}") from error
        return expand(text, self.layout, shown)

    def _places(
        self, candidate: Candidate, steps: Sequence[StepEnd], contents: list[dict[str, Any]], written: str
    ) -> Places:
        asked, answered = contents[: len(candidate.prompt)], contents[len(candidate.prompt) :]
        mark = self._mark(contents)
        shown = [picture.text for picture in candidate.pictures]
        before = len(pictures_of(candidate.prompt))

        def write(texts: Sequence[str], tails: Sequence[str]) -> str:
            filled = [*asked, *_filled(answered, texts)]
            tailed = [*shown[:before], *(text + tail for text, tail in zip(shown[before:], tails, strict=True))]
            return self._rendered(filled, tailed, mark).replace(mark, "")

        role = candidate.response[0].role if candidate.response else "assistant"
        anchor = free_anchor([written])
        framed = self._framed(json.dumps(asked, ensure_ascii=False, default=str), tuple(shown[:before]), role, anchor)
        said = spoken(candidate.response, steps, parts=self.parts)
        return locate(said, written, prompt_end(written, framed, anchor), write)

    @cached_property
    def _framed(self) -> Callable[[str, tuple[str, ...], str, str], str]:
        """A prompt followed by a turn of that role that says only the anchor: the same for all responses."""

        @lru_cache(maxsize=_FRAMES)
        def framed(asked: str, shown: tuple[str, ...], role: str, anchor: str) -> str:
            body = [{"type": "text", "text": anchor}] if self.parts else anchor
            contents = [*json.loads(asked), {"role": role, "content": body}]
            mark = self._mark(contents)
            return unmark(self._rendered(contents, shown, mark), mark)[0]

        return framed

    def _content(self, message: Message) -> dict[str, Any]:
        written: dict[str, Any] = {"role": message.role, "content": self._body(message)}
        if message.name is not None:
            written["name"] = message.name
        if message.tool_calls:
            written["tool_calls"] = [dict(call) for call in message.tool_calls]
        return written

    def _body(self, message: Message) -> str | list[dict[str, str]]:
        check_parts(message, self.layout)
        if not self.parts:
            if self.layout is not None and pictures_of([message]):
                raise TemplateError("the chat template takes text only, but the message holds a picture or a sound")
            return message.text
        medium = {"type": "image" if self.layout is None or self.layout.takes is Image else "audio"}
        body = [{"type": "text", "text": p.text} if isinstance(p, Text) else medium for p in message.parts]
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
            check_parts(message, self.layout)
        if pictures_of(candidate.response):
            raise TemplateError("the answer holds a picture, but PaliGemma reads pictures at the head of the prompt")
        asked, answered = _lines(candidate.prompt), _lines(candidate.response)
        mark = "" if self.parses_control_tokens else free_mark([asked, answered])
        if mark:
            asked, answered = (cast("str", guard(text, self._control, mark)) for text in (asked, answered))
        shown = "".join(picture.text for picture in candidate.pictures)
        prefix, before = unmark(f"{shown}{self.tokenizer.bos_token}{asked}\n", mark)
        suffix, after = unmark(f"{answered}{self.tokenizer.eos_token}", mark)
        places = None if candidate.steps is None else self._places(candidate.response, candidate.steps, suffix)
        return Segment(prefix, before, kind=0), Segment(suffix, after, kind=1, places=places)

    def _places(self, response: Sequence[Message], steps: Sequence[StepEnd], written: str) -> Places:
        def write(texts: Sequence[str], tails: Sequence[str]) -> str:
            del tails
            filled = [replace(message, parts=(Text(text),)) for message, text in zip(response, texts, strict=True)]
            return f"{_lines(filled)}{self.tokenizer.eos_token}"

        return locate(spoken(response, steps, parts=False), written, 0, write)


def _filled(contents: Sequence[dict[str, Any]], texts: Sequence[str]) -> list[dict[str, Any]]:
    """The contents with other texts, in order."""
    following = iter(texts)

    def body(content: str | list[dict[str, str]]) -> str | list[dict[str, str]]:
        if isinstance(content, str):
            return next(following)
        return [{**part, "text": next(following)} if part["type"] == "text" else part for part in content]

    return [{**message, "content": body(message["content"])} for message in contents]


def fixed_date(source: str) -> str:
    """The template with its clock stopped: ``strftime_now`` gives the same day in each format that the source names."""
    if "strftime_now" not in source:
        return source
    days = {found[1]: _DAY.strftime(found[1]) for found in _DATE_FORMAT.findall(source)}
    return f"{{% macro strftime_now(format) %}}{{{{ {json.dumps(days)}[format] }}}}{{% endmacro %}}{{{{ '' }}}}{source}"


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


def check_parts(message: Message, layout: PictureLayout | None) -> None:
    """Refuse what the backbone does not take; ``layout`` is its layout of pictures or sounds.

    Raises:
        UnsupportedMediaError: a part of another kind than text and what the layout takes.
    """
    for part in message.parts:
        if isinstance(part, Text) or (layout is not None and isinstance(part, layout.takes)):
            continue
        kind = type(part).__name__.lower()
        if isinstance(part, Image):
            takes = "text only" if layout is None else "text and sound"
            raise UnsupportedMediaError(f"this backbone reads {takes}, but the message holds an image")
        remedy = (
            "give its frames as pictures to a backbone that takes pictures"
            if isinstance(part, Video)
            else "give its transcript as text, or use a backbone that takes sound"
        )
        raise UnsupportedMediaError(f"this backbone does not take {kind}: {remedy}")


def expand(text: str, layout: PictureLayout | None, shown: Sequence[str]) -> str:
    """The text with the n-th picture placeholder replaced by ``shown[n]``, what stands for the n-th picture.

    Raises:
        TemplateError: the template wrote another number of placeholders than there are pictures.
    """
    if layout is None:
        return text
    pieces = text.split(layout.placeholder)
    if len(pieces) - 1 != len(shown):
        raise TemplateError(
            f"the chat template wrote {len(pieces) - 1} of {layout.placeholder!r} for {len(shown)} pictures"
        )
    return pieces[0] + "".join(f"{text}{piece}" for text, piece in zip(shown, pieces[1:], strict=True))
