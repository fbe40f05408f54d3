"""Tiny models of every class with weights large enough that a wrong mask or position shows, and batches for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    CLIPVisionConfig,
    Gemma2Config,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    GemmaConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen3Config,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from assay.models.base import Batch, Pixels, TokenSequence

WORDS = 200
IMAGE = 200
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 256,
    "max_position_embeddings": 512,
}
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "patch_size": 8,
}


def perturbed(model: nn.Module, seed: int = 0) -> Any:
    """Weights normal with deviation 0.15, norms and biases moved off their special values."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        noise = torch.randn(weight.shape, generator=generator)
        weight.data = noise * 0.15 if weight.ndim > 1 else weight.data + noise * 0.1
    return model.eval()


@dataclass(frozen=True)
class Case:
    """A class of backbone, its tiny model, and how its pictures and token types look."""

    name: str
    make: Callable[[], Any]
    picture: Callable[[str], Pixels] | None = None
    types: Callable[[Tensor, int], Tensor] | None = None

    def build(self) -> Any:
        """The same model every time."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.make()


def text_model(config: type[Any], **changes: Any) -> Callable[[], Any]:
    return lambda: perturbed(AutoModel.from_config(config(**(SIZES | changes))))


def _values(name: str, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(map(ord, name))))


def square(tokens: int, size: int = 32) -> Callable[[str], Pixels]:
    return lambda name: Pixels(name, {"pixel_values": _values(name, 1, 3, size, size)}, tokens)


def tiles(name: str) -> Pixels:
    count = 1 + len(name) % 2
    return Pixels(name, {"pixel_values": _values(name, 1, count, 3, 32, 32)}, 4 * count)


def patches(size: int) -> Callable[[str], Pixels]:
    def picture(name: str) -> Pixels:
        height, width = 4, 4 + 2 * (len(name) % 2)
        values = _values(name, height * width, 3 * 2 * size * size)
        grid = torch.tensor([[1, height, width]])
        return Pixels(name, {"pixel_values": values, "image_grid_thw": grid}, height * width // 4)

    return picture


def _llava() -> Any:
    config = LlavaConfig(
        text_config=LlamaConfig(**SIZES),
        vision_config=CLIPVisionConfig(**VISION, image_size=32),
        image_token_index=IMAGE,
    )
    return perturbed(LlavaForConditionalGeneration(config).model)


def _tiled(config: type[Any], model: type[Any]) -> Callable[[], Any]:
    def build() -> Any:
        made = config(
            text_config=LlamaConfig(**SIZES),
            vision_config={**VISION, "image_size": 32, "model_type": config.model_type + "_vision"},
            image_token_id=IMAGE,
            scale_factor=2,
        )
        return perturbed(model(made).model)

    return build


def _siglip() -> SiglipVisionConfig:
    return SiglipVisionConfig(**VISION, image_size=32, projection_dim=64, vision_use_head=False)


def _paligemma(text: Any) -> Callable[[], Any]:
    def build() -> Any:
        config = PaliGemmaConfig(
            text_config=text, vision_config=_siglip(), image_token_index=IMAGE, projection_dim=64, hidden_size=64
        )
        return perturbed(PaliGemmaForConditionalGeneration(config).model)

    return build


def _gemma3(window: int) -> Callable[[], Any]:
    def build() -> Any:
        text = Gemma3TextConfig(
            **SIZES,
            sliding_window=window,
            layer_types=["sliding_attention", "full_attention"],
            query_pre_attn_scalar=16,
        )
        config = Gemma3Config(text_config=text, vision_config=_siglip(), mm_tokens_per_image=4, image_token_index=IMAGE)
        return perturbed(Gemma3ForConditionalGeneration(config).model)

    return build


MROPE = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}


def _qwen25() -> Any:
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "patch_size": 8,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
        "window_size": 32,
    }
    config = Qwen2_5_VLConfig(
        text_config={**SIZES, "rope_parameters": MROPE}, vision_config=vision, image_token_id=IMAGE, video_token_id=201
    )
    return perturbed(Qwen2_5_VLForConditionalGeneration(config).model)


def _qwen3() -> Any:
    vision = {
        "depth": 3,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "patch_size": 8,
        "out_hidden_size": 64,
        "deepstack_visual_indexes": [0, 1],
        "num_position_embeddings": 64,
    }
    config = Qwen3VLConfig(
        text_config={**SIZES, "rope_parameters": MROPE}, vision_config=vision, image_token_id=IMAGE, video_token_id=201
    )
    return perturbed(Qwen3VLForConditionalGeneration(config).model)


def suffix_types(ids: Tensor, prompt: int) -> Tensor:
    return (torch.arange(ids.numel()) >= prompt).long()


def picture_types(ids: Tensor, prompt: int) -> Tensor:
    return (ids == IMAGE).long()


TEXT = (
    Case("llama", text_model(LlamaConfig)),
    Case("mistral-window", text_model(MistralConfig, sliding_window=12)),
    Case("qwen2", text_model(Qwen2Config)),
    Case("qwen3", text_model(Qwen3Config)),
    Case("gemma", text_model(GemmaConfig)),
    Case("gemma2", text_model(Gemma2Config, sliding_window=12, query_pre_attn_scalar=16)),
    Case("gemma3-text", text_model(Gemma3TextConfig, sliding_window=12, query_pre_attn_scalar=16)),
)
PICTURES = (
    Case("llava", _llava, square(16)),
    Case("idefics3", _tiled(Idefics3Config, Idefics3ForConditionalGeneration), tiles),
    Case("smolvlm", _tiled(SmolVLMConfig, SmolVLMForConditionalGeneration), tiles),
    Case("paligemma", _paligemma(GemmaConfig(**SIZES)), square(16), suffix_types),
    Case(
        "paligemma2",
        _paligemma(Gemma2Config(**SIZES, sliding_window=24, query_pre_attn_scalar=16)),
        square(16),
        suffix_types,
    ),
    Case("gemma3", _gemma3(512), square(4), picture_types),
    Case("gemma3-window", _gemma3(12), square(4), picture_types),
    Case("qwen2.5-vl", _qwen25, patches(8), picture_types),
    Case("qwen3-vl", _qwen3, patches(8), picture_types),
)


def words(count: int, seed: int) -> Tensor:
    return torch.randint(3, WORDS, (count,), generator=torch.Generator().manual_seed(seed))


def with_pictures(case: Case, text: Tensor, names: Sequence[str]) -> Tensor:
    """Placeholders of each picture between two pieces of the text."""
    assert case.picture is not None or not names
    parts = [text[:2]]
    for name in names:
        assert case.picture is not None
        parts += [torch.tensor([1]), torch.full((case.picture(name).tokens,), IMAGE), torch.tensor([2])]
    return torch.cat([*parts, text[2:]])


def group(
    case: Case,
    prompt: int,
    responses: Sequence[int],
    names: Sequence[str] = (),
    own: Sequence[Sequence[str]] | None = None,
    seed: int = 0,
) -> list[TokenSequence]:
    """One prompt of ``prompt`` words and pictures; responses of the given lengths, with their ``own`` pictures."""
    head = with_pictures(case, words(prompt, seed), names)
    sequences: list[TokenSequence] = []
    for i, length in enumerate(responses):
        tail = words(length, 1000 * seed + i + 1)
        if length:
            tail[0] = 210 + i
        mine = own[i] if own else ()
        ids = torch.cat([head, with_pictures(case, tail, mine) if mine else tail])
        types = case.types(ids, head.numel()) if case.types else None
        sequences.append(TokenSequence(ids, torch.tensor([ids.numel() - 1]), types, (*names, *mine)))
    return sequences


def batch_of(case: Case, groups: Sequence[Sequence[TokenSequence]]) -> Batch:
    """The groups with the pictures they name."""
    names = {name for each in groups for sequence in each for name in sequence.images}
    return Batch(groups, {name: case.picture(name) for name in names} if case.picture else {})


def head(hidden: int = 64, seed: int = 7) -> nn.Linear:
    """A scalar head whose scores have a deviation near one."""
    made = nn.Linear(hidden, 1, bias=False)
    made.weight.data = torch.randn(made.weight.shape, generator=torch.Generator().manual_seed(seed)) / hidden**0.5
    return made
