"""Step labels made by completions and by search, against the exact values of a small world with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.curation.step_labels import IsRight, derived_seed, monte_carlo
from assay.curation.step_tree import Select, Visits, puct, tree_search, uct
from assay.models.base import Generator
from assay.records import Record, Response, StepLabels
from assay.records.steps import lines, split_steps, step_texts
from assay.worlds.questions import step_records

SLIP = 0.3


def right_chain(record: Record) -> tuple[str, ...]:
    labelled = {found.response: found.labels for found in record.feedback if isinstance(found, StepLabels)}
    chain = next(index for index, labels in labelled.items() if all(labels))
    return tuple(text.strip() for text in step_texts(record.responses[chain]))


@dataclass
class Reasoner:
    """Says the true steps of the questions it knows; each may go wrong with probability .3, and stays wrong."""

    chains: dict[str, tuple[str, ...]]
    calls: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    name: str = "reasoner"

    def generate(self, prefixes: Sequence[Record], n: int, seed: int = 0, /) -> list[list[Response]]:
        return [[self._one(prefix, np.random.default_rng([seed, k])) for k in range(n)] for prefix in prefixes]

    def _one(self, prefix: Record, rng: np.random.Generator) -> Response:
        chain = self.chains[prefix.id]
        text = prefix.responses[0].text if prefix.responses else ""
        said = text.split("\n") if text else []
        self.calls.append((prefix.id, len(said)))
        for step in chain[len(said) :]:
            on_track = tuple(said) == chain[: len(said)]
            said.append(step if on_track and rng.random() >= SLIP else f"perhaps {len(said)}.")
        return Response.of("\n".join(said))


def is_right(record: Record, response: Response) -> bool:
    return response.text.endswith(f"answer: {record.context['answer']}.")


def exact(record: Record, response: Response) -> list[float]:
    chain = right_chain(record)
    said = [text.strip() for text in step_texts(response)]
    good = [tuple(said[: k + 1]) == chain[: k + 1] for k in range(len(said))]
    values = [float(on_track) * (1 - SLIP) ** (len(chain) - 1 - k) for k, on_track in enumerate(good)]
    return [*values[:-1], float(is_right(record, response))]  # false reasoning may end in the right answer


def world(n: int = 2) -> tuple[list[Record], Reasoner]:
    records = step_records(n, seed=5, kinds=("compare", "exists"))
    return records, Reasoner({record.id: right_chain(record) for record in records})


def made(record: Record, rater: str) -> list[StepLabels]:
    return [found for found in record.feedback if isinstance(found, StepLabels) and found.rater == rater]


def test_values_by_completions_are_the_exact_ones() -> None:
    records, reasoner = world()
    n = 600
    label = monte_carlo(reasoner, is_right, n)
    for record in records:
        found = made(label(record), "monte-carlo")
        assert [labels.response for labels in found] == [0, 1]
        for labels, response in zip(found, record.responses, strict=True):
            truth = exact(record, response)
            assert len(labels.labels) == len(truth)
            for value, wanted in zip(labels.labels, truth, strict=True):
                assert value == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / n) ** 0.5 + 1e-9)


def test_hard_labels_say_whether_the_answer_can_still_be_reached() -> None:
    records, reasoner = world()
    label = monte_carlo(reasoner, is_right, 40, hard=True, rater="shepherd")
    for record in records:
        labelled = label(record)
        for labels, response in zip(made(labelled, "shepherd"), record.responses, strict=True):
            assert labels.labels == tuple(float(value > 0) for value in exact(record, response))
            assert labels.criterion == "reachable"
        noted = labelled.context["shepherd"]
        assert noted == {"n": 40, "seed": 0, "hard": True, "generator": "reasoner"}
        assert labelled.feedback[: len(record.feedback)] == record.feedback


def test_the_same_seed_gives_the_same_labels_in_any_order() -> None:
    records, reasoner = world(3)
    label = monte_carlo(reasoner, is_right, 5, seed=3)
    forward = [label(record) for record in records]
    backward = [label(record) for record in reversed(records)]
    assert forward == backward[::-1]
    assert forward != [monte_carlo(reasoner, is_right, 5, seed=4)(record) for record in records]
    assert derived_seed(1, "a", 2) != derived_seed(1, "a", 3)
    assert 0 <= derived_seed(1, "a") < 2**63


def test_the_last_step_is_judged_itself_and_unknown_answers_count_for_nothing() -> None:
    records, reasoner = world(1)
    steps = len(right_chain(records[0]))
    monte_carlo(reasoner, is_right, 2)(records[0])
    assert {said for _, said in reasoner.calls} == set(range(1, steps))

    def unsure(record: Record, response: Response) -> bool | None:
        return is_right(record, response) or None

    some, none = (made(monte_carlo(reasoner, judge, 30)(records[0]), "monte-carlo") for judge in (unsure, silent))
    assert {value for labels in some for value in labels.labels} == {1.0, None}
    assert {value for labels in none for value in labels.labels} == {None}


def silent(record: Record, response: Response) -> bool | None:
    del record, response
    return None


def test_responses_without_steps_are_left_alone() -> None:
    records, reasoner = world(1)
    plain = replace(records[0], responses=tuple(Response(each.messages) for each in records[0].responses))
    assert not made(monte_carlo(reasoner, is_right, 2)(plain), "monte-carlo")
    assert made(monte_carlo(reasoner, is_right, 2)(split_steps(plain)), "monte-carlo")
    with pytest.raises(ValueError, match="at least 1 completion"):
        monte_carlo(reasoner, is_right, 0)


@pytest.mark.parametrize("select", [uct, puct])
def test_a_search_finds_solutions_and_the_exact_values_of_their_steps(select: Select) -> None:
    records, reasoner = world()
    for record in records:
        found = tree_search(reasoner, is_right, lines, budget=400, width=8, select=select)(record)
        assert found.context["tree-search"]["rollouts"] <= 400
        texts = [response.text for response in found.responses]
        assert len(set(texts)) == len(texts)
        assert "\n".join(right_chain(record)) in texts
        errors: list[float] = []
        for labels, response in zip(made(found, "tree-search"), found.responses, strict=True):
            assert len(labels.labels) == len(response.step_ends)
            assert labels.labels[-1] == float(is_right(record, response))
            for value, wanted in zip(labels.labels, exact(record, response), strict=True):
                errors += [] if value is None else [abs(value - wanted)]
        assert max(errors) < 0.2
        assert float(np.mean(errors)) < 0.05


def test_a_search_keeps_to_its_budget_and_gives_the_same_again() -> None:
    records, reasoner = world(1)
    search = tree_search(reasoner, is_right, budget=10, width=4, keep=3)
    first = search(records[0])
    assert len(reasoner.calls) == 10
    assert first == search(records[0])
    assert len(first.responses) == 3
    assert first.prompt == records[0].prompt
    assert all(response.step_ends == lines(response) for response in first.responses)


def test_a_search_goes_where_it_still_learns() -> None:
    often, seldom = (Visits(0.5, visits, 100) for visits in (90, 10))
    better = Visits(0.9, 10, 100)
    for select in (uct, puct):
        assert select(seldom) > select(often)
        assert select(better) > select(seldom)


def test_a_search_that_has_seen_all_stops() -> None:
    class Certain:
        def generate(self, prefixes: Sequence[Record], n: int, seed: int = 0, /) -> list[list[Response]]:
            del seed
            return [[Response.of("one\ntwo")] * n for _ in prefixes]

    certain: Generator = Certain()
    judge: IsRight = lambda record, response: response.text == "one\ntwo"  # noqa: E731
    found = tree_search(certain, judge, budget=1000, width=4)(Record.of("q", []))
    assert found.context["tree-search"]["rollouts"] == 8
    assert found.context["tree-search"]["generator"] == "Certain"
    assert [labels.labels for labels in made(found, "tree-search")] == [(1.0, 1.0)]
    with pytest.raises(ValueError, match="at least 1"):
        tree_search(certain, judge, budget=0)
