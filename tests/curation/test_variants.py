"""Pairs from respellings at the corners of the hull."""

import numpy as np

from assay.curation.variants import convex_variants
from assay.records import Preference, Ranking, Rating, Record

TEXTS = ["several longer words stand here together", "other words which nobody really wanted"]


def letters(texts):
    """An embedding: how often each letter occurs."""
    return np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], dtype=float)


def test_each_copy_stands_for_its_original_in_every_pair() -> None:
    record = Record.of("p", [*TEXTS, "x"], id="p", feedback=[Preference(0, 1, margin=2.0), Preference(0, 2, tie=True)])
    (found,) = convex_variants(letters, count=4)([record])
    assert found.responses[:3] == record.responses
    copies = found.responses[3:]
    assert 2 <= len(copies) <= 8
    assert len({copy.text for copy in copies}) == len(copies)
    assert not {copy.text for copy in copies} & {*TEXTS}
    added = found.feedback[2:]
    assert found.feedback[:2] == record.feedback
    assert {item.margin for item in added} == {2.0}
    assert len(added) == len(copies)
    for item in added:
        copy, original = (item.better, 0) if item.better > 2 else (item.worse, 1)
        assert (item.better, item.worse)[item.better > 2] == 1 - original
        changed = zip(found.responses[copy].text.split(), TEXTS[original].split(), strict=True)
        assert sum(a != b for a, b in changed) == 1


def test_copies_inside_the_hull_are_left_out() -> None:
    seen: list[int] = []

    def plane(texts):
        seen.append(len(texts))
        points = [[0.1, 0.1], [4, 0], [0, 4], [-4, 0], [0, -4], [0.3, 0.2]]
        return np.array(points[: len(texts)], dtype=float)

    (found,) = convex_variants(plane)([Record.of("p", TEXTS, id="p", feedback=[Preference(0, 1)])])
    assert seen == [6, 6]
    assert len(found.responses) == 2 + 2 * 4


def test_what_is_implied_is_stated_and_what_has_no_pair_is_left() -> None:
    ranked = Record.of("p", TEXTS, id="p", feedback=[Ranking((1, 0))])
    (found,) = convex_variants(letters, count=2)([ranked])
    assert found.feedback[0] == Ranking((1, 0, *(None,) * (len(found.responses) - 2)))
    assert found.feedback[1] == Preference(1, 0)
    alone = Record.of("p", TEXTS, id="q", feedback=[Rating(0, 1.0)])
    short = Record.of("p", ["a", "b"], id="s", feedback=[Ranking((0, 1))])
    assert convex_variants(letters)([alone, short]) == [alone, short]
