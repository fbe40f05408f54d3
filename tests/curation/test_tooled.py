from assay.curation.tooled import with_traces
from assay.records import Preference, Record
from assay.rewards.toolbox import calculator
from assay.rewards.tools import ToolError, arithmetic

RECORD = Record.of("7 * 6?", ["7 * 6 = 42", "7 * 0 = 6", "No."], id="r", feedback=(Preference(0, 1), Preference(0, 2)))


def test_rows_hold_the_trace_and_the_place_where_it_begins():
    (row,) = with_traces(arithmetic, {"calculator": calculator})([RECORD])
    assert row.feedback == RECORD.feedback
    assert "Observation: 42" in row.responses[0].text
    (end,) = row.responses[0].step_ends
    assert (end.message, end.part, end.offset) == (0, 0, len("7 * 6 = 42"))
    assert row.responses[2].step_ends == ()


def test_a_response_whose_tool_failed_goes_with_its_feedback():
    def no_zero(text, record):
        if "0" in text:
            raise ToolError("zero")
        return calculator(text)

    (row,) = with_traces(arithmetic, {"calculator": no_zero})([RECORD])
    assert len(row.responses) == 2
    assert row.feedback == (Preference(0, 1),)
    assert "No." in row.responses[1].text
    only = Record.of("1?", ["1 + 1 = 2"], id="one")
    assert with_traces(arithmetic, {})([only]) == []
