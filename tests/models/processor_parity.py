"""A backbone's input against what its class's own processor makes of the same dialogue.

As a program it does so for the classes whose processors need torchvision.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from assay import testing
from assay.media import Image, Text
from assay.models.hf import Backbone
from assay.records import Message, Record


def dialogues(first: Image, second: Image, *, several_turns: bool = True) -> list[Record]:
    system = Message("system", (Text("You are brief."),))
    turns = [
        system,
        Message("user", (first, Text("What is this?"))),
        Message("assistant", (Text("A square."),)),
        Message("user", (Text("And is "), second, Text(" the same?"))),
    ]
    single = [
        Record.of([first, "What colour is it?"], ["It is red.", "", "naïve — 東京 😀\n\n  spaced"]),
        Record.of([first, second, "Which is larger?"], ["The second one."]),
    ]
    return [*single, Record.of(turns, ["No, it is different."])] if several_turns else single


def own_inputs(processor: Any, record: Record, response: int) -> dict[str, Any]:
    """What the class's processor gives for the whole dialogue."""
    messages = [*record.prompt, *record.responses[response].messages]
    chat = [{"role": message.role, "content": [_part(part) for part in message.parts]} for message in messages]
    return processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")


def _part(part: Any) -> dict[str, Any]:
    return {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image", "image": part.pil()}


def compare(backbone: Backbone, processor: Any, records: list[Record]) -> int:
    """Token ids, token types and pixel tensors equal for every response; how many responses were compared."""
    prepared = backbone.prepare(records)
    assert all(status == "ok" for status in prepared.status), prepared.messages
    compared = 0
    for record, group in zip(records, prepared.batch.groups, strict=True):
        for response, sequence in enumerate(group):
            own = own_inputs(processor, record, response)
            assert sequence.ids.tolist() == own["input_ids"][0].tolist()
            types = own.get("token_type_ids", own.get("mm_token_type_ids"))
            assert (sequence.types is None) == (types is None)
            if types is not None and sequence.types is not None:
                assert sequence.types.tolist() == types[0].tolist()
            check_pixels([prepared.batch.pixels[key].inputs for key in sequence.images], own)
            compared += 1
    return compared


def check_pixels(pictures: list[Any], own: dict[str, Any]) -> None:
    """Pictures prepared one by one, put together, are the processor's tensors of all of them."""
    for name in ("pixel_values", "pixel_attention_mask", "image_grid_thw"):
        assert all((name in picture) == (name in own) for picture in pictures)
        if name not in own:
            continue
        values = [picture[name] for picture in pictures]
        tiles = own[name].ndim == (5 if name == "pixel_values" else 4) and name != "image_grid_thw"
        joined = torch.cat(values, 1 if tiles else 0)
        torch.testing.assert_close(joined, own[name], rtol=0, atol=0)


def _main() -> None:
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from conftest import make_picture, mend_torchvision

    assert mend_torchvision(), "torchvision is not installed"
    from transformers import (
        Qwen2_5_VLProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    kinds: list[tuple[Any, Any, Any, dict[str, Any]]] = [
        (testing.tiny_qwen2_5_vl, Qwen2_5_VLProcessor, Qwen2VLVideoProcessor, {}),
        (testing.tiny_qwen3_vl, Qwen3VLProcessor, Qwen3VLVideoProcessor, {}),
        (testing.tiny_smolvlm, SmolVLMProcessor, SmolVLMVideoProcessor, {"image_seq_len": 4}),
    ]
    records = dialogues(make_picture(90, 70, 1), make_picture(64, 130, 2))
    for build, kind, video, options in kinds:
        backbone = build()
        template = backbone.tokenizer.chat_template
        parts = {"image_processor": backbone.pictures.processor, "video_processor": video()}
        processor = kind(tokenizer=backbone.tokenizer, chat_template=template, **parts, **options)
        print(kind.__name__, compare(backbone, processor, records))


if __name__ == "__main__":
    _main()
