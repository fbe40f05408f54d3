"""Small backbones to be trained from nothing: real transformers classes, with a tokenizer made from your own texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import nn

from assay.models.hf import Backbone, backbone_from, quiet
from assay.models.placement import Placement

_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<image>' }}{% endif %}"
    "{% endfor %}{{ ' ' if not loop.last else '' }}{% endfor %}"
)
_TEXT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{{ ' ' if not loop.last else '' }}{% endfor %}"
_FRAME = ("<image>", "<fake_token_around_image>", "<global-img>")


@final
@dataclass(frozen=True, slots=True)
class Size:
    """How large a backbone is. ``spread`` is the standard deviation of its first weights.

    transformers' own 0.02 is made for thousands of dimensions; at tens of them a model trains several times slower.
    ``theta`` is the base of the rotary positions: short sequences want a small one.
    """

    hidden: int = 64
    layers: int = 2
    heads: int = 4
    vision_hidden: int = 96
    vision_layers: int = 2
    vision_heads: int = 4
    spread: float = 0.2
    theta: float = 100.0
    positions: int = 512


def word_tokenizer(texts: Iterable[str], *, special: Sequence[str] = ()) -> Any:
    """One token a word or punctuation mark of ``texts``; any other word is ``<unk>``. Made for closed small worlds."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text)})
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<unk>", "<bos>", "<eos>", *special, *words])}
    built = Tokenizer(cast("Any", models.WordLevel)(vocabulary, unk_token="<unk>"))  # noqa: S106 - a vocabulary entry
    cast("Any", built).pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True)
    return _fast(built, special)


def subword_tokenizer(texts: Iterable[str], size: int = 3000, *, special: Sequence[str] = ()) -> Any:
    """A byte-level BPE of ``size`` tokens, trained on ``texts``; every text can be written in it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    built = Tokenizer(models.BPE())
    cast("Any", built).pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    cast("Any", built).decoder = decoders.ByteLevel()
    trainer = cast("Any", trainers.BpeTrainer)(
        vocab_size=size,
        special_tokens=["<pad>", "<unk>", "<bos>", "<eos>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    built.train_from_iterator(texts, trainer)
    return _fast(built, special)


def _fast(built: Any, special: Sequence[str]) -> Any:
    from transformers import PreTrainedTokenizerFast

    names = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
    tokenizer = cast("Any", PreTrainedTokenizerFast)(tokenizer_object=built, **names)
    tokenizer.add_tokens(list(special), special_tokens=True)
    return tokenizer


def text_backbone(tokenizer: Any, size: Size | None = None, *, seed: int = 0) -> Backbone:
    """A Llama of the given size, untrained."""
    from transformers import LlamaConfig, LlamaModel

    tokenizer.chat_template = tokenizer.chat_template or _TEXT_TEMPLATE
    return backbone_from(_fresh(LlamaModel, LlamaConfig(**_text(tokenizer, size or Size())), seed), tokenizer)


def picture_backbone(
    tokenizer: Any,
    size: Size | None = None,
    *,
    side: int = 64,
    patch: int = 8,
    seed: int = 0,
    where: Placement | None = None,
) -> Backbone:
    """An Idefics3 of the given size, untrained: SigLIP tower, patches merged 2 x 2, Llama.

    A picture is resized to ``side`` pixels and becomes ``(side / patch / 2)^2`` tokens. The tokenizer must hold the
    special tokens of `picture_tokens`.
    """
    from transformers import Idefics3Config, Idefics3Model, LlamaConfig
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    chosen = size or Size()
    tokenizer.chat_template = tokenizer.chat_template or _TEMPLATE
    vision = {
        "hidden_size": chosen.vision_hidden,
        "intermediate_size": 2 * chosen.vision_hidden,
        "num_hidden_layers": chosen.vision_layers,
        "num_attention_heads": chosen.vision_heads,
        "image_size": side,
        "patch_size": patch,
        "initializer_range": chosen.spread,
    }
    config = cast("Any", Idefics3Config)(
        vision_config=vision,
        text_config=LlamaConfig(**_text(tokenizer, chosen)).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    config.initializer_range = chosen.spread
    processor = cast("Any", Idefics3ImageProcessorPil)(
        size={"longest_edge": side},
        max_image_size={"longest_edge": side},
        do_image_splitting=False,
        image_mean=[0.92] * 3,
        image_std=[0.25] * 3,
    )
    model = _fresh(Idefics3Model, config, seed)
    if where is not None:
        model.to(where.device, where.dtype)
    return backbone_from(model, tokenizer, processor, where=where)


def picture_tokens() -> tuple[str, ...]:
    """The special tokens that a tokenizer for `picture_backbone` holds."""
    return _FRAME


def save_backbone(backbone: Backbone, directory: Path) -> Path:
    """Write a backbone as `load_backbone` and transformers read it: weights, configuration, tokenizer, processor.

    Raises:
        FileExistsError: the directory exists and is not empty.
    """
    if directory.exists() and any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty: give a new directory, or remove that one first")
    directory.mkdir(parents=True, exist_ok=True)
    with quiet():
        cast("Any", backbone.module).save_pretrained(directory)
    backbone.tokenizer.save_pretrained(directory)
    if backbone.pictures is not None:
        backbone.pictures.processor.save_pretrained(directory)
    return directory


def _text(tokenizer: Any, size: Size) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": size.hidden,
        "intermediate_size": 2 * size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads,
        "max_position_embeddings": size.positions,
        "initializer_range": size.spread,
        "rope_parameters": {"rope_type": "default", "rope_theta": size.theta},
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def _fresh(make: Any, config: Any, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cast("nn.Module", make(config)).eval()
