"""Generators that stop at a step: the draws of whole responses cut there, fewer tokens, failures that are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from assay import testing
from assay.media import Image, Text
from assay.models.base import Continuation, StepGenerator
from assay.models.generate import LanguageModel, generator_from
from assay.records import Message, Record, Response
from assay.records.steps import Split, cut_at, lines, sentences, separator, turns
from assay.rewards.base import scores_of
from assay.scores import Scores, Status
from assay.search.beam import step_beam
from assay.search.growing import growing
from assay.search.particles import particles
from assay.search.tree import step_tree

LONG = 40


def model(backbone: Any = None, **options: Any) -> LanguageModel:
    """A tiny model that writes blanks, line breaks and rubbish, and now and then ends its turn."""
    backbone = testing.tiny_text() if backbone is None else backbone
    kind: Any = AutoModelForCausalLM if backbone.pictures is None else AutoModelForImageTextToText
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = kind.from_config(backbone.config).eval()
    torch.nn.init.normal_(module.get_output_embeddings().weight, std=0.3, generator=torch.Generator().manual_seed(2))
    return generator_from(module, backbone, **{"max_new_tokens": LONG, **options})


def cut(made: list[list[Response]], split: Split, step: int) -> list[list[tuple[Response, bool]]]:
    return [[cut_at(each, split, step) for each in row] for row in made]


SPLITS = {"blanks": separator(" "), "e": separator("e"), "behind r": separator("r", within=True), "lines": lines}


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("step", [0, 1, 3])
def test_what_stops_at_a_step_is_the_whole_response_cut_there(name: str, step: int) -> None:
    generator, split = model(), SPLITS[name]
    records = [Record.of("why?", []), Record.of("how is it?", ["because it"])]
    whole = generator.generate(records, 6, 5)
    stopped = generator.generate_steps(records, 6, 5, split=split, step=step)
    assert [[(each.response, each.whole) for each in row] for row in stopped] == cut(whole, split, step)
    assert any(not each.whole for row in stopped for each in row) or (name == "lines" and step)
    everything = generator.generate_steps(records, 6, 5)
    assert [[each.response for each in row] for row in everything] == whole
    fewer, all_of_it = (sum(each.cost.written for row in made for each in row) for made in (stopped, everything))
    assert fewer <= all_of_it
    if name == "blanks" and step < 3:
        assert fewer < 0.8 * all_of_it


def test_a_model_that_sees_stops_too(picture: Callable[..., Image]) -> None:
    generator = model(testing.tiny_idefics3(), max_new_tokens=16)
    record = Record.of([picture(64, 48), "why?"], ["it"])
    whole = generator.generate([record], 4, 1)
    stopped = generator.generate_steps([record], 4, 1, split=separator("e"), step=0)
    assert [[(each.response, each.whole) for each in row] for row in stopped] == cut(whole, separator("e"), 0)


def test_a_padding_that_is_also_the_end_does_not_hide_where_a_row_was_stopped() -> None:
    generator = model()
    tokenizer: Any = generator.backbone.tokenizer
    tokenizer.pad_token = tokenizer.eos_token
    whole = generator.generate([Record.of("why?", [])], 8, 2)
    stopped = generator.generate_steps([Record.of("why?", [])], 8, 2, split=separator("e"), step=0)
    assert [[(each.response, each.whole) for each in row] for row in stopped] == cut(whole, separator("e"), 0)


@pytest.mark.parametrize("split", [lines, sentences, separator("\n\n"), separator("ab", within=True), turns])
@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="ab .!?\n3e.g:;\u3002\"')", max_size=40), at=st.integers(0, 40))
def test_the_end_of_a_step_that_another_follows_stays_when_more_text_comes(split: Split, text: str, at: int) -> None:
    def ends(said: str) -> tuple[Any, ...]:
        return split(Response((Message("assistant", (Text(said),)),)))

    begun = ends(text[:at])
    assert ends(text)[: max(0, len(begun) - 1)] == begun[:-1]


def test_what_cannot_be_gone_on_with_says_so_beside_what_can(picture: Callable[..., Image], tmp_path: Path) -> None:
    seeing = model(testing.tiny_idefics3(), max_new_tokens=2)
    gone = Record.of([Image.from_path(tmp_path / "gone.png"), "why?"], [])
    (lost,), (fine,) = seeing.generate_steps([gone, Record.of([picture(), "why?"], [])], 1, split=lines)
    assert (lost.response, lost.status) == (None, Status.UNREADABLE_MEDIA)
    assert "gone.png" in lost.message
    assert fine.response is not None
    ((long,),) = model(max_new_tokens=10**6).generate_steps([Record.of("why?", [])], 1)
    assert long.status is Status.TOO_LONG
    with pytest.raises(ValueError, match="one response, or none"):
        seeing.generate_steps([Record.of("q", ["a", "b"])], 1)
    with pytest.raises(ValueError, match="status ok"):
        Continuation(None)


@dataclass(frozen=True)
class Whole:
    """The same generator without the gift of stopping."""

    model: LanguageModel

    def generate(self, prefixes: Any, n: int, seed: int = 0, /) -> list[list[Response]]:
        return self.model.generate(prefixes, n, seed)


def letters(records: Any) -> Scores:
    """How often an ``a`` is said, a number for each step too."""
    said = [response for record in records for response in record.responses]
    steps = tuple([torch.full((len(each.step_ends),), float(each.text.count("a"))) for each in said])
    return scores_of(records, [float(each.text.count("a")) - 0.01 * len(each.text) for each in said], steps=steps)


RECORD = Record.of("why is it?", [], id="r")
SEARCHES: dict[str, Callable[..., Any]] = {
    "best of n": lambda generator, tokens: growing(RECORD, generator, letters, n=4, tokens=tokens),
    "beam": lambda generator, tokens: step_beam(
        RECORD, generator, letters, width=2, expand=2, depth=3, split=separator(" "), tokens=tokens
    ),
    "tree": lambda generator, tokens: step_tree(
        RECORD, generator, letters, budget=6, width=2, split=separator(" "), tokens=tokens
    ),
    "particles": lambda generator, tokens: particles(
        RECORD, generator, letters, count=4, depth=3, split=separator(" "), tokens=tokens
    ),
}


@pytest.mark.parametrize("how", SEARCHES)
def test_a_search_finds_the_same_with_a_generator_that_stops_and_writes_less(how: str) -> None:
    generator = model(max_new_tokens=20)
    assert isinstance(generator, StepGenerator)
    assert not isinstance(Whole(generator), StepGenerator)
    tokenizer: Any = generator.backbone.tokenizer

    def ids(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    stopping, whole = (SEARCHES[how](each, ids) for each in (generator, Whole(generator)))
    assert stopping.responses == whole.responses
    assert stopping.values == whole.values
    assert stopping.noted == whole.noted
    assert stopping.best is not None
    assert (stopping.spent.responses, stopping.spent.calls) == (whole.spent.responses, whole.spent.calls)
    if how in ("beam", "particles"):
        assert stopping.spent.tokens < 0.7 * whole.spent.tokens


@dataclass(frozen=True)
class Failing:
    """Every draw whose number is in ``lost`` fails."""

    lost: frozenset[int]

    def generate_steps(self, prefixes: Any, n: int, seed: int = 0, /, *, split: Any = None, step: int = 0) -> Any:
        said = prefixes[0].responses[0].text if prefixes[0].responses else ""
        text = "\n".join([*said.splitlines(), *["a", "aa", "aaa"]][:3])
        whole = Response.of(text)
        good = Continuation(whole) if split is None else Continuation(*cut_at(whole, split, step))
        bad = Continuation(None, status=Status.UNAVAILABLE, message="nobody there")
        return [[bad if copy in self.lost else good for copy in range(n)] for _ in prefixes]

    def generate(self, prefixes: Any, n: int, seed: int = 0, /) -> Any:
        raise AssertionError("it was offered steps")


FAILING: list[Callable[[Any], Any]] = [
    lambda generator: growing(RECORD, generator, letters, n=8),
    lambda generator: step_beam(RECORD, generator, letters, width=2, expand=2),
    lambda generator: step_tree(RECORD, generator, letters, budget=8),
    lambda generator: particles(RECORD, generator, letters, count=4, least=1.0),
]


@pytest.mark.parametrize("search", FAILING)
def test_a_draw_that_fails_is_left_out_and_counted_and_when_all_do_the_reason_stays(search: Any) -> None:
    some = search(Failing(frozenset({1})))
    assert some.best is not None
    assert some.noted["failed"] >= 1
    assert some.noted["why"] == "unavailable: nobody there"
    none = search(Failing(frozenset(range(99))))
    assert none.best is None
    assert none.reason == "unavailable: nobody there"
    assert none.spent.responses == 0
