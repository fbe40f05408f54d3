import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.curation.filters import FilterError, keep, keep_columns, keep_responses
from assay.records import Critique, Preference, Ranking, Rating, Record, Span, SpanLabels, StepLabels
from assay.scores import Scores, Status


def scores():
    return Scores(
        values=torch.tensor([0.1, 0.5, 0.9, math.nan]),
        group=torch.arange(4),
        ids=("a/0", "b/0", "c/0", "d/0"),
        status=(Status.OK, Status.OK, Status.OK, Status.TIMEOUT),
        std=torch.tensor([0.3, 0.1, 0.2, math.nan]),
        attributes={"clarity": torch.tensor([1.0, 2.0, math.nan, 4.0]), "odd name": torch.ones(4)},
    )


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("value > 0.3", [1, 2]),
        ("value>0.3", [1, 2]),
        ("0.5 <= value", [1, 2]),
        ("value != 0.5", [0, 2]),
        ("value == 0.5", [1]),
        ("0.2 < value <= 0.6", [1]),
        ("value > .3 and std < 0.15", [1]),
        ("value < 0.2 or std < 0.15", [0, 1]),
        ("value > -1e-3", [0, 1, 2]),
        ("value > std", [1, 2]),
        ("not value > 0.3", [0]),
        ("not (value < 0.2 or value > 0.8)", [1]),
        ("status == ok", [0, 1, 2]),
        ("status != ok", [3]),
        ("status == 'timeout'", [3]),
        ('"ok" == status', [0, 1, 2]),
        ("clarity > 1", [1, 3]),
        ("clarity > 1 or value > 0.8", [1, 2, 3]),
        ("`odd name` == 1 and value < 0.2", [0]),
        ("value > 0.8 or value < 0.2 and clarity == 2", [2]),
        ("(value > 0.8 or value < 0.2) and clarity == 1", [0]),
    ],
)
def test_what_an_expression_keeps(expression, kept):
    assert keep(expression)(scores()).nonzero().flatten().tolist() == kept


@pytest.mark.parametrize(
    "expression",
    [
        "", "value", "value >", "> 3", "value > 0.3 value", "value > 0.3 and", "(value > 1", "value > 1)", "value = 1",
        "value > 'high'", "status > ok", "status == fine", "status == status", "and", "not", "value > and",
        "__import__('os')", "value > 1; value", "value + 1 > 2", "value.x > 1", "lambda: 1", "value > 1 if 1", "\\",
        "(" * 1000 + "value > 1", "not " * 1000 + "value > 1",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(expression):
    with pytest.raises(FilterError, match=r"character \d+.*write for example"):
        keep(expression)


@given(st.text(max_size=30) | st.text("valuestdokn ()<>=!'0.3", max_size=25))
def test_any_text_is_read_or_refused_and_never_run(expression):
    try:
        found = keep(expression)
    except FilterError:
        return
    assert all(name in expression for name in found.names)


def test_a_column_that_the_scores_lack_is_named():
    with pytest.raises(FilterError, match="no 'grace'; they have clarity"):
        keep("grace > 1")(scores())
    with pytest.raises(FilterError, match="gives no std"):
        keep("std > 1")(scores().replace(std=None))


def test_a_filter_prints_itself():
    assert repr(keep("value > 0.3")) == "keep('value > 0.3')"


def test_feedback_follows_the_responses_that_stay():
    record = Record.of(
        "q",
        ["a", "b", "c"],
        id="r",
        feedback=[
            Preference(2, 0),
            Preference(0, 1),
            Rating(2, 5.0),
            Rating(1, 1.0),
            Ranking((2, 1, 0)),
            StepLabels(0, (1.0,)),
            SpanLabels(1, (Span(0, 1, "bad"),)),
            Critique(2, "fine"),
        ],
        answer="x",
    )
    kept = keep_responses(record, [2, 0])
    assert [response.text for response in kept.responses] == ["c", "a"]
    assert kept.feedback == (
        Preference(0, 1),
        Rating(0, 5.0),
        Ranking((0, 2)),
        StepLabels(1, (1.0,)),
        Critique(0, "fine"),
    )
    assert kept.context == record.context
    assert keep_responses(record, [1]).feedback == (Rating(0, 1.0), SpanLabels(0, (Span(0, 1, "bad"),)))


NAMES = st.sampled_from(["value", "std", "`a b`"])
OPERANDS = st.one_of(NAMES, st.integers(-2, 2).map(str))
COMPARISONS = st.one_of(
    st.tuples(NAMES, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), OPERANDS).map(" ".join),
    st.sampled_from(["status == ok", "status != timeout"]),
)
EXPRESSIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda each: f"({' '.join(each)})"),
        inner.map(lambda text: f"not ({text})"),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.lists(st.tuples(*[st.sampled_from([None, -1.0, 0.0, 1.0])] * 3), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_columns_are_filtered_as_rows_are(expression, cells):
    value, std, other = zip(*cells, strict=True)
    statuses = [Status.TIMEOUT if each is None else Status.OK for each in value]
    rows = [
        {"value": v, "std": s, "a b": o, "status": str(status)}
        for (v, s, o), status in zip(cells, statuses, strict=True)
    ]
    columns = {
        name: np.array([np.nan if cell is None else cell for cell in column])
        for name, column in (("value", value), ("std", std), ("a b", other))
    }
    columns["status"] = np.array([list(Status).index(status) for status in statuses], dtype=np.uint8)
    expected = [keep(expression).test(row) is True for row in rows]
    assert keep_columns(expression, list(columns))(columns).tolist() == expected


def test_a_filter_of_columns_names_what_is_missing():
    with pytest.raises(FilterError, match="no column 'nothing'; there are status, value"):
        keep_columns("nothing > 1", ["value", "status"])
    with pytest.raises(FilterError, match="names no column"):
        keep_columns("1 < 2", ["value"])
