"""Tiny backbones and rewards of real classes, for your tests and ours, built from configurations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import nn

from assay.models.hf import Backbone, backbone_from
from assay.models.towers import Pretrained
from assay.rewards.learned import LearnedReward

_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}PICTURE{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_LLAVA = (
    "{% for message in messages %}{{ message['role'] | upper }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<image>\n' }}{% endif %}"
    "{% endfor %}{{ eos_token if message['role'] == 'assistant' else ' ' }}{% endfor %}"
)
_IDEFICS = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<image>' }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}"
)
_GEMMA = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] | trim }}{% else %}{{ '<start_of_image>' }}{% endif %}"
    "{% endfor %}{% endif %}<end_of_turn>\n{% endfor %}"
)
_TILES = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
_CORPUS = (
    "what colour is the shape in this picture? the shape is red, green, blue, yellow, black, grey, brown or teal.",
    "is there a circle, a triangle or a rectangle in the image? yes, there is a circle. no, there is no triangle.",
    "how many objects do you see? one two three four five six seven eight nine ten 0 1 2 3 4 5 6 7 8 9",
    "Please explain why the answer is right. The answer is correct because the question asks about the weather.",
    "User: Assistant: System: You are a helpful assistant that answers briefly and honestly.",
    "The quick brown fox jumps over the lazy dog while people write long letters to their friends.",
    "A good response is true, kind and short; a bad response is false, rude or far too long for anybody to read.",
)


@cache
def _bpe(size: int) -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made: Any = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = cast("Any", trainers.BpeTrainer)(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(_CORPUS, trainer)
    return str(made.to_str())


def tiny_tokenizer(
    template: str | None = None, *, special: Sequence[str] = (), named: dict[str, str] | None = None
) -> Any:
    """A byte-level BPE tokenizer of about 700 tokens with ``<pad> <bos> <eos>``, further special tokens and a template.

    ``named`` are special tokens that get an attribute of their own (``image_token``).
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    built: Any = cast("Any", PreTrainedTokenizerFast)(
        tokenizer_object=Tokenizer.from_str(_bpe(700)),
        pad_token="<pad>",  # noqa: S106 - a token of a vocabulary
        bos_token="<bos>",  # noqa: S106
        eos_token="<eos>",  # noqa: S106
        extra_special_tokens=named or {},
    )
    built.add_tokens(list(special), special_tokens=True)
    if template is not None:
        built.chat_template = template
    return built


def _built(make: Any, config: Any, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = cast("nn.Module", make(config))
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim > 1:
                    weight.normal_(0.0, 0.15)
                else:
                    weight.add_(torch.randn(weight.shape) * 0.1)
    return model.eval()


def _text_config(tokenizer: Any, kind: Any, **changes: Any) -> Any:
    size: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
    }
    size |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048}
    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    return kind(**{**size, **ids, **changes})


_VISION: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def tiny_text(seed: int = 0, *, chat: bool = True, **changes: Any) -> Backbone:
    """A Llama: hidden 64, 2 layers. Without ``chat`` its tokenizer has no template; ``changes`` go to LlamaConfig."""
    from transformers import LlamaConfig, LlamaModel

    special = ("<|im_start|>", "<|im_end|>") if chat else ()
    tokenizer = tiny_tokenizer(_CHATML.replace("PICTURE", "") if chat else None, special=special)
    return backbone_from(_built(LlamaModel, _text_config(tokenizer, LlamaConfig, **changes), seed), tokenizer)


def tiny_llava(seed: int = 0, *, image_size: int = 64) -> Backbone:
    """LLaVA: CLIP tower with patches of 16, Llama. A picture is ``(image_size / 16)^2`` tokens."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = tiny_tokenizer(_LLAVA, named={"image_token": "<image>"})
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_VISION, image_size=image_size, patch_size=16, projection_dim=32),
        text_config=_text_config(tokenizer, LlamaConfig),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    size = {"size": {"shortest_edge": image_size}, "crop_size": {"height": image_size, "width": image_size}}
    return backbone_from(_built(LlavaModel, config, seed), tokenizer, cast("Any", CLIPImageProcessorPil)(**size))


def tiny_idefics3(seed: int = 0, *, splits: bool = True) -> Backbone:
    """Idefics3: pictures in tiles of 64 pixels, 4 tokens a tile; without ``splits`` one tile a picture."""
    from transformers import Idefics3Config, Idefics3Model, LlamaConfig
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tokenizer = _idefics_tokenizer()
    config = _idefics_config(tokenizer, Idefics3Config, LlamaConfig)
    return backbone_from(
        _built(Idefics3Model, config, seed), tokenizer, cast("Any", Idefics3ImageProcessorPil)(**_tiles(splits))
    )


def tiny_smolvlm(seed: int = 0, *, splits: bool = True) -> Backbone:
    """SmolVLM: as Idefics3."""
    from transformers import LlamaConfig, SmolVLMConfig, SmolVLMModel
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    tokenizer = _idefics_tokenizer()
    config = _idefics_config(tokenizer, SmolVLMConfig, LlamaConfig)
    return backbone_from(
        _built(SmolVLMModel, config, seed), tokenizer, cast("Any", SmolVLMImageProcessorPil)(**_tiles(splits))
    )


def _idefics_tokenizer() -> Any:
    special = ("<|im_start|>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *_TILES)
    return tiny_tokenizer(_IDEFICS, special=special, named={"image_token": "<image>"})


def _idefics_config(tokenizer: Any, kind: Any, text: Any) -> Any:
    return kind(
        vision_config={**_VISION, "image_size": 64, "patch_size": 16},
        text_config=_text_config(tokenizer, text),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )


def _tiles(splits: bool) -> dict[str, Any]:
    edge = {"longest_edge": 128}
    return {"size": edge, "max_image_size": {"longest_edge": 64}, "do_image_splitting": splits}


def tiny_paligemma(seed: int = 0) -> Backbone:
    """PaliGemma: SigLIP tower, Gemma; a picture of 64 pixels is 16 tokens."""
    from transformers import GemmaConfig, PaliGemmaConfig, PaliGemmaModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    tokenizer = tiny_tokenizer(named={"image_token": "<image>"})
    config = PaliGemmaConfig(
        vision_config={**_VISION, "image_size": 64, "patch_size": 16, "model_type": "siglip_vision_model"},
        text_config=_text_config(tokenizer, GemmaConfig, head_dim=16),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=64,
        hidden_size=64,
    )
    processor = cast("Any", SiglipImageProcessorPil)(size={"height": 64, "width": 64})
    processor.image_seq_length = 16
    return backbone_from(_built(PaliGemmaModel, config, seed), tokenizer, processor)


def tiny_gemma3(seed: int = 0, *, window: int = 24) -> Backbone:
    """Gemma3: SigLIP tower, one sliding and one full layer; a picture of 64 pixels is 4 tokens."""
    from transformers import Gemma3Config, Gemma3Model, Gemma3TextConfig
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = tiny_tokenizer(_GEMMA, special=("<start_of_turn>", "<end_of_turn>"), named=named)
    text = _text_config(
        tokenizer,
        Gemma3TextConfig,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=window,
        layer_types=["sliding_attention", "full_attention"],
    )
    config = Gemma3Config(
        vision_config={**_VISION, "image_size": 64, "patch_size": 16, "model_type": "siglip_vision_model"},
        text_config=text,
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
    )
    processor = cast("Any", Gemma3ImageProcessorPil)(size={"height": 64, "width": 64})
    return backbone_from(_built(Gemma3Model, config, seed), tokenizer, processor)


def _qwen_tokenizer() -> Any:
    special = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    return tiny_tokenizer(_CHATML.replace("PICTURE", "<|vision_start|><|image_pad|><|vision_end|>"), special=special)


def _qwen_ids(tokenizer: Any) -> dict[str, Any]:
    tokens = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    tokens |= {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    return {f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in tokens.items()}


def _qwen_processor(patch: int) -> Any:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    limits = {"shortest_edge": (2 * patch) ** 2, "longest_edge": (8 * patch) ** 2}
    return cast("Any", Qwen2VLImageProcessorPil)(patch_size=patch, size=limits)


def tiny_qwen2_5_vl(seed: int = 0) -> Backbone:
    """Qwen2.5-VL: patches of 14 merged 2 x 2, rotary positions in three axes."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel

    tokenizer = _qwen_tokenizer()
    rope: dict[str, Any] = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    text = _text_config(tokenizer, dict, rope_parameters=rope)
    vision: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
    }
    vision |= {"patch_size": 14, "spatial_merge_size": 2, "window_size": 56, "fullatt_block_indexes": [1]}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **_qwen_ids(tokenizer))
    return backbone_from(_built(Qwen2_5_VLModel, config, seed), tokenizer, _qwen_processor(14))


def tiny_qwen3_vl(seed: int = 0) -> Backbone:
    """Qwen3-VL: patches of 16 merged 2 x 2, deepstack features, rotary positions in three axes."""
    from transformers import Qwen3VLConfig, Qwen3VLModel

    tokenizer = _qwen_tokenizer()
    rope: dict[str, Any] = {
        "rope_type": "default",
        "mrope_section": [2, 3, 3],
        "rope_theta": 10000.0,
        "mrope_interleaved": True,
    }
    text = _text_config(tokenizer, dict, rope_parameters=rope, head_dim=16)
    vision: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
    }
    vision |= {"patch_size": 16, "spatial_merge_size": 2, "deepstack_visual_indexes": [0, 1]}
    vision |= {"num_position_embeddings": 64}
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **_qwen_ids(tokenizer))
    return backbone_from(_built(Qwen3VLModel, config, seed), tokenizer, _qwen_processor(16))


_HEARING = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<|audio_bos|><|AUDIO|><|audio_eos|>' }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
)


def tiny_qwen2_audio(seed: int = 0, *, seconds: int = 2) -> Backbone:
    """Qwen2-Audio: a Whisper-like tower over 16 mel bands at 16 kHz, Qwen2. Hears up to ``seconds``, 25 tokens each."""
    from transformers import Qwen2AudioConfig, Qwen2AudioModel, Qwen2Config

    special = ("<|im_start|>", "<|im_end|>", "<|audio_bos|>", "<|audio_eos|>", "<|AUDIO|>")
    tokenizer = tiny_tokenizer(_HEARING, special=special)
    sound: dict[str, Any] = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    sound |= {"num_mel_bins": 16, "max_source_positions": 50 * seconds}
    config = Qwen2AudioConfig(
        audio_config={**sound, "model_type": "qwen2_audio_encoder"},
        text_config=_text_config(tokenizer, Qwen2Config),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    return backbone_from(_built(Qwen2AudioModel, config, seed), tokenizer, _mel(16, seconds))


def _mel(bands: int, seconds: int) -> Any:
    from transformers import WhisperFeatureExtractor

    return cast("Any", WhisperFeatureExtractor)(feature_size=bands, sampling_rate=16000, chunk_length=seconds)


def tiny_clip(seed: int = 0) -> Pretrained:
    """CLIP: texts of up to 77 tokens and pictures of 32 pixels in one space of 24 dimensions."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = _framed_tokenizer()
    config = CLIPConfig(
        text_config={**_VISION, "vocab_size": len(tokenizer), **_frame_ids(tokenizer)},
        vision_config={**_VISION, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    return Pretrained(_built(CLIPModel, config, seed), tokenizer, cast("Any", CLIPImageProcessorPil)(**size))


def tiny_siglip(seed: int = 0) -> Pretrained:
    """SigLIP: texts padded to 64 tokens and pictures of 32 pixels in one space of 32 dimensions."""
    from transformers import SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    tokenizer = _framed_tokenizer()
    config = SiglipConfig(
        text_config={**_VISION, "vocab_size": len(tokenizer), "projection_size": 32, **_frame_ids(tokenizer)},
        vision_config={**_VISION, "image_size": 32, "patch_size": 8},
    )
    processor = cast("Any", SiglipImageProcessorPil)(size={"height": 32, "width": 32})
    return Pretrained(_built(SiglipModel, config, seed), tokenizer, processor)


def tiny_clap(seed: int = 0) -> Pretrained:
    """CLAP: texts and sounds of up to a second in one space of 24 dimensions."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    tokenizer = _framed_tokenizer()
    text = {**_VISION, "vocab_size": len(tokenizer), "max_position_embeddings": 66, "pad_token_id": 0}
    audio: dict[str, Any] = {"spec_size": 64, "num_mel_bins": 16, "patch_size": 4, "patch_stride": [4, 4]}
    audio |= {"patch_embeds_hidden_size": 8, "hidden_size": 16, "depths": [1, 1], "num_attention_heads": [2, 2]}
    audio |= {"window_size": 4, "num_hidden_layers": 2}
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=24)
    sounds = {"feature_size": 16, "sampling_rate": 16000, "max_length_s": 1, "hop_length": 160}
    extractor = cast("Any", ClapFeatureExtractor)(**sounds, truncation="rand_trunc", frequency_max=8000)
    return Pretrained(_built(ClapModel, config, seed), tokenizer, sounds=extractor)


def tiny_whisper(seed: int = 0, *, seconds: int = 2) -> Pretrained:
    """Whisper: an encoder of 32 dimensions that hears up to ``seconds``, over 16 mel bands."""
    from transformers import WhisperConfig, WhisperModel

    size: dict[str, Any] = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    size |= {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "vocab_size": 64}
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)
    config = WhisperConfig(**size, **ids, num_mel_bins=16, max_source_positions=50 * seconds)
    return Pretrained(_built(WhisperModel, config, seed), sounds=_mel(16, seconds))


def tiny_bert(seed: int = 0) -> Pretrained:
    """BERT: an encoder of texts, 32 dimensions."""
    from transformers import BertConfig, BertModel

    tokenizer = _framed_tokenizer()
    config = BertConfig(**_VISION, vocab_size=len(tokenizer), max_position_embeddings=64)
    return Pretrained(_built(BertModel, config, seed), tokenizer)


def _frame_ids(tokenizer: Any) -> dict[str, int]:
    return {name: int(getattr(tokenizer, name)) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}


def _framed_tokenizer() -> Any:
    """The tokenizer with ``<bos> ... <eos>`` around every text, as encoders have."""
    from tokenizers import processors

    tokenizer = tiny_tokenizer()
    special = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<bos>", "<eos>")]
    framed: Any = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=special)
    tokenizer.backend_tokenizer.post_processor = framed
    return tokenizer


def learned_reward(backbone: Backbone | None = None, seed: int = 0, **options: Any) -> LearnedReward:
    """An untrained reward around a tiny backbone (text by default); ``options`` as in `LearnedReward`."""
    return LearnedReward.fresh(backbone or tiny_text(seed), seed, **options)
