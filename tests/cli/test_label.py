"""`assay label`: a generator's step labels from the command line."""

import json

import pytest
from typer.testing import CliRunner

from assay.cli.inputs import UsageError
from assay.cli.main import app, is_expected
from assay.records import StepLabels, read
from assay.testing import tiny_tokenizer

ADDER = """
import random
from assay.records import Response
from assay.rewards import rules

class Adder:
    '''Adds the numbers of the prompt one by one; one sum in five goes wrong.'''

    name = "adder"

    def generate(self, prefixes, n, seed=0, /):
        return [[self.one(prefix, random.Random(f"{seed} {k}")) for k in range(n)] for prefix in prefixes]

    def one(self, prefix, chance):
        said = prefix.responses[0].text.split("\\n") if prefix.responses else ["0"]
        for number in map(int, prefix.prompt[0].text.split()[len(said) - 1 :]):
            said.append(str(int(said[-1]) + number + (chance.random() < 0.2)))
        return Response.of("\\n".join(said))

right = rules.numeric_match("total")
nothing = 3
"""
ROWS = [
    {
        "id": "a",
        "prompt": "4 5 6",
        "responses": ["0\n4\n9\n15", "0\n4\n10\n16"],
        "context": {"answer": 15, "total": 15},
    },
    {"id": "b", "prompt": "1 2", "responses": ["0\n1\n3"], "context": {"answer": 3, "total": 3}},
]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "adder.py").write_text(ADDER)
    return tmp_path


def label(place, *options, generator="adder.py:Adder"):
    arguments = ["label", place / "data.jsonl", "--generator", place / generator, "-o", place / "steps.jsonl", *options]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def labels(place):
    return {
        (record.id, item.response): list(item.labels)
        for record in read(place / "steps.jsonl")
        for item in record.feedback
        if isinstance(item, StepLabels)
    }


def test_a_step_is_worth_what_is_reached_from_it(place) -> None:
    done = label(place, "--n", 400, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    facts = json.loads(done.stdout)
    assert (facts["labelled"], facts["records_without_labels"]) == (11, 0)
    found = labels(place)
    assert found["a", 0] == pytest.approx([0.8**3, 0.8**2, 0.8, 1.0], abs=0.08)
    assert found["a", 1] == pytest.approx([0.8**3, 0.8**2, 0.0, 0.0], abs=0.08)
    again = label(place, "--n", 400, "--json")
    assert json.loads(again.stdout)["mean"] == facts["mean"]
    other = label(place, "--n", 10)
    assert "choose another name" in str(other.exception)


def test_hard_labels_and_a_judge_of_ones_own(place) -> None:
    assert label(place, "--n", 60, "--hard", "--right", f"{place}/adder.py:right").exit_code == 0
    assert labels(place)["a", 1] == [1.0, 1.0, 0.0, 0.0]


def test_a_tree_writes_the_solutions_itself(place) -> None:
    done = label(place, "--tree", "--n", 4, "--budget", 32, "--keep", 3)
    assert done.exit_code == 0, (done.output, done.exception)
    found = list(read(place / "steps.jsonl"))
    assert all(1 <= len(record.responses) <= 3 for record in found)
    assert all(set(values) - {None} for values in labels(place).values())


def test_a_language_model_labels_too(place) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(place / "model")
    tokenizer.save_pretrained(place / "model")
    done = label(place, "--n", 2, "--max-new-tokens", 3, generator="model")
    assert done.exit_code == 0, (done.output, done.exception)
    assert labels(place)["a", 0][-1] == 1.0
    assert labels(place)["a", 1][-1] == 0.0


def test_a_dry_run_counts_and_writes_nothing(place) -> None:
    done = label(place, "--n", 5, "--dry-run", "--json")
    assert json.loads(done.stdout)["rollouts"] == 5 * (3 + 3 + 2)
    assert not (place / "steps.jsonl").exists()


def test_records_without_a_label_are_counted(place) -> None:
    done = label(place, "--answer", "nowhere", "--n", 2)
    assert done.exit_code == 1
    assert "no label for 2 records: could not judge: record a has no column 'nowhere'" in done.stdout
    assert label(place, "--answer", "nowhere", "--n", 2, "--max-errors", 2).exit_code == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--split", "words"], "--split words"), (["--tree", "--hard"], "--hard")],
)
def test_what_does_not_fit_is_refused(place, options, told) -> None:
    done = label(place, *options)
    assert isinstance(done.exception, UsageError)
    assert told in str(done.exception)
    unfit = label(place, generator="adder.py:nothing")
    assert is_expected(unfit.exception)
    assert "is no generator" in str(unfit.exception)
