"""What each class needs, and features that are computed once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_sharing import scores
from tiny_models import IMAGE, PICTURES, TEXT, Case, batch_of, group
from torch import Tensor

from assay.models.base import Pixels
from assay.models.families import base_of, family_of, image_features, positions, text_part
from assay.models.features import FeatureStore, ImageFeatures
from assay.models.segments import allowed_pairs
from assay.models.sharing import is_prepared, prepare_model, shared

LLAVA = PICTURES[0]
BY_NAME = {case.name: case for case in (*TEXT, *PICTURES)}


@pytest.mark.parametrize("case", TEXT, ids=lambda case: case.name)
def test_text_models_take_no_pictures(case: Case) -> None:
    model = case.build()
    family = family_of(model)
    assert family.shares
    assert (family.placeholder, family.axes, family.first_position) == (None, 1, 0)
    assert text_part(base_of(model)) is model
    with pytest.raises(TypeError, match="takes no pictures"):
        image_features(model, [])


@pytest.mark.parametrize("case", PICTURES, ids=lambda case: case.name)
@torch.no_grad()
def test_features_of_several_pictures_come_from_one_call(case: Case) -> None:
    assert case.picture is not None
    model = case.build()
    family = family_of(model)
    assert family.placeholder == IMAGE
    pictures = [case.picture(name) for name in ("a", "bb", "c")]
    calls: list[int] = []
    getattr(model, family.tower_parts[0]).register_forward_hook(lambda *_: calls.append(1))
    together = image_features(model, pictures)
    assert calls == [1]
    for picture, features in zip(pictures, together, strict=True):
        assert features.hidden.shape == (picture.tokens, 64)
        (single,) = image_features(model, [picture])
        assert (features.hidden - single.hidden).abs().max() <= 1e-5
        assert len(features.deepstack) == len(single.deepstack) == (2 if case.name == "qwen3-vl" else 0)
    assert (together[0].hidden[0] - together[2].hidden[0]).abs().max() > 0.01


@torch.no_grad()
def test_tiles_of_different_size_are_padded_with_a_mask() -> None:
    model = BY_NAME["idefics3"].build()
    small = Pixels("s", {"pixel_values": torch.randn(1, 1, 3, 32, 16)}, 4)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :16] = 1
    values = torch.nn.functional.pad(small.inputs["pixel_values"], (0, 16))
    by_hand = Pixels("h", {"pixel_values": values, "pixel_attention_mask": mask}, 4)
    large = Pixels("l", {"pixel_values": torch.randn(1, 1, 3, 32, 32)}, 4)
    padded_here, _ = image_features(model, [small, large])
    (expected,) = image_features(model, [by_hand])
    assert (padded_here.hidden - expected.hidden).abs().max() <= 1e-5


def test_pictures_of_two_sizes_are_refused_where_the_class_cannot() -> None:
    model = LLAVA.build()
    pictures = [Pixels(str(size), {"pixel_values": torch.randn(1, 3, size, size)}, 4) for size in (32, 16)]
    with pytest.raises(ValueError, match="one size"):
        image_features(model, pictures)


@pytest.mark.parametrize("name", ["qwen2.5-vl", "qwen3-vl"])
def test_positions_have_three_axes(name: str) -> None:
    case = BY_NAME[name]
    model = case.build()
    (with_picture,) = group(case, 5, [3], ("aa",))
    batch = batch_of(case, [[with_picture]])
    found = positions(family_of(model), model, with_picture, list(batch.pixels.values()))
    grid: Tensor = batch.pixels["aa"].inputs["image_grid_thw"][0]
    start, height, width = 3, int(grid[1]) // 2, int(grid[2]) // 2
    inside = found[:, start : start + height * width]
    assert torch.equal(found[:, :start], torch.arange(start).expand(3, start))
    assert torch.equal(inside[0], torch.full((height * width,), start))
    assert torch.equal(inside[1], torch.arange(height).repeat_interleave(width) + start)
    assert torch.equal(inside[2], torch.arange(width).repeat(height) + start)
    assert found[:, start + height * width].tolist() == [start + max(height, width)] * 3


def test_blocks() -> None:
    gemma = family_of(BY_NAME["gemma3"].build())
    assert gemma.blocks is not None
    assert gemma.blocks(torch.tensor([0, 1, 1, 0, 1, 1, 0])).tolist() == [-1, 0, 0, -1, 1, 1, -1]
    pali = family_of(BY_NAME["paligemma"].build())
    assert pali.blocks is not None
    assert pali.blocks(torch.tensor([0, 0, 1])).tolist() == [0, 0, -1]


def test_allowed_pairs_written_out() -> None:
    causal = allowed_pairs(4, 2, None, None, True).long()
    assert causal.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    windowed = allowed_pairs(4, 2, None, 2, True).long()
    assert windowed.tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]
    blocks = torch.tensor([0, 0, 0, -1])
    inside = allowed_pairs(4, 0, blocks, 2, True).long()
    assert inside.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    escaping = allowed_pairs(4, 0, blocks, 2, False).long()
    assert escaping.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 1]]


def test_prepare_is_idempotent_and_only_touches_the_text() -> None:
    model = LLAVA.build()
    assert not is_prepared(model)
    for _ in range(2):
        prepare_model(model)
        assert is_prepared(model)
    assert model.config.vision_config._attn_implementation == "sdpa"


@torch.no_grad()
def test_store_computes_a_picture_once_over_calls() -> None:
    model = LLAVA.build()
    batch = batch_of(LLAVA, [group(LLAVA, 9, [5, 3], ("a", "b")), group(LLAVA, 5, [5, 3], ("b",), seed=2)])
    store = FeatureStore()
    first = scores(model, batch, shared, features=store)
    assert (store.tower_calls, store.tower_images, store.hits, len(store)) == (1, 2, 0, 2)
    second = scores(model, batch, shared, features=store)
    assert (store.tower_calls, store.tower_images, store.hits) == (1, 2, 2)
    assert torch.equal(first, second)
    assert store.bytes == 2 * 16 * 64 * 4


@torch.no_grad()
def test_store_forgets_when_the_tower_changes() -> None:
    model = LLAVA.build()
    batch = batch_of(LLAVA, [group(LLAVA, 9, [5, 3], ("a",))])
    store = FeatureStore()
    before = scores(model, batch, shared, features=store)
    next(model.multi_modal_projector.parameters()).add_(0.1)
    after = scores(model, batch, shared, features=store)
    assert (store.tower_calls, store.hits) == (2, 0)
    assert (after - before).abs().max() > 1e-3
    assert (after - scores(model, batch, shared)).abs().max() <= 1e-6


def test_store_is_used_in_training_only_with_a_frozen_tower() -> None:
    model = LLAVA.build()
    batch = batch_of(LLAVA, [group(LLAVA, 9, [5, 3], ("a",))])
    store = FeatureStore()
    for _ in range(2):
        scores(model, batch, shared, features=store).sum().backward()
    assert (store.tower_calls, store.hits, len(store)) == (2, 0, 0)
    model.vision_tower.requires_grad_(False)
    scores(model, batch, shared, features=store)
    assert (store.tower_calls, len(store)) == (3, 0), "the projector still learns"
    model.multi_modal_projector.requires_grad_(False)
    for _ in range(2):
        scores(model, batch, shared, features=store).sum().backward()
    assert (store.tower_calls, store.hits, len(store)) == (4, 1, 1)


def test_pictures_with_a_graph_are_never_kept() -> None:
    model = LLAVA.build().requires_grad_(False)
    batch = batch_of(LLAVA, [group(LLAVA, 9, [5, 3], ("a",))])
    pixels = batch.pixels["a"].inputs["pixel_values"].clone().requires_grad_()
    batch = replace(batch, pixels={"a": replace(batch.pixels["a"], inputs={"pixel_values": pixels})})
    store = FeatureStore()
    scores(model, batch, shared, features=store).sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.abs().max() > 0
    assert len(store) == 0


def _made(bytes_each: int) -> tuple[list[str], FeatureStore, list[Pixels]]:
    store = FeatureStore(max_bytes=3 * bytes_each, images_per_call=2)
    return [], store, [Pixels(name, {}, 1) for name in "abcde"]


@torch.no_grad()
def test_store_is_bounded_and_drops_the_least_recently_used() -> None:
    seen, store, pictures = _made(16)
    part = torch.nn.Linear(2, 2)

    def tower(chunk: object) -> list[ImageFeatures]:
        assert isinstance(chunk, list)
        seen.append("".join(picture.key for picture in chunk))
        return [ImageFeatures(torch.zeros(1, 4)) for _ in chunk]

    store.get(tower, [part], pictures[:3])
    store.get(tower, [part], pictures[:1])
    store.get(tower, [part], pictures[3:4])
    assert seen == ["ab", "c", "d"]
    assert store.bytes == 48
    store.get(tower, [part], [pictures[0], pictures[2], pictures[1]])
    assert seen == ["ab", "c", "d", "b"]
    found = store.get(tower, [part], [*pictures, pictures[0]])
    assert set(found) == set("abcde")
    assert store.bytes <= store.max_bytes
    with pytest.raises(ValueError, match="images_per_call"):
        FeatureStore(images_per_call=0)


@torch.no_grad()
def test_store_keeps_nothing_while_the_tower_drops_out() -> None:
    model = LLAVA.build()
    for module in model.vision_tower.modules():
        if hasattr(module, "dropout"):
            module.dropout = 0.5
    batch = batch_of(LLAVA, [group(LLAVA, 9, [5, 3], ("a",))])
    store = FeatureStore()
    scores(model.train(), batch, shared, features=store)
    assert len(store) == 0
    scores(model.eval(), batch, shared, features=store)
    assert len(store) == 1


def test_features_made_for_inference_serve_training() -> None:
    model = LLAVA.build()
    for part in (model.vision_tower, model.multi_modal_projector):
        part.requires_grad_(False)
    batch = batch_of(LLAVA, [group(LLAVA, 9, [5, 3], ("a",))])
    store = FeatureStore()
    with torch.inference_mode():
        first = scores(model, batch, shared, features=store)
    second = scores(model, batch, shared, features=store)
    second.sum().backward()
    assert (store.tower_calls, store.hits) == (1, 1)
    assert (first - second).abs().max() <= 1e-6
