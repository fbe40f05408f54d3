from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.media import Image, Text
from assay.perturb import blank, noise, swapped
from assay.perturb.perturbed import donors
from assay.perturb.pictures import prompt_pictures
from assay.records import Message, Preference, Record


def picture(value: int, size: tuple[int, int] = (8, 6)) -> Image:
    return Image.from_pil(PIL.Image.new("RGB", size, (value, 0, 0)))


def record(name: str, *pictures: Image) -> Record:
    return Record.of([*pictures, f"What is {name}?"], ["yes", "no"], id=name, feedback=[Preference(0, 1)], scene=name)


PERTURBATIONS = [blank, noise, swapped]


@pytest.mark.parametrize("perturb", PERTURBATIONS)
def test_all_but_the_picture_stays(perturb):
    records = [record(f"r{i}", picture(i)) for i in range(7)]
    result = perturb(records, seed=3)
    assert result.changed == (True,) * 7
    assert "7 of 7" in result.note
    for old, new in zip(records, result.records, strict=True):
        assert (new.id, new.responses, new.feedback, new.context) == (old.id, old.responses, old.feedback, old.context)
        assert new.prompt[0].text == old.prompt[0].text
        assert prompt_pictures(new)[0].content_hash != prompt_pictures(old)[0].content_hash
        assert prompt_pictures(new)[0].size == prompt_pictures(old)[0].size


@pytest.mark.parametrize("perturb", PERTURBATIONS)
def test_impossible_records_are_reported_with_a_reason(perturb, tmp_path: Path):
    missing = record("missing", Image.from_path(tmp_path / "gone.png"))
    records = [record("a", picture(1)), record("none"), record("b", picture(2)), missing]
    result = perturb(records)
    assert result.changed == (True, False, True, False)
    assert result.rows == (0, 2)
    assert result.records[1] == records[1]
    assert result.reasons == ("", "no picture in the prompt", "", "missing_file")
    assert "2 of 4" in result.note
    assert "1 (missing_file)" in result.note


def test_pictures_of_responses_are_not_touched():
    record = Record.of("draw", [picture(1), picture(2)], id="t2i")
    for perturb in PERTURBATIONS:
        result = perturb([record])
        assert result.records == (record,)
        assert result.changed == (False,)


def test_blank_is_one_grey():
    pixels = np.asarray(prompt_pictures(blank([record("a", picture(3))]).records[0])[0].pil())
    assert pixels.shape == (6, 8, 3)
    assert (pixels == 128).all()


def test_a_picture_that_is_blank_already_is_not_called_changed():
    once = blank([record("a", picture(3))])
    assert blank(once.records).changed == (False,)


def test_noise_follows_the_content_and_the_seed_not_the_place():
    records = [record("a", picture(1)), record("b", picture(2))]
    forward, backward = noise(records, seed=5), noise(records[::-1], seed=5)
    assert forward.records == backward.records[::-1]
    assert prompt_pictures(forward.records[0]) != prompt_pictures(forward.records[1])
    assert prompt_pictures(noise(records, seed=6).records[0]) != prompt_pictures(forward.records[0])


def test_noise_is_uniform_and_small_when_the_picture_is_large():
    large = prompt_pictures(noise([record("a", picture(1, (1600, 1200)))]).records[0])[0]
    pixels = np.asarray(large.pil(), dtype=float)
    assert large.size == (1600, 1200)
    assert len(large.read()) < 150_000
    assert 120 < pixels.mean() < 135
    assert 70 < pixels.std() < 78  # uniform on 0..255: 255 / sqrt(12) = 73.6


def test_swapping_keeps_how_often_each_picture_occurs():
    records = [record(f"r{i}", picture(i // 4)) for i in range(40)]
    result = swapped(records, seed=1)
    assert all(result.changed)
    before = Counter(prompt_pictures(r)[0].content_hash for r in records)
    assert before == Counter(prompt_pictures(r)[0].content_hash for r in result.records)
    assert swapped(records, seed=1) == result
    assert swapped(records, seed=2).records != result.records


def test_equal_pictures_under_different_encodings_of_origin_are_one_content(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(picture(1).read())
    result = swapped([record("a", picture(1)), record("b", Image.from_path(path))])
    assert result.changed == (False, False)
    assert result.reasons == ("no other record has different pictures",) * 2


def test_counts_that_differ_are_filled_in_order():
    one, two = record("one", picture(1)), record("two", picture(2), picture(3))
    result = swapped([one, two])
    assert prompt_pictures(result.records[0]) == (picture(2),)
    assert prompt_pictures(result.records[1]) == (picture(1), picture(1))


def test_text_between_pictures_keeps_its_place():
    mixed = Record(
        "m", (Message("user", (Text("left"), picture(1), Text("right"), picture(2))), Message("user", (Text("?"),))), ()
    )
    new = blank([mixed]).records[0]
    assert [type(part) for part in new.prompt[0].parts] == [Text, Image, Text, Image]
    assert new.prompt[1] == mixed.prompt[1]


@given(
    st.lists(st.frozensets(st.integers(0, 6), max_size=2), max_size=24),
    st.integers(0, 3),
)
def test_donors_share_nothing_and_none_means_impossible(contents, seed):
    for row, donor in enumerate(donors(contents, seed)):
        possible = [i for i, other in enumerate(contents) if other and contents[row] and not (other & contents[row])]
        if donor is None:
            assert possible == []
        else:
            assert donor in possible


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30), st.integers(0, 3))
def test_donors_are_a_permutation_when_no_content_holds_a_majority(values, seed):
    chosen = donors([frozenset({value}) for value in values], seed)
    if max(Counter(values).values()) * 2 <= len(values):
        assert sorted(chosen) == list(range(len(values)))  # type: ignore[type-var]
