"""Shared equals alone: scores and gradients of every class, against the stock model on each sequence by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tiny_models import IMAGE, PICTURES, TEXT, Case, batch_of, group, head
from torch import Tensor, nn

from assay.models.base import Batch, TokenSequence
from assay.models.families import family_of
from assay.models.segments import SegmentLayout
from assay.models.sharing import FeatureStore, Layout, encode, padded, prepare_model, shared

ALL = (*TEXT, *PICTURES)
BOUND = 1e-5


def stock(model: Any, batch: Batch, sequence: TokenSequence) -> Tensor:
    """Hidden states ``[length, hidden]`` by the model's own path: its processor's tensors, its positions and masks."""
    inputs: dict[str, Any] = {"input_ids": sequence.ids[None], "attention_mask": torch.ones_like(sequence.ids)[None]}
    kind = model.config.model_type
    if sequence.types is not None:
        inputs["mm_token_type_ids" if kind.startswith("qwen") else "token_type_ids"] = sequence.types[None]
    pictures = [batch.pixels[name].inputs for name in sequence.images]
    if pictures:
        tiled = kind in ("idefics3", "smolvlm")
        inputs["pixel_values"] = torch.cat([each["pixel_values"] for each in pictures], 1 if tiled else 0)
        if "image_grid_thw" in pictures[0]:
            inputs["image_grid_thw"] = torch.cat([each["image_grid_thw"] for each in pictures])
    return model(**inputs, use_cache=False).last_hidden_state[0]


def alone(model: Any, batch: Batch) -> Tensor:
    made = head()
    return torch.cat(
        [made(stock(model, batch, sequence)[sequence.reads]) for each in batch.groups for sequence in each]
    ).flatten()


def scores(model: nn.Module, batch: Batch, layout: Layout | None, **options: Any) -> Tensor:
    made = head()
    return torch.cat(
        [made(states) for states in encode(model, family_of(model), batch, layout=layout, **options)]
    ).flatten()


def mixed(case: Case) -> Batch:
    """Prompts with one, two and no pictures; responses of 2 to 19 tokens, some of equal length."""
    one, two = (("a",), ("a", "bb")) if case.picture else ((), ())
    return batch_of(
        case,
        [
            group(case, 10, [5, 3, 5, 19], one, seed=1),
            group(case, 6, [4, 4, 2], two, seed=2),
            group(case, 21, [7], (), seed=3),
            group(case, 6, [4, 4, 2], two, seed=4),
            group(case, 25, [2, 9], (), seed=5),
        ],
    )


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
@torch.no_grad()
def test_shared_equals_alone(case: Case) -> None:
    batch = mixed(case)
    expected = alone(case.build(), batch)
    assert expected.std() > 0.3
    model = case.build()
    for layout in (shared, padded, None):
        store = FeatureStore()
        found = scores(model, batch, layout, features=store)
        assert (found - expected).abs().max() <= BOUND
        assert store.tower_images == (2 if case.picture else 0)
    assert (scores(model, batch, shared, token_budget=40) - expected).abs().max() <= BOUND
    assert (scores(model, batch, padded, token_budget=40) - expected).abs().max() <= BOUND


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
@torch.no_grad()
def test_error_is_rounding(case: Case) -> None:
    batch = batch_of(case, [group(case, 12, [6, 3, 9, 6], ("a",) if case.picture else ())])
    expected = alone(case.build(), batch)
    assert (scores(case.build(), batch, shared) - expected).abs().max() <= 2e-6


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_gradients_equal_alone(case: Case) -> None:
    names = ("a", "bb") if case.picture else ()
    batch = batch_of(case, [group(case, 9, [5, 3, 5, 8], names), group(case, 5, [4, 6, 2, 3], names[:1], seed=2)])
    expected = _gradient(case.build(), lambda model: alone(model, batch))
    store = FeatureStore()
    found = _gradient(case.build(), lambda model: scores(model, batch, shared, features=store))
    assert expected.norm() > 1e-3
    assert (found - expected).norm() / expected.norm() <= BOUND
    assert store.tower_calls == (1 if case.picture else 0)
    assert store.tower_images == len(names)
    assert len(store) == 0


def _gradient(model: Any, score: Callable[[Any], Tensor]) -> Tensor:
    chosen, *rejected = score(model).unflatten(0, (-1, 4)).unbind(1)
    loss = -torch.stack([nn.functional.logsigmoid(chosen - each) for each in rejected]).mean()
    loss.backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


@pytest.mark.parametrize("case", PICTURES, ids=lambda case: case.name)
@torch.no_grad()
def test_candidates_that_are_pictures(case: Case) -> None:
    batch = batch_of(
        case,
        [
            group(case, 9, [6, 4, 7], ("a",), own=[("x",), ("yy",), ("x", "a")]),
            group(case, 7, [6, 4], (), own=[("x",), ()], seed=2),
        ],
    )
    expected = alone(case.build(), batch)
    store = FeatureStore()
    assert (scores(case.build(), batch, shared, features=store) - expected).abs().max() <= BOUND
    assert (store.tower_calls, store.tower_images) == (1, 3)


class Meddling(nn.Module):
    """Passes a forward on with changed arguments: the mistakes that the exactness tests must be able to see."""

    def __init__(self, model: Any, change: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self.model = model
        self.change = change

    def get_base_model(self) -> Any:
        return self.model

    def forward(self, **inputs: Any) -> Any:
        self.change(inputs)
        return self.model(**inputs)


def positions_run_on(inputs: dict[str, Any]) -> None:
    index = inputs["position_ids"]
    inputs["position_ids"] = torch.arange(index.shape[-1]).expand_as(index) + index.min()


def plain_causal_row(inputs: dict[str, Any]) -> None:
    del inputs["seg_layout"]
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])


def prompt_left_causal(inputs: dict[str, Any]) -> None:
    layout: SegmentLayout = inputs["seg_layout"]
    stacks = tuple((type(each)(each.prefix, each.branches), count) for each, count in layout.stacks)
    inputs["seg_layout"] = SegmentLayout(stacks, layout.window_last)


def other_window_rule(inputs: dict[str, Any]) -> None:
    layout: SegmentLayout = inputs["seg_layout"]
    inputs["seg_layout"] = SegmentLayout(layout.stacks, not layout.window_last)


def _control(case: Case, change: Callable[[dict[str, Any]], None], names: Sequence[str], prompt: int = 12) -> float:
    batch = batch_of(case, [group(case, prompt, [6, 3, 9, 6], names)])
    expected = alone(case.build(), batch)
    model = case.build()
    prepare_model(model)
    return float((scores(Meddling(model, change), batch, shared) - expected).abs().max())


@pytest.mark.parametrize("change", [positions_run_on, plain_causal_row], ids=lambda change: change.__name__)
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
@torch.no_grad()
def test_a_wrong_row_is_far_off(case: Case, change: Callable[[dict[str, Any]], None]) -> None:
    assert _control(case, change, ("a",) if case.picture else ()) > 0.02


@pytest.mark.parametrize("case", [case for case in PICTURES if "gemma" in case.name], ids=lambda case: case.name)
@torch.no_grad()
def test_a_prompt_left_causal_is_far_off(case: Case) -> None:
    assert _control(case, prompt_left_causal, ("a", "bb")) > 0.005


@torch.no_grad()
def test_the_window_rule_of_paligemma2_matters() -> None:
    case = next(case for case in PICTURES if case.name == "paligemma2")
    assert _control(case, other_window_rule, ("a", "bb")) > 0.02


@pytest.mark.parametrize("case", PICTURES, ids=lambda case: case.name)
@torch.no_grad()
def test_another_picture_is_far_off(case: Case) -> None:
    assert case.picture is not None
    batch = batch_of(case, [group(case, 12, [6, 3], ("a",))])
    swapped = Batch(batch.groups, {"a": case.picture("c")})
    model = case.build()
    assert (scores(model, batch, shared) - scores(model, swapped, shared)).abs().max() > 0.05


@pytest.mark.parametrize("case", [*TEXT, *PICTURES], ids=lambda case: case.name)
@torch.no_grad()
def test_ordinary_calls_are_unchanged(case: Case) -> None:
    batch = mixed(case)
    before = case.build()
    after = case.build()
    prepare_model(after)
    capped = "gemma2" in case.name or case.name == "paligemma2"
    for each in batch.groups:
        one, other = stock(before, batch, each[0]), stock(after, batch, each[0])
        assert torch.allclose(one, other, atol=2e-6) if capped else torch.equal(one, other)
    assert "assay" not in after.config.to_json_string()


@torch.no_grad()
def test_many_threads_mix_shared_and_ordinary_calls() -> None:
    from concurrent.futures import ThreadPoolExecutor

    case = PICTURES[0]
    batch = mixed(case)
    expected = alone(case.build(), batch)
    model = case.build()
    store = FeatureStore()

    def work(number: int) -> float:
        with torch.no_grad():
            layout = (shared, padded, None)[number % 3]
            return float((scores(model, batch, layout, features=store) - expected).abs().max())

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(work, range(12))) <= BOUND


@torch.no_grad()
def test_picture_placeholders_are_not_words() -> None:
    batch = mixed(PICTURES[0])
    assert all((sequence.ids == IMAGE).sum() == 16 * len(sequence.images) for each in batch.groups for sequence in each)
