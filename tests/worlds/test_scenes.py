import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.worlds.scenes import (
    COLOURS,
    GRID,
    SHAPES,
    SIGN,
    WORDS,
    Counts,
    Exists,
    Reads,
    Relates,
    Scene,
    Thing,
    count_of,
    facts,
    holds,
    named,
    picture,
    render,
    sample_scene,
)

RED_CIRCLE = Thing("circle", "red", "large", 0, 1)
BLUE_RING = Thing("ring", "blue", "small", 2, 1)
RED_CROSS = Thing("cross", "red", "large", 2, 3)
SIGN_7 = Thing(SIGN, "green", "large", 3, 0, "7")
SCENE = Scene((RED_CIRCLE, BLUE_RING, RED_CROSS, SIGN_7))


@st.composite
def scenes(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return sample_scene(rng, (1, 6), draw(st.lists(st.sampled_from([*WORDS, "0", "9"]), max_size=2)))


@pytest.mark.parametrize(
    ("fact", "truth"),
    [
        (Exists("circle", "red"), True),
        (Exists("circle", "blue"), False),
        (Relates(named(RED_CIRCLE), "above", named(BLUE_RING)), True),
        (Relates(named(BLUE_RING), "below", named(RED_CIRCLE)), True),
        (Relates(named(RED_CIRCLE), "left of", named(BLUE_RING)), False),  # the same column
        (Relates(named(RED_CIRCLE), "right of", named(BLUE_RING)), False),
        (Relates(named(RED_CIRCLE), "left of", named(RED_CROSS)), True),
        (Relates(named(RED_CIRCLE), "above", Exists("ring", "red")), False),  # no such ring
        (Counts("red", 2), True),
        (Counts("red", 1), False),
        (Counts("square", 0), True),
        (Counts("green", 0), True),  # a sign is not counted
        (Reads("7"), True),
        (Reads("8"), False),
    ],
)
def test_truth(fact, truth):
    assert holds(SCENE, fact) is truth


@given(scenes())
def test_every_fact_holds_and_no_pair_stands_both_ways(scene):
    stated = facts(scene)
    assert len(set(stated)) == len(stated)
    for fact in stated:
        assert holds(scene, fact)
        if isinstance(fact, Relates):
            assert not holds(scene, Relates(fact.second, fact.relation, fact.first))
        if isinstance(fact, Counts):
            assert not holds(scene, Counts(fact.what, fact.number + 1))
    shapes = scene.shapes
    pairs = sum(a.row != b.row for a in shapes for b in shapes) + sum(a.col != b.col for a in shapes for b in shapes)
    assert sum(isinstance(fact, Relates) for fact in stated) == pairs


@given(scenes())
def test_sampled_scenes_are_unambiguous(scene):
    cells = [(thing.row, thing.col) for thing in scene.things]
    assert cells == sorted(set(cells))
    assert all(0 <= row < GRID and 0 <= col < GRID for row, col in cells)
    kinds = [named(thing) for thing in scene.shapes]
    assert len(set(kinds)) == len(kinds)
    assert sum(count_of(scene, shape) for shape in SHAPES) == len(kinds)
    assert sum(count_of(scene, colour) for colour in COLOURS) == len(kinds)
    assert Scene.from_dict(scene.to_dict()) == scene


def test_the_seed_decides():
    first, again, other = (sample_scene(np.random.default_rng(seed), 4, ["CAT"]) for seed in (1, 1, 2))
    assert first == again != other
    assert np.array_equal(render(first), render(again))
    assert picture(first).content_hash == picture(again).content_hash


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        sample_scene(np.random.default_rng(0), 16, ["1"])


@pytest.mark.parametrize("cell", [12, 24, 56])
def test_things_are_drawn_in_their_cell_in_their_colour(cell):
    pixels = render(SCENE, cell).reshape(GRID, cell, GRID, cell, 3).swapaxes(1, 2)
    for row in range(GRID):
        for col in range(GRID):
            here = [thing for thing in SCENE.things if (thing.row, thing.col) == (row, col)]
            inked = (pixels[row, col] != 255).any()
            assert inked == bool(here)
            for thing in here:
                distance = np.abs(pixels[row, col].astype(int) - COLOURS[thing.colour]).sum(axis=-1)
                assert distance.min() == 0


def test_shapes_sizes_and_texts_can_be_told_apart():
    things = [Thing(shape, "red", size, 0, 0) for shape in SHAPES for size in ("small", "large")]
    things += [Thing(SIGN, "red", "large", 0, 0, text) for text in (*WORDS, *"0123456789")]
    drawn = [render(Scene((thing,)))[:12, :12, 1].astype(int) for thing in things]
    for i, first in enumerate(drawn):
        for second in drawn[:i]:
            assert np.abs(first - second).sum() > 2 * 225  # at least two full pixels


def test_a_triangle_points_up_and_a_ring_is_hollow():
    triangle = render(Scene((Thing("triangle", "blue", "large", 0, 0),)), 48)[:48, :48, 0] < 128
    assert triangle[:24].sum() < 0.5 * triangle[24:].sum()
    ring = render(Scene((Thing("ring", "blue", "large", 0, 0),)), 48)[:48, :48, 0] < 128
    assert not ring[24, 24]
    assert ring[24].sum() > 10


def test_backgrounds():
    scene = Scene((RED_CIRCLE,), "black")
    assert render(scene)[0, 0].tolist() == [0, 0, 0]
    assert render(scene)[6, 18].tolist() == list(COLOURS["red"])


def test_two_thousand_pictures_a_second():
    rng = np.random.default_rng(0)
    render(sample_scene(rng))
    start = time.process_time()
    for _ in range(1000):
        assert render(sample_scene(rng)).shape == (48, 48, 3)
    assert 1000 / (time.process_time() - start) > 2000
