import importlib.util
import linecache
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial

import pytest
import torch

from assay import transforms
from assay.records import Rating, Record
from assay.rewards import rules
from assay.rewards.base import ContractError, Spec, chain, combine, fingerprint, score, scores_of, spec_of
from assay.rewards.batches import batched, score_each
from assay.scores import Scores, Status

RECORDS = [
    Record.of("q", ["one two", "three"], id="a", feedback=[Rating(0, 1.0)], answer="three", secret="s"),
    Record.of("q", ["four"], id="b", answer="five"),
]


def constant(records):
    return scores_of(records, [0.5] * sum(len(record.responses) for record in records))


def test_a_plain_function_is_a_reward():
    assert score(constant, RECORDS).values.tolist() == [0.5, 0.5, 0.5]
    assert spec_of(constant) == Spec()


@pytest.mark.parametrize(
    ("returned", "match"),
    [
        (lambda records: torch.ones(3), "returned a Tensor, not Scores"),
        (lambda records: constant(records[:1]), "2 rows for 3"),
        (lambda records: constant(records[::-1]), "another order"),
        (lambda records: constant(records).replace(group=torch.zeros(3)), "another order"),
    ],
)
def test_a_reward_is_held_to_one_row_a_response(returned, match):
    with pytest.raises(ContractError, match=match):
        score(returned, RECORDS)


def test_a_spec_of_another_type_is_refused():
    @dataclass(frozen=True)
    class Odd:
        spec: str = "high"

    with pytest.raises(ContractError, match="not an assay"):
        spec_of(Odd())


def test_a_spec_with_low_above_high_is_refused():
    with pytest.raises(ValueError, match="above its high"):
        Spec(low=1, high=0)


@dataclass(frozen=True)
class Looking:
    needs: tuple[str, ...] = ()

    @property
    def spec(self):
        return Spec(needs=self.needs)

    def __call__(self, records):
        seen = [float(len(record.feedback) + len(record.context)) for record in records for _ in record.responses]
        return scores_of(records, seen)


def test_a_reward_sees_no_feedback_and_only_the_columns_it_needs():
    assert score(Looking(), RECORDS).values.tolist() == [0.0, 0.0, 0.0]
    assert score(Looking(("answer",)), RECORDS).values.tolist() == [1.0, 1.0, 1.0]
    both = combine(Looking(("answer", "secret")), Looking(), by=transforms.weighted_sum(1.0, 100.0))
    assert both.spec.needs == ("answer", "secret")
    assert score(both, RECORDS).values.tolist() == [2.0, 2.0, 1.0]


def test_a_composition_prints_the_recipe_that_made_it():
    reward = combine(
        chain(rules.length(per_words=200), transforms.clip(0, 1)),
        constant,
        by=transforms.weighted_sum(1.0, -0.2),
        abstain=transforms.all_abstain,
    )
    recipe = (
        "combine(chain(length(per_words=200), clip(low=0, high=1)), constant, "
        "by=weighted_sum(1.0, -0.2), abstain=all_abstain)"
    )
    assert repr(reward) == recipe
    names = {"combine": combine, "chain": chain, "constant": constant}
    scope = (
        names | {n: getattr(rules, n) for n in rules.__all__} | {n: getattr(transforms, n) for n in transforms.__all__}
    )
    rebuilt = eval(recipe, scope)
    assert rebuilt == reward
    assert fingerprint(rebuilt) == fingerprint(reward)


class Odd:
    def __call__(self, records):
        return constant(records)


def test_a_recipe_is_one_line_without_addresses():
    parts = [torch.nn.Sequential(torch.nn.Linear(1, 1)), partial(offset, amount=2), Odd(), Odd().__call__, str.strip]
    for part in parts:
        printed = repr(chain(part))
        assert "\n" not in printed
        assert " at 0x" not in printed
    assert repr(chain(partial(offset, amount=2))) == "chain(partial(offset, amount=2))"
    assert repr(chain(str.strip)) == "chain(str.strip)"


def test_an_unknown_transform_leaves_no_claim_about_the_range():
    spec = chain(rules.length(per_words=1), lambda scores: scores).spec
    assert (spec.low, spec.high, spec.unit) == (None, None, "score")


def test_a_range_is_declared_only_where_no_row_lacks_a_member():
    members = rules.exact_match(), rules.length(per_words=1)
    strict = combine(*members, by=transforms.weighted_sum(1.0, -1.0))
    assert strict.spec.high == 1.0
    lenient = combine(*members, by=transforms.weighted_sum(1.0, -1.0), abstain=transforms.all_abstain)
    assert (lenient.spec.low, lenient.spec.high) == (None, None)


def test_combine_needs_a_reward():
    with pytest.raises(ValueError, match="at least one"):
        combine(by=transforms.mean())


def offset(amount):
    def shifted(records):
        return constant(records).with_values(constant(records).values + amount)

    return shifted


WEIGHT = torch.tensor([1.0])


def weighted(records):
    return constant(records).with_values(constant(records).values * WEIGHT)


def test_a_fingerprint_changes_with_arguments_closures_defaults_and_named_globals(monkeypatch):
    prints = [
        fingerprint(rules.length(per_words=1)),
        fingerprint(rules.length(per_words=2)),
        fingerprint(rules.length(per_characters=1)),
        fingerprint(offset(1)),
        fingerprint(offset(2)),
        fingerprint(partial(offset, amount=1)),
        fingerprint(lambda records: 1), fingerprint(lambda records: 2),
        fingerprint(combine(constant, by=transforms.mean())),
        fingerprint(combine(constant, by=transforms.mean(), abstain=transforms.all_abstain)),
        fingerprint(chain(constant, transforms.clip(0, 1))),
        fingerprint(chain(constant, transforms.clip(0, 2))),
        fingerprint(torch.nn.Linear(1, 1)),
        fingerprint(weighted),
    ]  # fmt: skip
    assert len(set(prints)) == len(prints)
    before = fingerprint(weighted)
    monkeypatch.setitem(globals(), "WEIGHT", torch.tensor([2.0]))
    assert fingerprint(weighted) != before


def test_a_fingerprint_tells_dtypes_and_half_precision_weights_apart():
    layer = torch.nn.Linear(2, 2)
    half = torch.nn.Linear(2, 2).to(torch.bfloat16)
    half.load_state_dict({name: tensor.bfloat16() for name, tensor in layer.state_dict().items()})
    assert fingerprint(layer) != fingerprint(half)
    assert fingerprint(half) == fingerprint(half)


def test_what_has_no_stable_description_has_no_fingerprint():
    with pytest.raises(TypeError, match="no stable fingerprint"):
        fingerprint(object())


def test_a_recursive_function_has_a_fingerprint():
    def down(n):
        return 0 if n == 0 else down(n - 1)

    assert fingerprint(down) == fingerprint(down)


MINE = """
from assay import transforms
from assay.rewards import rules
from assay.rewards.base import chain, combine, fingerprint, scores_of

GAIN = 2.0

def helper(record):
    return GAIN * len(record.responses)

def mine(records):
    return scores_of(records, [helper(record) for record in records for _ in record.responses])

reward = combine(chain(rules.length(per_words=9), transforms.clip(0, 1)), mine, by=transforms.mean())
"""


def loaded(path, source):
    path.write_text(source)
    linecache.clearcache()
    spec = importlib.util.spec_from_file_location("mine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reward


def test_a_fingerprint_is_the_same_in_another_process_and_changes_with_the_code_behind_it(tmp_path):
    path = tmp_path / "mine.py"
    here = fingerprint(loaded(path, MINE))
    command = [sys.executable, "-c", "import mine; print(mine.fingerprint(mine.reward))"]
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    there = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert there.strip() == here
    assert fingerprint(loaded(path, MINE.replace("GAIN = 2.0", "GAIN = 3.0"))) != here
    assert fingerprint(loaded(path, MINE.replace("GAIN * len", "-GAIN * len"))) != here
    assert fingerprint(loaded(path, MINE)) == here


def test_batches_never_split_a_record():
    records = [Record.of("q", ["x"] * size, id=f"r{i}") for i, size in enumerate([2, 1, 5, 1, 1])]
    assert [[record.id for record in batch] for batch in batched(records, 3)] == [["r0", "r1"], ["r2"], ["r3", "r4"]]
    with pytest.raises(ValueError, match="at least 1"):
        list(batched(records, 0))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("no luck"), Status.FAILED),
        (MemoryError("too big"), Status.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("too big"), Status.OUT_OF_MEMORY),
        (TimeoutError("too slow"), Status.TIMEOUT),
    ],
)
def test_only_the_record_that_raises_fails(error, status):
    def picky(records):
        if any(record.id == "bad" for record in records):
            raise error
        return constant(records)

    records = [RECORDS[0], Record.of("q", ["x", "y"], id="bad"), RECORDS[1]]
    scores = score_each(picky, records)
    assert scores.ids == ("a/0", "a/1", "bad/0", "bad/1", "b/0")
    assert scores.status == (Status.OK, Status.OK, status, status, Status.OK)
    assert str(error) in scores.messages[2]
    assert scores.group.tolist() == [0, 0, 1, 1, 2]


def test_a_broken_contract_is_nobodys_row():
    with pytest.raises(ContractError):
        score_each(lambda records: Scores.concatenate([]), RECORDS)


def test_scoring_in_batches_builds_no_graph():
    weight = torch.ones(1, requires_grad=True)

    def learned(records):
        scores = constant(records)
        return scores.with_values(scores.values * weight)

    assert not score_each(learned, RECORDS).values.requires_grad


def test_rewards_and_transforms_are_found_where_the_guide_says():
    code = (
        "import assay\nfrom assay import rewards, transforms\n"
        "short = rewards.rules.length(per_words=200)\n"
        "print(assay.chain(short, transforms.log_sigmoid(0.0)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "chain(length(per_words=200), log_sigmoid(reference=0.0))"
