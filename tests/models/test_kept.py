"""What is kept between calls: later calls compute only what is new, and their states equal those of whole sequences."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_sharing import ALL, BOUND, alone, scores
from tiny_models import TEXT, Case, batch_of, group

from assay.models.base import Batch
from assay.models.families import family_of
from assay.models.kept import PrefixStore, path_of
from assay.models.sharing import encode

ids = {"ids": lambda case: case.name}


def one_by_one(batch: Batch) -> list[Batch]:
    """Each sequence of a batch as a request of its own."""
    return [Batch([[sequence]], batch.pixels) for each in batch.groups for sequence in each]


def prompt_with(case: Case, responses: list[int], seed: int, pictures: bool = True) -> Batch:
    shown = ("a", "bb") if case.picture and pictures else ()
    return batch_of(case, [group(case, 40, responses, shown, seed=seed)])


@pytest.mark.parametrize("case", ALL, **ids)
@torch.no_grad()
def test_requests_one_after_another_equal_whole_sequences(case: Case) -> None:
    batch = prompt_with(case, [5, 3, 9, 17, 2, 1], seed=3)
    expected = alone(case.build(), batch)
    model, store = case.build(), PrefixStore(least=16)
    found = torch.cat([scores(model, each, None, prefixes=store) for each in one_by_one(batch)])
    assert (found - expected).abs().max() <= BOUND
    assert store.found >= 5 * 40
    assert store.read < 2 * len(batch.groups[0]) * 17 + 60


@pytest.mark.parametrize("case", ALL, **ids)
@torch.no_grad()
def test_a_group_goes_on_from_what_another_left(case: Case) -> None:
    whole = prompt_with(case, [5, 3, 9, 17, 2, 6], seed=4)
    parts = [Batch([whole.groups[0][first : first + 2]], whole.pixels) for first in (0, 2, 4)]
    expected = alone(case.build(), whole)
    model, store = case.build(), PrefixStore(least=16)
    found = torch.cat([scores(model, each, None, prefixes=store) for each in parts])
    assert (found - expected).abs().max() <= BOUND
    assert store.found >= 2 * 40


@pytest.mark.parametrize("case", ALL, **ids)
@torch.no_grad()
def test_other_prompts_and_other_pictures_share_nothing(case: Case) -> None:
    model, store = case.build(), PrefixStore(least=16)
    for seed, pictures in ((1, True), (2, True), (2, False)):
        batch = prompt_with(case, [4, 6], seed, pictures)
        assert (scores(model, batch, None, prefixes=store) - alone(case.build(), batch)).abs().max() <= BOUND
    first = prompt_with(case, [4], 5)
    if case.picture is not None:
        sequence = first.groups[0][0]
        swapped = replace(sequence, images=tuple(reversed(sequence.images)))
        path, other = (path_of(family_of(model), each, first.pixels) for each in (sequence, swapped))
        assert len(path) == len(other)
        assert (path != other).any()


@torch.no_grad()
def test_a_deeper_beginning_is_kept_when_a_sequence_grows() -> None:
    case = TEXT[0]
    sequence = prompt_with(case, [30], seed=6).groups[0][0]
    grown = [
        Batch([[replace(sequence, ids=sequence.ids[:end], reads=torch.tensor([end - 1]), types=None)]], {})
        for end in (45, 52, 60, 70)
    ]
    model, store = case.build(), PrefixStore(least=16)
    for each in grown:
        assert (scores(model, each, None, prefixes=store) - alone(case.build(), each)).abs().max() <= BOUND
    assert store.read == 70
    assert store.found == 45 + 52 + 60


@torch.no_grad()
def test_reads_inside_the_kept_beginning_are_answered_from_it() -> None:
    case = TEXT[0]
    batch = prompt_with(case, [5, 7], seed=7)
    reading = [[replace(each, reads=torch.tensor([3, 39, each.ids.numel() - 1])) for each in batch.groups[0]]]
    both = [Batch([[each]], {}) for each in reading[0]]
    model, store = case.build(), PrefixStore(least=16)
    expected = alone(case.build(), Batch(reading, {}))
    found = torch.cat([scores(model, each, None, prefixes=store) for each in both])
    assert store.found >= 40
    assert (found - expected).abs().max() <= BOUND


@torch.no_grad()
def test_the_store_stays_within_its_bytes_and_drops_the_oldest() -> None:
    case = TEXT[0]
    model = case.build()
    measured = PrefixStore(least=16)
    scores(model, prompt_with(case, [5], seed=0), None, prefixes=measured)
    store = PrefixStore(int(2.5 * measured.bytes), least=16)
    for seed in range(6):
        scores(model, prompt_with(case, [5], seed), None, prefixes=store)
        assert 0 < store.bytes <= store.max_bytes
    before = store.found
    scores(model, prompt_with(case, [5], 5), None, prefixes=store)
    assert store.found > before
    before = store.found
    scores(model, prompt_with(case, [5], 0), None, prefixes=store)
    assert store.found == before
    nothing = PrefixStore(1, least=16)
    scores(model, prompt_with(case, [5], 0), None, prefixes=nothing)
    assert nothing.bytes == 0


@torch.no_grad()
def test_bytes_are_those_of_the_runs_that_are_held() -> None:
    case = TEXT[0]
    model, store = case.build(), PrefixStore(least=16)
    for each in one_by_one(prompt_with(case, [5, 3, 9, 17, 2], seed=3)):
        scores(model, each, None, prefixes=store)
    held, waiting = 0, list(store._roots.values())
    while waiting:
        run = waiting.pop()
        held += run.states.bytes
        waiting += run.children.values()
    assert held == store.bytes


@torch.no_grad()
def test_changed_weights_forget_what_was_kept() -> None:
    case = TEXT[0]
    model, store = case.build(), PrefixStore(least=16)
    first, second = one_by_one(prompt_with(case, [5, 3], seed=8))
    scores(model, first, None, prefixes=store)
    for weight in model.parameters():
        weight.mul_(1.1)
    found = scores(model, second, None, prefixes=store)
    assert store.found == 0
    assert (found - scores(model, second, None)).abs().max() <= BOUND


@torch.no_grad()
def test_short_beginnings_are_read_again() -> None:
    case = TEXT[0]
    model, store = case.build(), PrefixStore()
    for each in one_by_one(prompt_with(case, [5, 3], seed=8)):
        scores(model, each, None, prefixes=store)
    assert store.bytes == store.found == 0


def test_gradients_are_refused() -> None:
    case = TEXT[0]
    model = case.build()
    with pytest.raises(ValueError, match="no gradient"):
        encode(model, family_of(model), prompt_with(case, [5], 0), prefixes=PrefixStore(least=16))


@torch.no_grad()
def test_a_wrong_continuation_is_found_out_and_barred(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.models import kept

    case = TEXT[0]
    model, store = case.build(), PrefixStore(least=16)
    first, second, third = one_by_one(prompt_with(case, [5, 3, 4], seed=9))
    scores(model, first, None, prefixes=store)
    right = kept.Kept.at
    monkeypatch.setattr(kept.Kept, "at", lambda self, layer: tuple(1.5 * part for part in right(self, layer)))
    expected = scores(model, second, None)
    with pytest.warns(UserWarning, match="prompts are not kept"):
        assert (scores(model, second, None, prefixes=store) - expected).abs().max() <= BOUND
    before = store.found
    assert (scores(model, third, None, prefixes=store) - scores(model, third, None)).abs().max() <= BOUND
    assert store.found == before
    assert store.bytes == 0
