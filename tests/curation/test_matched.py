"""Pairs matched in length, exposure or any key."""

import numpy as np
import pytest

from assay.curation.matched import characters, column, matched, not_longer, words
from assay.records import Critique, Preference, Ranking, Rating, Record

LONG, SHORT, LIKE = "one two three four five six", "one two", "uno dos"


def record(*feedback, **context) -> Record:
    return Record.of("p", [LONG, SHORT, LIKE], id="p", feedback=feedback, **context)


def test_only_pairs_of_equal_length_stay() -> None:
    given = record(Preference(0, 1), Preference(1, 2), Critique(0, "fine"), Rating(0, 2.0))
    (found,) = matched(words, 0)([given])
    assert found.feedback == (Preference(1, 2), Critique(0, "fine"))
    assert matched(words, 4)([given])[0].feedback[:2] == (Preference(0, 1), Preference(1, 2))
    assert matched(words, 0)([record(Preference(0, 1))]) == []
    assert matched(characters, 0.01, relative=True)([record(Preference(1, 2))])[0].feedback == (Preference(1, 2),)
    assert matched(characters, 0.5, relative=True)([record(Preference(0, 2))]) == []


def test_rankings_and_ratings_become_the_pairs_they_imply() -> None:
    (found,) = matched(words, 0)([record(Ranking((0, 2, 1)))])
    assert found.feedback == (Preference(2, 1),)
    (rated,) = matched(words, 0)([record(Rating(1, 4.0), Rating(2, 1.0))])
    assert rated.feedback == (Preference(1, 2, margin=3.0),)


def test_a_column_gives_each_response_its_number_and_the_unknown_goes() -> None:
    near = matched(column("exposure"), 1.0)
    assert near([record(Preference(0, 1), Preference(0, 2), exposure=[5, 4.5, 1.0])])[0].feedback == (Preference(0, 1),)
    for broken in ({}, {"exposure": "many"}, {"exposure": [1.0]}, {"exposure": [1.0, None, 2.0]}):
        assert near([record(Preference(0, 1), **broken)]) == []


def test_the_preferred_response_may_not_be_much_longer() -> None:
    assert not_longer()([record(Preference(0, 1))]) == []
    assert len(not_longer()([record(Preference(1, 0))])) == 1
    for make in (lambda: matched(words, -1), lambda: not_longer(ratio=0.0)):
        with pytest.raises(ValueError, match="must"):
            make()


def test_length_no_longer_predicts_the_winner() -> None:
    rng = np.random.default_rng(0)
    records = []
    for i in range(400):
        lengths = rng.integers(1, 30, 2)
        better = int(rng.random() > 1 / (1 + np.exp(-(lengths[0] - lengths[1]) / 4)))
        responses = [" ".join(["w"] * n) for n in lengths]
        records.append(Record.of(f"{i}", responses, id=str(i), feedback=[Preference(better, 1 - better)]))

    def longer(given) -> float:
        gaps = [words(r, r.feedback[0].better) - words(r, r.feedback[0].worse) for r in given]
        return float(np.mean([0.5 + 0.5 * np.sign(gap) for gap in gaps]))

    assert longer(records) > 0.8
    kept = matched(words, 2)(records)
    assert len(kept) > 20
    assert longer(kept) < 0.7
