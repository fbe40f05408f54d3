import copy
import hashlib
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from assay.media import Image, Limits, MediaError
from assay.rewards.base import fingerprint

RED = PIL.Image.new("RGB", (4, 3), "red")


def test_equality_and_hash_are_by_content(tmp_path: Path):
    in_memory = Image.from_pil(RED)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(in_memory.read())
    first, second = Image.from_path(tmp_path / "a.png"), Image.from_path(tmp_path / "b.png")
    assert first == second == in_memory
    assert len({first, second, in_memory}) == 1
    assert first != Image.from_pil(PIL.Image.new("RGB", (4, 3), "blue"))
    assert first != "a.png"
    assert in_memory.content_hash == hashlib.sha256(in_memory.read()).hexdigest()


def test_missing_files_compare_by_path_and_do_not_raise(tmp_path: Path):
    assert Image.from_path(tmp_path / "x") == Image.from_path(tmp_path / "x")
    assert Image.from_path(tmp_path / "x") != Image.from_path(tmp_path / "y")
    assert len({Image.from_path(tmp_path / "x"), Image.from_path(tmp_path / "x")}) == 1


def test_the_hash_is_computed_once(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(Image.from_pil(RED).read())
    image = Image.from_path(path)
    first = image.content_hash
    path.unlink()
    assert image.content_hash == first
    assert pickle.loads(pickle.dumps(image)).content_hash == first


def test_the_fingerprint_does_not_depend_on_what_was_asked_before():
    fresh, used = Image.from_pil(RED), Image.from_pil(RED)
    assert used.content_hash
    assert fingerprint(fresh) == fingerprint(used)


def test_values_are_frozen_and_have_one_origin():
    with pytest.raises(FrozenInstanceError):
        Image.from_pil(RED).path = Path("other")
    for arguments in ({}, {"path": Path("a"), "data": b"a"}):
        with pytest.raises(ValueError, match="exactly one origin"):
            Image(**arguments)


def test_tensors_keep_their_graph_and_have_no_hash():
    leaf = torch.full((3, 2, 5), 0.5, requires_grad=True)
    image = Image.from_tensor(leaf * 1.0)
    assert image.tensor is not None
    image.tensor.sum().backward()
    assert leaf.grad is not None
    assert (leaf.grad == 1).all()
    assert image.size == (5, 2)
    assert image.pil().getpixel((4, 1)) == (128, 128, 128)
    for ask in (lambda: image.content_hash, image.read, lambda: fingerprint(image)):
        with pytest.raises(MediaError) as caught:
            ask()
        assert caught.value.code == "not_encoded"
    assert image == image
    assert image != Image.from_tensor(leaf.detach())
    assert len({image, Image.from_tensor(leaf.detach())}) == 2


def test_tensors_of_another_kind_are_refused():
    for wrong in (torch.zeros(2, 3), torch.zeros(1, 4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="float tensor"):
            Image.from_tensor(wrong)


def test_arrays():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(np.asarray(Image.from_array(pixels).pil()), pixels)
    assert Image.from_array(pixels[..., 0]).pil().getpixel((3, 1)) == (21, 21, 21)
    for wrong in (pixels.astype(float), pixels[..., :2]):
        with pytest.raises(ValueError, match="uint8"):
            Image.from_array(wrong)


def test_pil_pictures_of_every_mode_come_in():
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"):
        assert Image.from_pil(PIL.Image.new(mode, (3, 2))).pil().size == (3, 2)


def test_the_repr_shows_no_bytes():
    assert repr(Image.from_bytes(b"12345")) == "Image(5 bytes)"
    assert repr(Image.from_path("a.png")) == "Image('a.png')"
    assert repr(Image.from_tensor(torch.zeros(3, 2, 2))) == "Image([3, 2, 2])"


def test_copies_share_their_content():
    image = Image.from_pil(RED)
    assert copy.deepcopy(image) == image


def test_reading_does_not_pass_the_limit(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x" * 100)
    with pytest.raises(MediaError, match="100 bytes, over the limit of 99"):
        Image.from_path(tmp_path / "a", Limits(max_bytes=99)).read()


def test_limits_travel_with_the_picture(tmp_path: Path):
    wide = Image.from_pil(PIL.Image.new("RGB", (50, 2)))
    (tmp_path / "wide.png").write_bytes(wide.read())
    strict = Image.from_path(tmp_path / "wide.png", Limits(max_side=49))
    for ask in (lambda: strict.size, strict.pil):
        with pytest.raises(MediaError, match="too_many_pixels"):
            ask()
    assert Image.from_path(tmp_path / "wide.png", Limits(max_side=50)).pil().size == (50, 2)
    assert strict == wide
