"""Record, Response and feedback: what is judged, and what people said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from assay.media import Part, Text


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: who speaks, and text and media in the order they were given."""

    role: str
    parts: tuple[Part, ...]
    name: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """The text parts joined; media left out."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class StepEnd:
    """Where a step of a response ends: message index, part index in it, and, in a text part, the character offset."""

    message: int
    part: int
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One candidate: its messages, and where its steps end (empty: no steps marked)."""

    messages: tuple[Message, ...]
    step_ends: tuple[StepEnd, ...] = ()

    @staticmethod
    def of(content: str | Part | Sequence[Part] | Message | Sequence[Message] | Response) -> Response:
        """A response from a string, parts, or messages; parts and strings are the assistant's."""
        if isinstance(content, Response):
            return content
        if isinstance(content, Message):
            return Response((content,))
        items = [content] if isinstance(content, str) or not isinstance(content, Sequence) else list(content)
        messages = [item for item in items if isinstance(item, Message)]
        if messages and len(messages) == len(items):
            return Response(tuple(messages))
        parts = [Text(item) if isinstance(item, str) else item for item in items if not isinstance(item, Message)]
        return Response((Message("assistant", tuple(parts)),))

    @staticmethod
    def from_steps(steps: Sequence[str], separator: str = "\n") -> Response:
        """One assistant message whose text is the steps joined by ``separator``; each step ends after its own text."""
        ends: list[StepEnd] = []
        offset = 0
        for step in steps:
            offset += len(step)
            ends.append(StepEnd(0, 0, offset))
            offset += len(separator)
        return Response((Message("assistant", (Text(separator.join(steps)),)),), tuple(ends))

    @property
    def text(self) -> str:
        return "".join(message.text for message in self.messages)


@dataclass(frozen=True, slots=True)
class Preference:
    """Response ``better`` is preferred to ``worse`` (indices into the record's responses).

    ``probability`` is the soft label that ``better`` wins (1 certain, .5 undecided), ``tie`` an explicit tie,
    ``margin`` and ``strength`` what the source gives, in its own unit.
    """

    better: int
    worse: int
    probability: float = 1.0
    tie: bool = False
    margin: float | None = None
    strength: float | None = None
    rater: str | None = None
    criterion: str | None = None


@dataclass(frozen=True, slots=True)
class Rating:
    """A number given to one response. Higher is better."""

    response: int
    value: float
    rater: str | None = None
    criterion: str | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """A rank for each response, 0 best, equal ranks tied; None where the rater gave none."""

    ranks: tuple[int | None, ...]
    rater: str | None = None
    criterion: str | None = None


@dataclass(frozen=True, slots=True)
class StepLabels:
    """A label for each step of one response, 0..1 (1 right); None where unlabelled."""

    response: int
    labels: tuple[float | None, ...]
    rater: str | None = None
    criterion: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``start`` to ``end`` (exclusive) of a response's text, and what was said of them."""

    start: int
    end: int
    label: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class SpanLabels:
    """Marked spans of one response."""

    response: int
    spans: tuple[Span, ...]
    rater: str | None = None
    criterion: str | None = None


@dataclass(frozen=True, slots=True)
class Critique:
    """What a rater wrote about one response."""

    response: int
    text: str
    rater: str | None = None
    criterion: str | None = None


Feedback: TypeAlias = Preference | Rating | Ranking | StepLabels | SpanLabels | Critique


def messages_of(content: str | Part | Sequence[Any], role: str) -> tuple[Message, ...]:
    """Messages from a string, a part, parts, Messages, or dicts of role and content."""
    if isinstance(content, str):
        return (Message(role, (Text(content),)),)
    if not isinstance(content, Sequence):
        return (Message(role, (content,)),)
    if content and all(isinstance(item, Message) for item in content):
        return tuple(content)
    return (Message(role, tuple(Text(item) if isinstance(item, str) else item for item in content)),)


@dataclass(frozen=True, slots=True)
class Record:
    """A prompt, its candidate responses, what raters said, and any further column by name."""

    id: str
    prompt: tuple[Message, ...]
    responses: tuple[Response, ...]
    feedback: tuple[Feedback, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @staticmethod
    def of(
        prompt: str | Part | Sequence[Any],
        responses: Sequence[Any],
        *,
        id: str = "",
        feedback: Sequence[Feedback] = (),
        **context: Any,
    ) -> Record:
        """A record from shorthand: strings, parts or messages. Without an id it is named by its content."""
        record = Record(
            id=id,
            prompt=messages_of(prompt, "user"),
            responses=tuple(Response.of(response) for response in responses),
            feedback=tuple(feedback),
            context=context,
        )
        return record

    def response_id(self, index: int) -> str:
        """The id of one response in Scores and result files: ``record/index``."""
        return f"{self.id}/{index}"

    def view(self, columns: Sequence[str] = ()) -> Record:
        """What a reward may see: no feedback, and only the declared context columns."""
        return replace(
            self, feedback=(), context={name: self.context[name] for name in columns if name in self.context}
        )

    def parts(self) -> Iterator[Part]:
        """Every part of the prompt, then of the responses."""
        for message in self.prompt:
            yield from message.parts
        for response in self.responses:
            for message in response.messages:
                yield from message.parts
