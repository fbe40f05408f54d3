"""Records of every shape, for property tests. Media come by bytes, so that equality is by content."""

from __future__ import annotations

import io
from typing import Any

import PIL.Image
from hypothesis import strategies as st

from assay.media import Audio, Image, Part, Text, Video
from assay.records import (
    Critique,
    Feedback,
    Message,
    Preference,
    Ranking,
    Rating,
    Record,
    Response,
    Span,
    SpanLabels,
    StepEnd,
    StepLabels,
)


def png(colour: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (2, 3), (colour % 256, colour // 256, 7)).save(buffer, format="PNG")
    return buffer.getvalue()


odd_text = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "a\0b", "\ud800", "x\udfffy", "\u202eabc", "👩‍👩‍👧", "\r", "\n\n", "\u2028", "\ufeff", '{"a": 1}']
    ),
)
plain_text = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="<>"), max_size=20)
names = st.one_of(st.none(), st.sampled_from(["ann", "bob"]))
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)

images = st.builds(lambda colour: Image.from_bytes(png(colour)), st.integers(0, 999))
media = st.one_of(
    images,
    st.builds(lambda data: Audio(data=data), st.binary(min_size=1, max_size=9)),
    st.builds(lambda data, fps: Video(data=data, fps=fps), st.binary(min_size=1, max_size=9), st.none() | numbers),
    st.builds(lambda frames: Video(frames=tuple(frames), fps=2.0), st.lists(images, min_size=1, max_size=2)),
)


def parts(text: st.SearchStrategy[str], other: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Part, ...]]:
    return st.lists(st.one_of(text.map(Text), other), max_size=4).map(tuple)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), numbers, odd_text, st.binary(max_size=5), images),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(
            st.one_of(st.text(max_size=4), st.sampled_from(["$tuple", "$bytes", "$dict"])), inner, max_size=3
        ),
    ),
    max_leaves=5,
)


@st.composite
def any_records(draw: st.DrawFn) -> Record:
    """Every field of a record in use."""

    def messages(role: str) -> tuple[Message, ...]:
        message = st.builds(
            Message,
            role=st.sampled_from([role, "system", "tool"]),
            parts=parts(odd_text, media),
            name=names,
            tool_calls=st.sampled_from([(), ({"type": "function", "function": {"name": "f", "arguments": "{}"}},)]),
            tool_call_id=names,
        )
        return tuple(draw(st.lists(message, max_size=3)))

    ends = st.lists(st.builds(StepEnd, st.integers(0, 2), st.integers(0, 2), st.none() | st.integers(0, 9)), max_size=3)
    responses = tuple(Response(messages("assistant"), tuple(draw(ends))) for _ in range(draw(st.integers(0, 4))))
    return Record(
        id=draw(odd_text),
        prompt=messages("user"),
        responses=responses,
        feedback=tuple(draw(st.lists(feedback(len(responses)), max_size=4))) if responses else (),
        context=draw(st.dictionaries(odd_text, json_values, max_size=3)),
    )


def feedback(count: int) -> st.SearchStrategy[Feedback]:
    index = st.integers(0, count - 1)
    who = {"rater": names, "criterion": names}
    span = st.builds(Span, st.integers(0, 3), st.integers(3, 9), odd_text, st.none() | numbers)
    label = st.none() | st.floats(0, 1)
    return st.one_of(
        st.builds(
            Preference, index, index, st.floats(0, 1), st.booleans(), st.none() | numbers, st.none() | numbers, **who
        ),
        st.builds(Rating, index, numbers, **who),
        st.builds(Ranking, st.lists(st.none() | st.integers(0, 5), min_size=count, max_size=count).map(tuple), **who),
        st.builds(StepLabels, index, st.lists(label, max_size=3).map(tuple), **who),
        st.builds(SpanLabels, index, st.lists(span, max_size=2).map(tuple), **who),
        st.builds(Critique, index, odd_text, **who),
    )


def _merged(found: tuple[Part, ...]) -> tuple[Part, ...]:
    """Parts as tagged text gives them back: no neighbouring or empty texts."""
    kept: list[Part] = []
    for part in found:
        if isinstance(part, Text) and kept and isinstance(kept[-1], Text):
            kept[-1] = Text(kept[-1].text + part.text)
        elif not (isinstance(part, Text) and not part.text):
            kept.append(part)
    return tuple(kept) or (Text(""),)


@st.composite
def pairs(
    draw: st.DrawFn,
    *,
    text: st.SearchStrategy[str] = odd_text,
    pictures: bool = False,
    systems: bool = True,
    margins: bool = False,
    merge: bool = False,
) -> Record:
    """A prompt and a chosen (0) and a rejected (1) answer, as outside formats hold them."""
    content = parts(text, images) if pictures else text.map(lambda said: (Text(said),))
    if merge:
        content = content.map(_merged)
    turns = [Message("system", (Text(draw(text)),))] if systems and draw(st.booleans()) else []
    turns.append(Message("user", draw(content)))
    for _ in range(draw(st.integers(0, 2))):
        turns.append(Message("assistant", draw(content)))
        turns.append(Message("user", draw(content)))
    answers = [Response((Message("assistant", draw(content)),)) for _ in range(2)]
    return Record(
        id=draw(st.text(alphabet="abc/#:", min_size=1, max_size=8)),
        prompt=tuple(turns),
        responses=tuple(answers),
        feedback=(Preference(0, 1, margin=draw(st.none() | numbers) if margins else None),),
        context={"subset": draw(st.sampled_from(["chat", "safety"])), "chosen_model": "m", "rejected_model": "n"},
    )
