"""Best of n that grows, step beam, tree search and particles: what they find, what they spend, and why they stop."""

import math
import random
from dataclasses import dataclass, replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from assay.models.generate import generator_from
from assay.records import Record, Response
from assay.records.steps import sentences
from assay.rewards.base import scores_of
from assay.scores import Scores, Status
from assay.search.beam import step_beam
from assay.search.growing import Desk, Spent, arm, at_equal_cost, growing, words
from assay.search.particles import effective_size, multinomial, normalised, particles, systematic
from assay.search.tree import step_tree
from assay.search.voting import vote
from assay.spec import Spec
from assay.testing import learned_reward, tiny_text

STEPS = 6
RECORD = Record.of("six lines, please", [], id="r")


@dataclass(frozen=True)
class Lines:
    """Writes six lines, each ``good`` with probability ``p``, else ``bad``; keeps what was said."""

    p: float = 0.3

    def generate(self, prefixes, n, seed=0, /):
        return [[self.one(prefix, random.Random(f"{seed} {copy}")) for copy in range(n)] for prefix in prefixes]

    def one(self, prefix, rng):
        said = prefix.responses[0].text.splitlines() if prefix.responses else []
        rest = ["good" if rng.random() < self.p else "bad" for _ in range(STEPS - len(said))]
        return Response.of("\n".join([*said, *rest]))


def share(records) -> Scores:
    """The good lines less the bad, with a score of each step."""
    texts = [response.text.splitlines() for record in records for response in record.responses]
    steps = tuple([torch.tensor([1.0 if line == "good" else -1.0 for line in lines]) for lines in texts])
    return scores_of(records, [float(each.sum()) for each in steps], steps=steps)


@dataclass
class Counted:
    """A reward that counts what it scores."""

    reward: object
    texts: int = 0

    def __call__(self, records):
        self.texts += sum(len(record.responses) for record in records)
        return self.reward(records)


def bad_lines(records):
    return scores_of(records, [float(r.text.count("bad")) for record in records for r in record.responses])


@dataclass(frozen=True)
class Fewer:
    """Counts bad lines; lower is better."""

    spec = Spec(better="lower")

    def __call__(self, records):
        return bad_lines(records)


def nothing(records):
    rows = sum(len(record.responses) for record in records)
    return scores_of(records, [math.nan] * rows, [Status.FAILED] * rows, ["no judge today"] * rows)


SEARCHES = [
    lambda reward, seed=0: growing(RECORD, Lines(), reward, n=12, seed=seed),
    lambda reward, seed=0: step_beam(RECORD, Lines(), reward, width=2, expand=3, seed=seed),
    lambda reward, seed=0: step_tree(RECORD, Lines(), reward, budget=24, seed=seed),
    lambda reward, seed=0: particles(RECORD, Lines(), reward, count=8, seed=seed),
]


@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_gives_whole_responses_best_first_and_counts_its_calls(search):
    reward = Counted(share)
    found = search(reward)
    values = [value for value in found.values if value is not None]
    assert found.best == found.responses[0]
    assert values == sorted(values, reverse=True)
    assert all(len(each.text.splitlines()) == STEPS for each in found.responses)
    assert [float(v) for v in share([replace(RECORD, responses=found.responses)]).values] == values
    assert found.spent.calls == reward.texts > 0
    assert found.spent.responses > 0
    assert search(share) == found
    assert search(share, 1).responses != found.responses
    trace = found.trace()
    assert trace.responses == found.responses
    assert trace.context["search"]["tokens"] == found.spent.tokens
    assert len(trace.context["search"]["values"]) == len(trace.responses)


@pytest.mark.parametrize("search", SEARCHES)
def test_without_a_judgement_nothing_is_best_and_the_reason_stays(search):
    found = search(nothing)
    assert found.best is None
    assert "no judge today" in found.reason


@pytest.mark.parametrize("search", SEARCHES)
def test_where_lower_is_better_the_lowest_is_first(search):
    found = search(Fewer())
    counts = [each.text.count("bad") for each in found.responses]
    assert counts == sorted(counts)


def test_tokens_are_those_written_behind_the_prefix():
    desk = Desk(RECORD, Lines(), share)
    desk.go_on(Response.of("good\nbad"), 3)
    assert desk.spent == Spent(tokens=12, responses=3)
    assert words("a b\nc") == 3


def test_no_text_is_scored_twice():
    reward = Counted(share)
    desk = Desk(RECORD, Lines(), reward)
    desk.values([Response.of("good"), Response.of("bad"), Response.of("good")])
    desk.values([Response.of("bad")])
    assert reward.texts == desk.spent.calls == 2


def test_growing_keeps_the_prefix():
    eight = growing(RECORD, Lines(), share, n=8)
    on = growing(eight.trace(), Lines(), share, n=16)
    at_once = growing(RECORD, Lines(), share, n=16)
    assert sorted(each.text for each in on.responses) == sorted(each.text for each in at_once.responses)
    assert on.spent.responses == 8
    assert at_once.spent.responses == 16


def test_growing_stops_where_more_is_not_worth_it():
    patient = growing(RECORD, Lines(), share, n=200, gain=0.1)
    hasty = growing(RECORD, Lines(), share, n=200, gain=0.5)
    assert hasty.noted["stopped"] == patient.noted["stopped"] == "gain"
    assert hasty.noted["gain"] < 0.5
    assert 8 <= hasty.spent.responses < patient.spent.responses < 200
    assert growing(RECORD, Lines(), share, n=20).noted["stopped"] == "n"
    assert growing(RECORD, Lines(), share, n=20, budget=30).spent.tokens == 48


def _best(found):
    return sum(each.values[0] for each in found) / len(found)


def _records(count):
    return [replace(RECORD, id=str(number)) for number in range(count)]


@pytest.mark.parametrize(
    "search",
    [
        lambda record: step_beam(record, Lines(), share, width=2, expand=4),
        lambda record: step_tree(record, Lines(), share, budget=40, width=4),
        lambda record: particles(record, Lines(), share, count=16, strength=2.0),
    ],
)
def test_steps_are_worth_more_than_best_of_n_at_the_same_cost(search):
    found = [search(record) for record in _records(20)]
    method, plain = at_equal_cost("steps", found, Lines(), share, gold=bad_lines)
    assert plain.spent.tokens >= method.spent.tokens
    assert plain.spent.tokens <= method.spent.tokens + 20 * STEPS
    assert method.value is not None
    assert plain.value is not None
    assert method.value > plain.value + 0.3
    assert method.gold == pytest.approx((STEPS - method.value) / 2)
    assert f"{method.spent.tokens:,} tokens" in str(method)
    assert f"{plain.spent.calls:,} reward calls" in str(plain)


def test_an_arm_says_for_how_many_records_nothing_was_found():
    side = arm("none", [step_beam(record, Lines(), nothing) for record in _records(2)], gold=share)
    assert (side.value, side.gold, side.empty) == (None, None, 2)
    assert "nothing for 2" in str(side)


def test_a_beam_of_one_is_greedy_and_a_bound_on_depth_still_ends_whole():
    greedy = step_beam(RECORD, Lines(0.5), share, width=1, expand=12)
    assert greedy.values == (6.0,)
    assert greedy.noted["steps"] == STEPS
    short = step_beam(RECORD, Lines(), share, width=2, expand=2, depth=2)
    assert short.noted["stopped"] == "depth"
    assert all(len(each.text.splitlines()) == STEPS for each in short.responses)


def test_the_scores_of_steps_guide_the_tree():
    plain = [step_tree(record, Lines(), share, budget=24, steps=0.0) for record in _records(10)]
    steps = [step_tree(record, Lines(), share, budget=24, steps=1.0) for record in _records(10)]
    assert [each.responses for each in plain] != [each.responses for each in steps]
    one = step_tree(RECORD, Lines(1.0), share, budget=100, width=4)
    assert one.noted == {"how": "tree", "rollouts": 4 * STEPS, "stopped": "closed"}
    assert [each.text for each in one.responses] == ["\n".join(["good"] * STEPS)]


def test_effective_size_and_resampling():
    assert effective_size([0.25] * 4) == pytest.approx(4)
    assert effective_size([1.0, 0, 0, 0]) == 1
    assert effective_size([0.0, 0.0]) == 0
    assert systematic([0.5, 0.25, 0.25, 0.0], random.Random(0)) == [0, 0, 1, 2]
    weights = [0.1, 0.6, 0.3]
    drawn = [systematic(weights, random.Random(seed)) for seed in range(400)]
    assert all(each.count(1) in (1, 2) for each in drawn)
    assert sum(each.count(0) for each in drawn) / 1200 == pytest.approx(0.1, abs=0.03)
    assert set(multinomial([0.0, 1.0, 0.0], random.Random(0))) == {1}
    assert normalised([-math.inf, 0.0]) == [0.0, 1.0]


def test_without_strength_particles_are_samples_and_weights_stay_equal():
    found = [particles(record, Lines(), share, count=16, strength=0.0) for record in _records(20)]
    good = sum(each.text.count("good") for one in found for each in one.responses) / (20 * 16 * STEPS)
    assert good == pytest.approx(0.3, abs=0.04)
    assert all(one.noted["drawn"] == [] for one in found)
    assert found[0].noted["weights"] == pytest.approx([1 / 16] * 16)


@pytest.mark.parametrize("least", [0.0, 0.5, 1.0])
def test_particles_sample_what_the_generator_tilted_by_the_reward_would(least):
    """A line is good with p e^s / (p e^s + (1 - p) e^-s)."""
    strength = 0.5
    ratio = 0.3 * math.exp(strength) / (0.3 * math.exp(strength) + 0.7 * math.exp(-strength))
    found = [particles(each, Lines(), share, count=64, strength=strength, least=least) for each in _records(10)]
    means = [
        sum(weight * each.text.count("good") for weight, each in zip(one.noted["weights"], one.responses, strict=True))
        for one in found
    ]
    assert sum(means) / 10 / STEPS == pytest.approx(ratio, abs=0.04)
    assert (len(found[0].noted["drawn"]) == STEPS) is (least == 1)
    assert (found[0].noted["drawn"] == []) is (least == 0)


def test_the_weights_of_particles_vote():
    found = particles(RECORD, Lines(), share, count=8, least=0.0)
    record = replace(RECORD, responses=found.responses)
    ballot = vote(record, found.noted["weights"], lambda text: str(text.count("good")))
    assert ballot.share is not None
    assert sum(total for _, total in ballot.totals) == pytest.approx(1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: growing(RECORD, Lines(), share, n=0),
        lambda: step_beam(RECORD, Lines(), share, width=0),
        lambda: step_tree(RECORD, Lines(), share, steps=2.0),
        lambda: particles(RECORD, Lines(), share, strength=-1.0),
    ],
)
def test_bounds_are_refused(call):
    with pytest.raises(ValueError, match=r"need|got"):
        call()


def test_a_language_model_and_a_learned_reward_search_together():
    backbone = tiny_text()
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(backbone.module.config)
    model = generator_from(module, backbone, max_new_tokens=6)
    reward = learned_reward(tiny_text())

    def ids(text):
        return len(backbone.tokenizer(text, add_special_tokens=False).input_ids)

    found = step_beam(Record.of("hello", [], id="lm"), model, reward, width=2, expand=2, tokens=ids)
    assert found.best is not None
    assert found.spent.tokens > 0
    assert step_beam(Record.of("hello", [], id="lm"), model, reward, width=2, expand=2, tokens=ids) == found


@dataclass(frozen=True)
class Sentences:
    """Says good, bad or a stop, and ends after each word with the same odds."""

    def generate(self, prefixes, n, seed=0, /):
        return [[self.one(prefix, random.Random(f"{seed} {copy}")) for copy in range(n)] for prefix in prefixes]

    def one(self, prefix, rng):
        said = prefix.responses[0].text.split() if prefix.responses else []
        while (word := rng.choices(["good", "bad", ".", ""], [0.3, 0.35, 0.2, 0.15])[0]) != "":
            said.append(word)
        return Response.of(" ".join(said))


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_an_answer_that_goes_on_is_not_given_a_second_chance_to_end(strength):
    """Words are alone in what they are and whether they are the last: odds and lengths of the tilted law are known."""

    def worth(records):
        texts = [response.text.split() for record in records for response in record.responses]
        return scores_of(records, [float(text.count("good") - text.count("bad")) for text in texts])

    up, down = 0.3 * math.exp(strength), 0.35 * math.exp(-strength)
    found = [particles(each, Sentences(), worth, count=64, strength=strength, split=sentences) for each in _records(40)]
    said = [
        (weight * text.count("good"), weight * len(text))
        for one in found
        for weight, text in zip(one.noted["weights"], (each.text.split() for each in one.responses), strict=True)
    ]
    length = sum(words for _, words in said) / 40
    assert sum(good for good, _ in said) / 40 / length == pytest.approx(up / (up + down + 0.2), abs=0.02)
    assert length == pytest.approx((up + down + 0.2) / (1 - up - down - 0.2), rel=0.08)
