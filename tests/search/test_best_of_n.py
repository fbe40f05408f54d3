import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.records import Rating, Record
from assay.rewards import rules
from assay.rewards.base import Spec, scores_of
from assay.scores import Status
from assay.search.best_of_n import Pick, Picks, pick


@dataclass(frozen=True)
class Given:
    """Scores taken from the text of the responses; `-` cannot be judged."""

    better: str = "higher"

    @property
    def spec(self):
        return Spec(better=self.better)

    def __call__(self, records):
        texts = [response.text for record in records for response in record.responses]
        values = torch.tensor([math.nan if text == "-" else float(text) for text in texts])
        scores = scores_of(records, torch.nan_to_num(values))
        return scores.abstain(values.isnan(), Status.REFUSED, "a dash")


def record(*values, name="r"):
    return Record.of("q", [str(value) for value in values], id=name)


def test_the_best_response_is_chosen_and_ties_are_counted():
    picks = pick(Given(), [record(1, 3, 2, name="a"), record(5, "-", 5, name="b"), record("-", "-", name="c")], batch=2)
    assert [(choice.record, choice.index, choice.value, choice.ties) for choice in picks] == [
        ("a", 1, 3.0, 1),
        ("b", 0, 5.0, 2),
        ("c", None, None, 0),
    ]
    assert picks.tied == 1
    assert [choice.record for choice in picks.unjudged] == ["c"]
    assert picks.unjudged[0].reason == "refused: a dash"
    assert picks.mean_best == (3 + 5) / 2
    assert picks.mean_any == ((1 + 3 + 2) / 3 + (5 + 5) / 2) / 2


def test_only_the_first_n_responses_are_considered():
    assert pick(Given(), [record(1, 2, 9)], n=2).picks[0].values == (1.0, 2.0)
    with pytest.raises(ValueError, match="n of at least 1"):
        pick(Given(), [record(1)], n=0)


def test_where_lower_is_better_the_lowest_is_chosen():
    picks = pick(Given("lower"), [record(3, 1, 2)])
    assert picks.picks[0].index == 1
    assert picks.expected_best(3) == 1.0
    assert picks.expected_best(1) == 2.0


def test_a_record_without_responses_is_reported():
    assert pick(Given(), [record()]).picks == (Pick("r", None, 0, (), "empty: no responses"),)


def test_a_record_that_raises_does_not_stop_the_others():
    picks = pick(Given(), [record(1, name="a"), record("broken", 2, name="b"), record(2, name="c")])
    assert [choice.index for choice in picks] == [0, None, 0]
    assert "could not convert" in picks.picks[1].reason


def test_feedback_never_reaches_the_choice():
    rated = replace(record(1, 2), feedback=(Rating(0, 1.0),))

    def looking(records):
        assert all(not seen.feedback for seen in records)
        return Given()(records)

    assert pick(looking, [rated]).picks[0].index == 1


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=6), st.data())
def test_the_expected_best_is_the_mean_over_all_draws(values, data):
    k = data.draw(st.integers(1, len(values)))
    draws = [max(draw) for draw in itertools.combinations(values, k)]
    assert pick(Given(), [record(*values)]).expected_best(k) == pytest.approx(sum(draws) / len(draws))


def test_the_expected_best_leaves_out_records_with_too_few_scores():
    picks = pick(Given(), [record(1, 2), record(1, "-", name="s")])
    assert picks.expected_best(2) == 2.0
    assert picks.expected_best(3) is None
    assert Picks(()).mean_best is None
    with pytest.raises(ValueError, match="at least 1"):
        picks.expected_best(0)


def test_a_rule_chooses_too():
    assert pick(rules.exact_match(), [Record.of("q", ["no", "yes"], id="r", answer="yes")]).picks[0].index == 1
