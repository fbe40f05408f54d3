"""Rows bent out of shape: each is a sound record or one typed problem, never an exception and never a lost row."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_record_formats import ROWS

from assay.media import Audio, Image, Text, Video
from assay.records import from_rows, read
from assay.records.formats import format_named

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just(10**400),
    st.text(max_size=5),
    st.sampled_from(["<image>", "\n\nHuman: x", "data:image/png;base64,%%", "http://x", "assistant", "image"]),
    st.lists(st.one_of(st.text(max_size=3), st.integers(), st.none()), max_size=3),
    st.dictionaries(st.sampled_from(["role", "content", "type", "text", "from", "value", "path", "messages"]),
                    st.one_of(st.text(max_size=3), st.integers(), st.none(), st.just([])), max_size=3),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def bent(row: dict[str, Any], draw: st.DataObject) -> dict[str, Any]:
    row = copy.deepcopy(row)
    for _ in range(draw.draw(st.integers(1, 2))):
        path = draw.draw(st.sampled_from([place for place in places(row) if place]))
        target: Any = row
        for key in path[:-1]:
            target = target[key]
        if isinstance(target, dict) and draw.draw(st.booleans()):
            del target[path[-1]]
            if not row:
                return {"nothing": 1}
        else:
            target[path[-1]] = draw.draw(junk)
    return row


def is_sound(record: Any) -> bool:
    turns = [*record.prompt, *(message for response in record.responses for message in response.messages)]
    indices = [
        index
        for feedback in record.feedback
        for name in ("better", "worse", "response")
        if (index := getattr(feedback, name, None)) is not None
    ]
    return (
        isinstance(record.id, str)
        and all(isinstance(message.role, str) for message in turns)
        and all(isinstance(part, Text | Image | Video | Audio) for part in record.parts())
        and all(type(part.text) is str for part in record.parts() if isinstance(part, Text))
        and all(0 <= index < len(record.responses) for index in indices)
    )


@pytest.mark.parametrize(("name", "row"), ROWS)
@given(draw=st.data())
@settings(max_examples=30, deadline=None)
def test_a_bent_row_is_a_sound_record_or_one_problem(name: str, row: dict[str, Any], draw: st.DataObject) -> None:
    rows = [row, bent(row, draw), row]
    records = from_rows(rows, format=name, on_error="collect")
    found = list(records)
    joins = format_named(name).gather is not None
    assert len(found) + records.failed <= 3 if joins else len(found) + records.failed == 3
    assert len(records.problems) == records.failed <= 1
    assert found
    assert all(problem.code and problem.cause and problem.remedy for problem in records.problems)
    assert all(is_sound(record) for record in found)


def test_policies_are_two() -> None:
    with pytest.raises(ValueError, match="give 'raise' or 'collect'"):
        from_rows([ROWS[0][1]], on_error="skip")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        read("/no/such/file")
