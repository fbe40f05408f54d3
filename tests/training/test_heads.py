"""Every head trains through the one loop, is saved, and is loaded again to the same scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from assay.models.condition import Condition
from assay.models.heads import AttributeHead, GaussianHead, OrdinalHead, ScalarHead, StepHead
from assay.models.heads.aggregate import mean, minimum
from assay.models.heads.conditioned import Concat
from assay.models.heads.pooling import mean_of_reads
from assay.models.reading import Where, every_response_token, last, step_ends
from assay.objectives import pairwise, pointwise, stepwise
from assay.records import Preference, Rating, Record, Response, Span, SpanLabels, StepLabels
from assay.rewards.learned import LearnedReward
from assay.scores import Scores, Status
from assay.testing import tiny_text
from assay.training import freeze
from assay.training.budgets import Constant, Epochs, Steps
from assay.training.evaluation import evaluate
from assay.training.loop import train
from assay.training.settings import Lora, Settings
from assay.training.stepwise import on_spans, throughout
from assay.training.supervision import Supervision, on_outcomes, on_pairs, on_ratings, supervise
from assay.training.terms import penalty, together

FAST = Settings(
    budget=Steps(30), schedule=Constant(), batch=8, learning_rate=3e-3, head_learning_rate=3e-2, log_every=5
)


def rated(count: int = 24) -> list[Record]:
    """Answers with a good or a bad word, long or short, rated for both."""
    rows: list[Record] = []
    for n in range(count):
        good, long = n % 2, (n // 2) % 2
        text = f"{'yes ' * (6 if long else 1)}{'good' if good else 'bad'}"
        feedback = [Rating(0, 3.0 * good, criterion="quality"), Rating(0, 2.0 * long, criterion="length")]
        rows.append(Record.of(f"question {n % 5}", [text], id=f"r{n}", feedback=feedback[: 1 + n % 3]))
    return rows


def stepped(count: int = 24, labelled: bool = True) -> list[Record]:
    """Answers of two or three steps, each right or wrong; some labels are missing."""
    rows: list[Record] = []
    for n in range(count):
        right = [(n + k) % 3 != 0 for k in range(2 + n % 2)]
        response = Response.from_steps(["good" if each else "bad" for each in right], "\n")
        labels = tuple(None if n % 4 == 1 and k == 0 else float(each) for k, each in enumerate(right))
        spans = tuple(
            Span(end - len(word), end, word)
            for end, word in zip(
                [step.offset or 0 for step in response.step_ends],
                ["good" if each else "bad" for each in right],
                strict=True,
            )
        )
        feedback = [StepLabels(0, labels), SpanLabels(0, spans)] if labelled else []
        rows.append(Record.of(f"question {n % 5}", [response], id=f"s{n}", feedback=feedback))
    return rows


def same(one: Scores, other: Scores) -> None:
    """Equal to the last bit, in every column."""
    assert one.status == other.status
    assert torch.equal(one.values.nan_to_num(-7.0), other.values.nan_to_num(-7.0))
    assert (one.std is None) == (other.std is None)
    if one.std is not None and other.std is not None:
        assert torch.equal(one.std, other.std)
    assert set(one.attributes) == set(other.attributes)
    assert all(torch.equal(column, other.attributes[name]) for name, column in one.attributes.items())
    assert (one.steps is None) == (other.steps is None)
    for ours, theirs in zip(one.steps or (), other.steps or (), strict=True):
        assert torch.equal(ours, theirs)


Make = Callable[[int], nn.Module]
CASES: dict[str, tuple[Make, Where, Supervision, Callable[[], list[Record]], str]] = {
    "scalar": (partial(ScalarHead, bias=True), last, supervise(pointwise.squared_error), rated, "loss"),
    "mean of tokens": (
        partial(ScalarHead, bias=True, norm=True, pool=mean_of_reads),
        every_response_token,
        supervise(pointwise.squared_error),
        rated,
        "loss",
    ),
    "attributes": (
        partial(AttributeHead, names=("quality", "length"), weights=(1.0, -0.5)),
        last,
        supervise(pointwise.squared_error),
        rated,
        "loss",
    ),
    "gaussian": (GaussianHead, last, supervise(pointwise.gaussian), rated, "loss"),
    "ordinal": (partial(OrdinalHead, levels=4), last, supervise(pointwise.ordinal), rated, "loss"),
    "steps": (StepHead, step_ends, supervise(stepwise.binary_cross_entropy), stepped, "accuracy"),
    "steps with classes": (
        partial(StepHead, classes=3, aggregate=minimum),
        step_ends,
        supervise(stepwise.classification),
        stepped,
        "accuracy",
    ),
    "spans": (
        partial(StepHead, classes=3, good=1, aggregate=mean),
        every_response_token,
        on_spans(stepwise.token_classification, labels={"bad": 0, "good": 1}, outside=2, at=throughout),
        stepped,
        "accuracy",
    ),
    "outcomes of steps": (
        partial(ScalarHead, bias=True),
        last,
        on_outcomes(pointwise.binary_cross_entropy, minimum),
        stepped,
        "loss",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_head_trains_saves_reloads_and_scores_the_same_to_the_bit(tmp_path: Path, name: str) -> None:
    make, read, supervision, rows, figure = CASES[name]
    records = rows()
    backbone = tiny_text()
    reward = LearnedReward(backbone, make(backbone.hidden_size), read=read)
    before = evaluate(reward, records, supervision)
    result = train(reward, records, supervision, FAST, output=tmp_path / "rm")
    after = evaluate(result.reward, records, supervision)
    assert result.status == {Status.OK: len(records)}
    if figure == "loss":
        assert after["loss"] < 0.7 * before["loss"]
    else:
        assert after[figure] > max(0.9, before[figure])
    loaded = LearnedReward.load(tmp_path / "rm")
    assert type(loaded.head) is type(reward.head)
    assert loaded.fingerprint() == result.reward.fingerprint()
    same(result.reward(records), loaded(records))


def test_a_frozen_backbone_trains_the_same_head_from_kept_states() -> None:
    records = stepped()
    ends: list[torch.Tensor] = []
    for kept in (True, False):
        backbone = tiny_text()
        reward = LearnedReward(backbone, StepHead(backbone.hidden_size), read=step_ends)
        settings = Settings(budget=Steps(5), batch=8, learning_rate=1e-2, freeze=freeze.backbone if kept else all_of_it)
        train(reward, records, supervise(stepwise.binary_cross_entropy), settings)
        ends.append(next(reward.head.parameters()).detach().clone())
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-5)


def all_of_it(reward: LearnedReward) -> list[nn.Parameter]:
    """Everything but the head and one weight that no gradient reaches, so that states are computed anew each time."""
    weights = list(reward.backbone.module.parameters())
    spare = nn.Parameter(torch.zeros(1))
    reward.backbone.module.register_parameter("spare", spare)
    return weights


def test_scores_hold_what_the_head_says_of_each_response() -> None:
    backbone = tiny_text()
    records = [*stepped(3), Record.of("no steps are marked", ["good"], id="bare")]
    scores = LearnedReward(backbone, StepHead(backbone.hidden_size), read=step_ends)(records)
    assert scores.steps is not None
    assert [len(steps) for steps in scores.steps] == [2, 3, 2, 0]
    assert scores.status[3] is not Status.OK
    assert scores.messages[3]
    for steps, value in zip(scores.steps[:3], scores.values[:3], strict=True):
        assert 0 < float(steps.min()) <= float(steps.max()) < 1
        torch.testing.assert_close(steps.prod(), value)
    spread = LearnedReward(backbone, GaussianHead(backbone.hidden_size))(records)
    assert spread.std is not None
    assert spread.std.tolist() == pytest.approx([1.0] * 4)
    named = LearnedReward(backbone, AttributeHead(backbone.hidden_size, ["quality", "length"]))(records)
    torch.testing.assert_close((named.attributes["quality"] + named.attributes["length"]) / 2, named.values)


def test_columns_survive_more_records_than_are_scored_at_once() -> None:
    backbone = tiny_text()
    reward = LearnedReward(backbone, StepHead(backbone.hidden_size), read=step_ends)
    records = stepped(70, labelled=False)
    scores = reward(records)
    assert scores.steps is not None
    assert len(scores.steps) == 70
    torch.testing.assert_close(scores.steps[69], (reward([records[69]]).steps or ())[0], rtol=0, atol=1e-5)


def test_all_steps_are_scored_as_each_prefix_alone() -> None:
    backbone = tiny_text()
    reward = LearnedReward(backbone, StepHead(backbone.hidden_size), read=step_ends)
    words = ["good", "bad", "fine"]
    whole = reward([Record.of("why?", [Response.from_steps(words)], id="whole")])
    cut = [Record.of("why?", [Response.from_steps(words[: n + 1])], id=f"c{n}") for n in range(3)]
    alone = [(each.steps or ())[0][-1] for each in (reward([record]) for record in cut)]
    torch.testing.assert_close((whole.steps or ())[0], torch.stack(alone), rtol=0, atol=1e-5)


def test_a_missing_rating_leaves_its_attribute_alone() -> None:
    backbone = tiny_text()
    reward = LearnedReward(backbone, AttributeHead(backbone.hidden_size, ["quality", "length"]))
    records = [Record.of("q", ["good"], id="a", feedback=[Rating(0, 3.0, criterion="quality")])]
    outputs = reward.outputs(reward.prepare(records).batch)
    losses = supervise(pointwise.squared_error)(outputs, records)
    assert losses.items.numel() == 1
    losses.items.sum().backward()
    head = reward.head
    assert isinstance(head, AttributeHead)
    gradient = head.linear.weight.grad
    assert gradient is not None
    assert bool((gradient[0] != 0).any())
    assert bool((gradient[1] == 0).all())


def test_pairs_under_a_criterion_train_its_attribute() -> None:
    backbone = tiny_text()
    reward = LearnedReward(backbone, AttributeHead(backbone.hidden_size, ["quality", "length"]))
    records = [
        Record.of("q", ["good", "bad bad"], id="a", feedback=[Preference(0, 1, criterion="quality")]),
        Record.of("q", ["good", "bad bad"], id="b", feedback=[Preference(1, 0, criterion="length")]),
    ]
    train(reward, records, on_pairs(pairwise.bradley_terry), FAST)
    scores = reward(records[:1])
    assert scores.attributes["quality"][0] > scores.attributes["quality"][1]
    assert scores.attributes["length"][0] < scores.attributes["length"][1]


def test_abstaining_steps_and_rows_give_no_gradient() -> None:
    backbone = tiny_text()
    reward = LearnedReward(backbone, StepHead(backbone.hidden_size), read=step_ends)
    said = Record.of(
        "q", [Response.from_steps(["good", "bad", "fine"])], id="a", feedback=[StepLabels(0, (1.0, None, None))]
    )
    bare = Record.of("q", ["no steps"], id="b", feedback=[StepLabels(0, (1.0,))])
    from assay.training.inputs import Inputs

    inputs = Inputs(reward, [said, bare])
    outputs = inputs.outputs([0, 1])
    assert outputs.steps is not None
    outputs.steps.retain_grad()
    losses = supervise(stepwise.binary_cross_entropy)(outputs, [said, bare])
    assert losses.items.numel() == 1
    assert losses.excluded == 1
    losses.items.sum().backward()
    gradient = outputs.steps.grad
    assert gradient is not None
    assert (gradient != 0).tolist() == [[True, False, False], [False, False, False]]
    assert all(bool(w.grad.isfinite().all()) for w in reward.parameters() if w.grad is not None)


@pytest.mark.parametrize("name", ["steps", "steps with classes", "spans", "gaussian", "ordinal"])
def test_a_batch_of_nothing_but_abstentions_is_no_error(name: str) -> None:
    make, read, supervision, rows, _ = CASES[name]
    backbone = tiny_text()
    reward = LearnedReward(backbone, make(backbone.hidden_size), read=read, max_length=60)
    records = rows()[:6]
    long = replace(records[0], id="long", responses=(Response.from_steps(["good " * 99, "bad"]),))
    result = train(
        reward, [*records, long], supervision, replace(FAST, batch=1, budget=Epochs(1)), evaluate=[records[1], long]
    )
    assert result.status[Status.TOO_LONG] == 1
    assert result.excluded >= 1
    assert sum(result.skipped.values()) == 1


def test_several_terms_add_up_with_their_weights() -> None:
    backbone = tiny_text()
    reward = LearnedReward(backbone, ScalarHead(backbone.hidden_size))
    records = [
        Record.of("q", ["good", "bad"], id="a", feedback=[Preference(0, 1), Rating(0, 1.0), Rating(1, 0.0)]),
        Record.of("q", ["fine", "poor"], id="b", feedback=[Preference(0, 1)]),
    ]
    outputs = reward.outputs(reward.prepare(records).batch)
    pairs, ratings = on_pairs(pairwise.bradley_terry), on_ratings(pointwise.squared_error)
    small = penalty("size", lambda found: found.values.square())
    both = together((pairs, 1.0), (ratings, 0.5), (small, 0.1))(outputs, records)
    alone = [term(outputs, records).items for term in (pairs, ratings, small)]
    torch.testing.assert_close(both.items, torch.cat([alone[0], 0.5 * alone[1], 0.1 * alone[2]]))
    assert set(both.metrics) == {"accuracy", "tied", "absolute_error", "size"}
    assert both.metrics["size"][1] == 4


def test_a_penalty_sees_only_what_was_judged() -> None:
    from assay.models.outputs import Outputs

    values = torch.tensor([1.0, math.nan, 3.0], requires_grad=True)
    losses = penalty("size", lambda found: found.values.square().mean())(Outputs(values), [])
    assert losses.items.tolist() == [5.0, 5.0]
    losses.items.mean().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1.0, 0.0, 3.0]


@pytest.mark.parametrize("objective", [pointwise.gaussian, pointwise.ordinal, stepwise.binary_cross_entropy])
def test_a_head_that_lacks_what_an_objective_needs_is_named(objective: Callable[..., torch.Tensor]) -> None:
    reward = LearnedReward(tiny_text(), ScalarHead(64))
    records = [*rated(2), *stepped(2)]
    with pytest.raises(ValueError, match=r"needs the .*, and this head gives none: use a \w+Head"):
        train(reward, records, supervise(objective), FAST)


# -- conditions ---------------------------------------------------------------------------------------------------


def users(count: int = 16) -> list[Record]:
    """One likes what the other does not; each record says who asks."""
    return [
        Record.of(
            f"question {n % 5}", ["good", "bad"], id=f"u{n}", feedback=[Preference(n % 2, 1 - n % 2)], who="ab"[n % 2]
        )
        for n in range(count)
    ]


def gap(scores: Scores) -> float:
    return float(scores.values[0] - scores.values[1])


@pytest.mark.parametrize("by", [None, Concat])
def test_a_condition_turns_a_preference_round_and_is_saved(tmp_path: Path, by: type[Concat] | None) -> None:
    backbone = tiny_text()
    head = ScalarHead(backbone.hidden_size, condition=2, **({} if by is None else {"by": by}))
    condition = Condition.of_names("who", ["a", "b"], abstains=False)
    reward = LearnedReward(backbone, head, condition=condition)
    assert reward.spec.needs == ("who",)
    result = train(reward, users(), on_pairs(pairwise.bradley_terry), FAST, output=tmp_path / "rm")
    ask = partial(Record.of, "question 1", ["good", "bad"])
    assert gap(reward([ask(who="a")])) > 0.5
    assert gap(reward([ask(who="b")])) < -0.5
    unknown = [gap(reward([record])) for record in (ask(), ask(who="c"), ask(who={"a": 0.5, "b": 0.5}))]
    assert unknown == pytest.approx([unknown[0]] * 3, abs=1e-5)
    rows = [ask(who="a"), ask(who="b"), ask()]
    loaded = LearnedReward.load(tmp_path / "rm")
    assert loaded.condition == condition
    same(result.reward(rows), loaded(rows))


def test_an_unknown_condition_abstains_where_that_is_asked_for() -> None:
    backbone = tiny_text()
    reward = LearnedReward(
        backbone,
        ScalarHead(backbone.hidden_size, condition=2),
        condition=Condition.of_names("who", ["a", "b"], abstains=True),
    )
    rows = [Record.of("q", ["x", "y"], id="a", who="a"), Record.of("q", ["x"], id="b"), Record.of("q", ["x"], who="c")]
    scores = reward(rows)
    assert scores.status == (Status.OK, Status.OK, Status.MISSING_CONTEXT, Status.MISSING_CONTEXT)
    assert "who" in scores.messages[2]
    assert "'c'" in scores.messages[3]
    assert torch.equal(scores.values[:2], reward(rows[:1]).values)


def test_a_malformed_condition_is_a_row_of_its_own() -> None:
    backbone = tiny_text()
    head = ScalarHead(backbone.hidden_size, condition=3)
    reward = LearnedReward(backbone, head, condition=Condition.of_numbers("direction", 3, abstains=False))
    rows = [Record.of("q", ["x"], id="a", direction=[1, 2]), Record.of("q", ["x"], id="b", direction=[1, 0, 2])]
    scores = reward(rows)
    assert scores.status == (Status.INVALID, Status.OK)
    assert "3 numbers" in scores.messages[0]


def test_the_population_is_the_mean_condition_of_the_training_records() -> None:
    backbone = tiny_text()
    head = ScalarHead(backbone.hidden_size, condition=2)
    reward = LearnedReward(backbone, head, condition=Condition.of_names("who", ["a", "b"], abstains=False))
    records = [record for record in users() if record.context["who"] == "a" or record.id == "u1"]
    train(reward, records, on_pairs(pairwise.bradley_terry), FAST)
    conditioning = head.front.conditioning
    assert conditioning is not None
    torch.testing.assert_close(conditioning.population, torch.tensor([8 / 9, 1 / 9]))


# -- saving -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("merge", [True, False])
def test_adapters_and_a_step_head_survive_saving(tmp_path: Path, merge: bool) -> None:
    from assay.models.hf import load_backbone

    start = tiny_text()
    start.module.save_pretrained(tmp_path / "base")
    start.tokenizer.save_pretrained(tmp_path / "base")
    backbone = load_backbone(tmp_path / "base", device="cpu", dtype="float32")
    reward = LearnedReward(backbone, StepHead(backbone.hidden_size, aggregate=mean), read=step_ends)
    settings = Settings(budget=Steps(4), batch=8, learning_rate=5e-3, lora=Lora(rank=4, merge=merge))
    records = stepped()
    result = train(reward, records, supervise(stepwise.binary_cross_entropy), settings, output=tmp_path / "rm")
    loaded = LearnedReward.load(tmp_path / "rm", device="cpu", dtype="float32")
    assert loaded.read is step_ends
    assert result.reward.read is step_ends
    assert loaded.reference == result.reward.reference
    scores, again = result.reward(records), loaded(records)
    torch.testing.assert_close(scores.values, again.values, rtol=0, atol=1e-6)
