"""The order of records: every record, balanced sources, and the same from the same seed."""

from collections import Counter

import pytest

from assay.training.order import batches, batches_balanced

KEYS = ["big"] * 20 + ["small"] * 3 + ["middle"] * 7


def test_balanced_batches_hold_equally_many_of_each_source() -> None:
    found = batches_balanced(KEYS, 6, seed=0, epoch=0)
    assert [len(batch) for batch in found] == [len(batch) for batch in batches(30, 6, seed=0, epoch=0)]
    for batch in found:
        assert set(Counter(KEYS[i] for i in batch).values()) == {2}


def test_an_uneven_batch_is_off_by_at_most_one_and_sources_take_turns() -> None:
    found = batches_balanced(KEYS, 4, seed=0, epoch=0)
    for batch in found:
        counts = Counter(KEYS[i] for i in batch)
        assert max(counts.values()) - min(counts.values()) <= 1
    total = Counter(KEYS[i] for batch in found for i in batch)
    assert max(total.values()) - min(total.values()) <= 1


def test_a_small_source_repeats_only_when_used_up() -> None:
    drawn = [i for batch in batches_balanced(KEYS, 6, seed=1, epoch=0) for i in batch if KEYS[i] == "small"]
    assert len(drawn) == 10
    for first in (0, 3, 6):
        assert len(set(drawn[first : first + 3])) == 3


def test_seed_and_epoch_decide() -> None:
    first = batches_balanced(KEYS, 6, seed=0, epoch=0)
    assert first == batches_balanced(KEYS, 6, seed=0, epoch=0)
    assert first != batches_balanced(KEYS, 6, seed=0, epoch=1)
    assert first != batches_balanced(KEYS, 6, seed=1, epoch=0)


def test_more_sources_than_places_are_refused() -> None:
    with pytest.raises(ValueError, match="3 sources"):
        batches_balanced(KEYS, 2, seed=0, epoch=0)
    assert batches_balanced([], 4, seed=0, epoch=0) == []
