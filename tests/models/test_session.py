"""A model that keeps what it computed: the same logits and draws, fewer tokens read, bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_generate_steps import Whole, model

from assay import testing
from assay.media import Image
from assay.models.base import StepGenerator
from assay.models.session import Prefixes
from assay.records import Record
from assay.records.steps import separator
from assay.rewards.base import scores_of
from assay.search.beam import step_beam
from assay.search.growing import Desk, growing

LONG = "why is it? how many are there? " * 8
CUT = separator(" ")


def logits(generator: Any, ids: torch.Tensor, cache: Any) -> torch.Tensor:
    rest = ids[None] if cache is None else ids[None, -1:]
    with torch.no_grad():
        return generator.module(input_ids=rest, past_key_values=cache).logits[0, -1]


def test_logits_behind_a_kept_prefix_are_those_of_the_whole() -> None:
    generator = model()
    kept = Prefixes(generator)
    first, longer, other = (
        generator.prefix(Record.of(LONG, said)).ids for said in ([], ["because it is so"], ["because of you"])
    )
    for ids in (first, longer, other, longer, first):
        whole, behind = logits(generator, ids, None), logits(generator, ids, kept.before(ids, 1))
        torch.testing.assert_close(behind, whole, rtol=0, atol=1e-5)
    assert kept.computed < first.numel() + 40, "what they have in common was computed once"
    assert kept.before(longer, 3).get_seq_length() == longer.numel() - 1


def test_what_is_kept_is_bounded_and_given_back() -> None:
    generator = model(max_new_tokens=2)
    session = generator.session(tokens=300)
    for number in range(6):
        session.generate([Record.of(f"{number} {LONG}", [])], 2)
        assert session.kept.held <= 300
    assert session.kept.held > 0
    session.close()
    assert session.kept.held == 0
    tiny = generator.session(tokens=5)
    assert tiny.generate([Record.of(LONG, [])], 2) == generator.generate([Record.of(LONG, [])], 2)
    assert tiny.kept.held == 0


def test_a_session_draws_what_the_model_draws() -> None:
    generator = model(max_new_tokens=12)
    session = generator.session()
    assert isinstance(session, StepGenerator)
    records = [Record.of(LONG, []), Record.of(LONG, ["because it"]), Record.of("how?", [])]
    for seed in range(3):
        assert session.generate(records, 3, seed) == generator.generate(records, 3, seed)
        stopped = [made.generate_steps(records, 3, seed, split=CUT, step=1) for made in (session, generator)]
        assert stopped[0] == stopped[1]


def test_a_model_that_sees_is_computed_as_ever(picture: Callable[..., Image]) -> None:
    seeing = model(testing.tiny_idefics3(), max_new_tokens=4)
    records = [Record.of([picture(), "why?"], []), Record.of("why?", [])]
    session = seeing.session()
    assert session.generate(records, 2) == seeing.generate(records, 2)
    assert session.kept.computed == 0


def letters(records: Any) -> Any:
    return scores_of(records, [float(each.text.count("a")) for record in records for each in record.responses])


@pytest.mark.parametrize(
    "search",
    [
        lambda record, made: growing(record, made, letters, n=6, by=2),
        lambda record, made: step_beam(record, made, letters, width=2, expand=2, depth=3, split=CUT),
    ],
)
def test_a_search_reads_its_prompt_once(search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = model(max_new_tokens=10)
    record = Record.of(LONG, [], id="r")
    asked: list[Prefixes] = []
    before = Prefixes.before

    def noted(self: Prefixes, ids: torch.Tensor, copies: int) -> Any:
        asked.append(self)
        return before(self, ids, copies)

    monkeypatch.setattr(Prefixes, "before", noted)
    found, plain = search(record, generator), search(record, Whole(generator))
    assert found.responses == plain.responses
    assert len(asked) > 2
    assert len({id(kept) for kept in asked}) == 1
    assert asked[0].computed < 2 * generator.prefix(record).ids.numel()
    assert Desk(record, generator, letters).generator is not generator
