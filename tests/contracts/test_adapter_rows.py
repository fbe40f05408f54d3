"""Whatever rows come, each gets what it would get alone, in its place."""

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.adapters.rows import judge
from assay.rewards.base import scores_of
from assay.rewards.rules.judging import Abstention, Rule
from assay.scores import Status
from assay.spec import Spec

PROMPTS = ("p", "q", [{"role": "user", "content": "p"}], [{"role": "user", "content": [{"type": "image"}]}], None)
COMPLETIONS = ("", "a", "b c", [{"role": "assistant", "content": "a"}], [{"content": "x"}], 7)
rows = st.lists(st.tuples(st.sampled_from(PROMPTS), st.sampled_from(COMPLETIONS), st.sampled_from((None, 1, 2))))


def told(record, text, **_):
    """A number of all that is shown; an empty response abstains."""
    if not text:
        return Abstention(Status.EMPTY, "nothing said")
    return len(text) + 10.0 * len(record.prompt[0].text) + 100.0 * (record.context["answer"] or 0)


TOLD = Rule("told", told, Spec(needs=("answer",)))


class Lower:
    spec = Spec(better="lower", needs=("answer",))

    def __call__(self, records, /):
        scores = TOLD(records)
        return scores_of(records, scores.values, scores.status, scores.messages)


@settings(max_examples=150, deadline=None)
@given(rows)
def test_rows_together_are_rows_alone(given_rows):
    def judged(some):
        prompts, completions, answers = ([row[k] for row in some] for k in range(3))
        return judge(TOLD, prompts, completions, context={"answer": answers, "other": answers})

    together = judged(given_rows)
    alone = [judged([row])[0] for row in given_rows]
    assert [(each.value, each.status) for each in together] == [(each.value, each.status) for each in alone]
    for (prompt, completion, _), each in zip(given_rows, together, strict=True):
        assert (each.value is None) == (each.status is not Status.OK)
        unreadable = prompt is None or completion == 7 or completion == [{"content": "x"}]
        assert each.value is None or not unreadable
        assert each.status is not Status.OK or completion != ""


@settings(max_examples=30, deadline=None)
@given(rows)
def test_lower_is_better_only_turns_the_sign(given_rows):
    prompts, completions, answers = ([row[k] for row in given_rows] for k in range(3))
    plain = judge(TOLD, prompts, completions, context={"answer": answers})
    turned = judge(Lower(), prompts, completions, context={"answer": answers})
    assert [each.value and -each.value for each in turned] == [each.value for each in plain]
    assert [each.status for each in turned] == [each.status for each in plain]
