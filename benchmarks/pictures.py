"""One picture in eight candidates: decoded, preprocessed and encoded once, against the padded batch of transformers."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from assay.media import Image
from assay.models.base import Batch, TokenSequence
from assay.models.families import family_of, image_features, model_inputs
from assay.models.pictures import Picture, PictureLayout, Pictures
from assay.models.sharing import FeatureStore, encode
from measure import Row, interleaved, medians, peak_bytes, ratio
from models import scalar_head, stock_and_prepared

CANDIDATES = 8
IMAGE = 1_000
TEXT: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "vocab_size": 1_024,
    "max_position_embeddings": 2_048,
}
VISION: dict[str, Any] = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
}


@dataclass(frozen=True)
class Setting:
    """A class of model, its image processor, and the goals against both baselines."""

    name: str
    build: Callable[[], Any]
    processor: Callable[[], Any]
    goal: float
    goal_once: float
    nested: bool = False


def _random(model: Any) -> Any:
    for weight in model.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=0.06)
    return model.eval()


def _llava() -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    vision = CLIPVisionConfig(**VISION, image_size=336, patch_size=14)
    config = LlavaConfig(text_config=LlamaConfig(**TEXT), vision_config=vision, image_token_index=IMAGE)
    return _random(LlavaForConditionalGeneration(config).model)


def _llava_processor() -> Any:
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})


def _smolvlm() -> Any:
    from transformers import LlamaConfig, SmolVLMConfig, SmolVLMForConditionalGeneration

    config = SmolVLMConfig(
        text_config=LlamaConfig(**TEXT),
        vision_config={**VISION, "image_size": 512, "patch_size": 16},
        image_token_id=IMAGE,
        scale_factor=2,
    )
    return _random(SmolVLMForConditionalGeneration(config).model)


def _smolvlm_processor() -> Any:
    from transformers import SmolVLMImageProcessorPil

    return SmolVLMImageProcessorPil(
        do_image_splitting=False, size={"longest_edge": 512}, max_image_size={"longest_edge": 512}
    )


def _qwen3() -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    vision = {
        "depth": 6,
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_heads": 8,
        "patch_size": 16,
        "out_hidden_size": 256,
        "deepstack_visual_indexes": [1, 3],
    }
    rope = {"rope_type": "default", "mrope_section": [6, 5, 5], "rope_theta": 10_000.0}
    config = Qwen3VLConfig(
        text_config={**TEXT, "rope_parameters": rope, "bos_token_id": 1, "eos_token_id": 2},
        vision_config=vision,
        image_token_id=IMAGE,
        video_token_id=IMAGE + 1,
    )
    return _random(Qwen3VLForConditionalGeneration(config).model)


def _qwen3_processor() -> Any:
    from transformers import Qwen2VLImageProcessorPil

    size = {"shortest_edge": 384 * 1024, "longest_edge": 384 * 1024}
    return Qwen2VLImageProcessorPil(patch_size=16, temporal_patch_size=2, merge_size=2, size=size)


SETTINGS = (
    Setting("LLaVA", _llava, _llava_processor, 5.0, 1.8),
    Setting("SmolVLM", _smolvlm, _smolvlm_processor, 5.0, 1.8, nested=True),
    Setting("Qwen3-VL", _qwen3, _qwen3_processor, 5.0, 1.8),
)


def photograph(width: int = 640, height: int = 480) -> bytes:
    """A PNG with structure at every scale, the same each time."""
    rng = np.random.default_rng(0)
    noise = sum(
        np.kron(rng.normal(size=(height // size, width // size, 3)), np.ones((size, size, 1))) for size in (4, 16, 80)
    )
    values = np.clip(128 + 40 * np.asarray(noise), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(values).save(buffer, format="PNG")
    return buffer.getvalue()


class Measured:
    """One setting: the candidates, and each way of scoring them."""

    def __init__(self, setting: Setting) -> None:
        torch.manual_seed(0)
        self.setting = setting
        self.stock, self.model = stock_and_prepared(setting.build())
        self.family = family_of(self.model)
        self.processor = setting.processor()
        self.data = photograph()
        self.head = scalar_head(TEXT["hidden_size"])
        self.layout = PictureLayout("<image>", "~", IMAGE, self._written, nested=setting.nested)
        self.tokens = Pictures(self.processor, self.layout).get(Image.from_bytes(self.data)).pixels.tokens
        self.rows = self._candidates()
        self.tower_calls = 0
        tower = getattr(self.model, self.family.tower_parts[0])
        tower.register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.tower_calls += 1

    def _written(self, made: Any) -> str:
        if "image_grid_thw" in made:
            return "~" * (int(made["image_grid_thw"].prod()) // 4)
        return "~" * {"LLaVA": 576, "SmolVLM": 256}[self.setting.name]

    def _candidates(self) -> list[Tensor]:
        generator = torch.Generator().manual_seed(2)

        def words(count: int) -> Tensor:
            return torch.randint(3, IMAGE, (count,), generator=generator)

        prompt = torch.cat([words(5), torch.full((self.tokens,), IMAGE), words(52)])
        lengths = torch.randint(32, 97, (CANDIDATES,), generator=generator).tolist()
        return [torch.cat([prompt, torch.tensor([i + 3]), words(length - 1)]) for i, length in enumerate(lengths)]

    def ours(self, pictures: Pictures | None = None, store: FeatureStore | None = None) -> Tensor:
        """End to end with nothing kept from before: file, preprocessing, tower, language model."""
        held = pictures if pictures is not None else Pictures(self.processor, self.layout)
        made: list[Picture] = [held.get(Image.from_bytes(self.data)) for _ in self.rows]
        key = made[0].pixels.key
        sequences = [TokenSequence(row, torch.tensor([len(row) - 1]), None, (key,)) for row in self.rows]
        batch = Batch([sequences], {key: made[0].pixels})
        return torch.cat(encode(self.model, self.family, batch, features=store)) @ self.head

    def padded(self) -> Tensor:
        """What a user of transformers writes: the picture decoded once, then processed and encoded in each row."""
        picture = PIL.Image.open(io.BytesIO(self.data)).convert("RGB")
        given = [[picture]] * CANDIDATES if self.setting.nested else [picture] * CANDIDATES
        made = self.processor(images=given, return_tensors="pt")
        inputs = {
            name: made[name] for name in ("pixel_values", "pixel_attention_mask", "image_grid_thw") if name in made
        }
        return self._padded(inputs)

    def padded_once(self) -> Tensor:
        """The careful user: picture features once, repeated in every row of the padded batch."""
        single = Pictures(self.processor, self.layout).get(Image.from_bytes(self.data)).pixels
        features = image_features(self.stock, [single])
        passed = model_inputs(self.family, features * CANDIDATES, [single] * CANDIDATES, torch.device("cpu"))
        return self._padded(dict(passed))

    def _padded(self, inputs: dict[str, Any]) -> Tensor:
        lengths = torch.tensor([len(row) for row in self.rows])
        ids = nn.utils.rnn.pad_sequence(self.rows, batch_first=True)
        inputs["attention_mask"] = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
        if self.family.types_name:
            inputs[self.family.types_name] = (ids == IMAGE).long()
        hidden = self.stock(input_ids=ids, **inputs, use_cache=False).last_hidden_state
        return hidden[torch.arange(len(self.rows)), lengths - 1] @ self.head


@torch.no_grad()
def rows(quick: bool) -> list[Row]:
    """End to end, against the padded batch and against one with features computed once; counters are asserted."""
    found: list[Row] = []
    for setting in SETTINGS[1:2] if quick else SETTINGS:
        case = Measured(setting)
        _assert_once(case)
        variants = {"ours": case.ours, "padded": case.padded, "once": case.padded_once}
        seconds = interleaved(variants, 3 if quick else 5)
        difference = float((case.ours() - case.padded()).abs().max())
        memory = peak_bytes(case.ours) / peak_bytes(case.padded)
        cell = (
            f"{setting.name}: {CANDIDATES} candidates, prompt of {case.tokens + 57} tokens, {case.tokens} of a picture"
        )
        for name, baseline, goal in (
            ("padded", "padded batch of transformers, end to end", setting.goal),
            ("once", "padded batch with features computed once", setting.goal_once),
        ):
            found.append(
                Row(
                    benchmark="pictures",
                    cell=cell,
                    baseline=baseline,
                    ratio=ratio(seconds, "ours", name),
                    goal=goal,
                    difference=difference,
                    difference_goal=1e-5,
                    memory=memory if name == "padded" else None,
                    seconds=medians(seconds),
                    note="picture decoded once, tower called once (counted)",
                )
            )
    return found


def _assert_once(case: Measured) -> None:
    """Eight candidates decode, preprocess and encode once; a second epoch with a store does none of it."""
    pictures, store = Pictures(case.processor, case.layout), FeatureStore()
    case.ours(pictures, FeatureStore(0))
    case.tower_calls = 0
    pictures = Pictures(case.processor, case.layout)
    for _ in range(2):
        case.ours(pictures, store)
        counts = (pictures.decoded, pictures.preprocessed, store.tower_calls, store.tower_images, case.tower_calls)
        if counts != (1, 1, 1, 1, 1):
            raise AssertionError(f"{case.setting.name}: decoded, preprocessed, tower calls, images, hook: {counts}")
