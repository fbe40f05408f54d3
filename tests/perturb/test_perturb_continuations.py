"""Responses continued by a generator that does not see the picture."""

import random

import numpy as np
import pytest

from assay.media import Image
from assay.perturb import mask_inputs_and_continue, mask_patches
from assay.perturb.responses import MADE
from assay.records import Preference, Record

TEXT = "Yes there is a red circle. It lies left of the blue square. Both are small."


def picture(shade: int = 200) -> Image:
    return Image.from_array(np.full((28, 42, 3), shade, dtype=np.uint8))


def asked(id: str = "a", text: str = TEXT) -> Record:
    return Record.of([picture(), "What is there?"], [text], id=id)


def guess(records, prefixes, seed):
    """A generator that always says something else."""
    return [f"zebra number {seed} stands here. And more." for _ in records]


def test_each_sentence_goes_on_from_the_original_and_ends_where_it_ended() -> None:
    seen: list[tuple[Record, str]] = []

    def remembering(records, prefixes, seed):
        seen.extend(zip(records, prefixes, strict=True))
        return guess(records, prefixes, seed)

    given = asked()
    found = mask_inputs_and_continue([given], remembering, mask=mask_patches(1.0), seed=1)
    worse = found.records[0].responses[1].text
    assert worse.count("zebra") == 3
    assert "And more" not in worse
    assert found.records[0].feedback[0] == Preference(0, 1, rater=MADE)
    starts = [TEXT.index("Yes"), TEXT.index("It lies"), TEXT.index("Both")]
    for (record, prefix), start in zip(seen, starts, strict=True):
        assert prefix.startswith(TEXT[:start])
        assert record.prompt != given.prompt
    assert [edit.kind for edit in found.edits[0]] == ["continuation"] * 3


def test_a_sentence_that_comes_out_the_same_is_drawn_again_and_then_left() -> None:
    calls: list[int] = []
    same = asked(text="There is a red circle. It lies left. Both are small.")
    text = same.responses[0].text

    def echo(records, prefixes, seed):
        calls.append(len(records))
        return [text[len(p) : text.index(".", max(len(p) - 1, 0)) + 1] for p in prefixes]

    found = mask_inputs_and_continue([same], echo, mask=mask_patches(1.0), attempts=3)
    assert calls == [3, 3, 3]
    assert found.rows == ()
    assert found.records[0] == same
    assert "the same" in found.reasons[0]


def test_yes_and_no_change_places_half_of_the_time() -> None:
    kept: list[str] = []

    def remembering(records, prefixes, seed):
        kept.extend(prefixes)
        return guess(records, prefixes, seed)

    records = [asked(str(i), "Yes there is one.") for i in range(200)]
    mask_inputs_and_continue(records, remembering, mask=mask_patches(1.0))
    begun = [prefix for prefix in kept if prefix]
    share = np.mean([prefix.startswith("No") for prefix in begun])
    assert 0.35 < share < 0.65


def test_records_without_a_picture_or_text_say_why_and_the_seed_decides() -> None:
    records = [asked("a"), Record.of("text only", [TEXT], id="b"), Record.of([picture(), "?"], [], id="c")]
    broken = Record.of([Image.from_bytes(b"no picture"), "?"], [TEXT], id="d")
    found = mask_inputs_and_continue([*records, broken], guess, mask=mask_patches(), seed=2)
    assert found.rows == (0,)
    assert found.reasons[1:3] == ("no picture in the prompt", "no response")
    assert found.reasons[3]
    assert found.records == mask_inputs_and_continue([*records, broken], guess, mask=mask_patches(), seed=2).records
    with pytest.raises(ValueError, match="1 texts for 3"):
        mask_inputs_and_continue([asked()], lambda *_: ["x"], mask=mask_patches())
    with pytest.raises(ValueError, match="attempts"):
        mask_inputs_and_continue([asked()], guess, mask=mask_patches(), attempts=0)


def test_a_share_of_the_patches_is_grey() -> None:
    pixels = np.asarray(mask_patches(0.5, patch=7)(picture(), random.Random(0)).pil())
    grey = (pixels == 128).all(-1)
    assert 0.2 < grey.mean() < 0.8
    assert set(np.unique(pixels)) == {128, 200}
    assert (np.asarray(mask_patches(1.0)(picture(), random.Random(0)).pil()) == 128).all()
    assert (np.asarray(mask_patches(0.0)(picture(), random.Random(0)).pil()) == 200).all()
    with pytest.raises(ValueError, match="share"):
        mask_patches(1.5)
