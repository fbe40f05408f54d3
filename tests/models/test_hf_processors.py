"""Token ids, token types and pixels are those of each class's own processor."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processor_parity import check_pixels, compare, dialogues
from tokenizers.processors import TemplateProcessing
from transformers import Gemma3Processor, Idefics3Processor, LlavaProcessor, PaliGemmaProcessor

from assay import testing
from assay.media import Image
from assay.models.hf import Backbone

Make = Callable[[], Backbone]
ROOT = Path(__file__).parents[2]


def build(kind: Any, backbone: Backbone, **options: Any) -> Any:
    assert backbone.pictures is not None
    template = backbone.tokenizer.chat_template
    return kind(backbone.pictures.processor, backbone.tokenizer, chat_template=template, **options)


@pytest.mark.parametrize(
    ("make", "kind", "options"),
    [
        (
            testing.tiny_llava,
            LlavaProcessor,
            {"patch_size": 16, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
        ),
        (testing.tiny_idefics3, Idefics3Processor, {"image_seq_len": 4}),
        (lambda: testing.tiny_idefics3(splits=False), Idefics3Processor, {"image_seq_len": 4}),
        (testing.tiny_gemma3, Gemma3Processor, {"image_seq_length": 4}),
    ],
    ids=["llava", "idefics3", "idefics3 whole", "gemma3"],
)
def test_as_the_processor(make: Make, kind: Any, options: dict[str, Any], picture: Callable[..., Image]) -> None:
    backbone = make()
    records = dialogues(picture(90, 70, seed=1), picture(64, 130, seed=2))
    assert compare(backbone, build(kind, backbone, **options), records) == 5


def test_a_tokenizer_that_adds_bos_adds_it_once_and_only_where_the_template_does_not(
    picture: Callable[..., Image],
) -> None:
    for make, kind, options in (
        (testing.tiny_llava, LlavaProcessor, {"patch_size": 16, "num_additional_image_tokens": 0}),
        (testing.tiny_gemma3, Gemma3Processor, {"image_seq_length": 4}),
    ):
        backbone = make()
        bos = ("<bos>", backbone.tokenizer.bos_token_id)
        backbone.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<bos> $A", pair="<bos> $A $B", special_tokens=[bos]
        )
        records = dialogues(picture(90, 70, seed=1), picture(64, 64, seed=2))
        assert compare(backbone, build(kind, backbone, **options), records) == 5
        sequence = backbone.prepare(records).batch.groups[0][0]
        assert sequence.ids.tolist().count(bos[1]) == 1


def test_paligemma_answers_are_the_suffix(picture: Callable[..., Image]) -> None:
    backbone = testing.tiny_paligemma()
    processor = build(PaliGemmaProcessor, backbone)
    records = dialogues(picture(90, 70, seed=1), picture(64, 130, seed=2), several_turns=False)
    prepared = backbone.prepare(records)
    for record, group in zip(records, prepared.batch.groups, strict=True):
        pictures = [part for part in record.prompt[0].parts if isinstance(part, Image)]
        for response, sequence in zip(record.responses, group, strict=True):
            asked = "<image>" * len(pictures) + record.prompt[0].text
            shown = [[image.pil() for image in pictures]]
            own = processor(text=[asked], images=shown, suffix=[response.text], return_tensors="pt")
            assert sequence.ids.tolist() == own["input_ids"][0].tolist()
            assert sequence.types is not None
            assert sequence.types.tolist() == own["token_type_ids"][0].tolist()
            check_pixels([prepared.batch.pixels[key].inputs for key in sequence.images], own)


def torchvision_place() -> str | None:
    """Where torchvision is: installed, or unpacked beside (``pip install --no-deps --target DIR torchvision``)."""
    if importlib.util.find_spec("torchvision") is not None:
        return ""
    for place in (os.environ.get("ASSAY_TORCHVISION"), str(ROOT / ".torchvision")):
        if place and (Path(place) / "torchvision").is_dir():
            return place
    return None


def test_as_the_processors_that_need_torchvision() -> None:
    place = torchvision_place()
    if place is None:
        pytest.skip(
            "the processors of Qwen2.5-VL, Qwen3-VL and SmolVLM cannot be built without torchvision: "
            "pip install --no-deps --target .torchvision torchvision num2words docopt"
        )
    script = Path(__file__).with_name("processor_parity.py")
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", ""), place])
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-3:] == ["Qwen2_5_VLProcessor 5", "Qwen3VLProcessor 5", "SmolVLMProcessor 5"]
