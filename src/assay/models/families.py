"""What each class of backbone needs: placeholders, positions, bidirectional blocks, and how its tower is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.models.base import Pixels, TokenSequence
from assay.models.capability import Shape, shape_of, why_not
from assay.models.features import ImageFeatures

Blocks = Callable[[Tensor], Tensor]
Merge = Callable[[Sequence[ImageFeatures]], Any]


@dataclass(frozen=True, slots=True)
class Family:
    """A backbone class as the engine sees it. A value: it holds no model.

    ``placeholder`` is the id whose embedding a picture's features replace, None for text. ``first_position`` is 1 for
    PaliGemma; ``axes`` is 3 for the rotary positions of Qwen-VL. ``types_name`` is the forward argument that takes
    token types, ``padding_type`` their value on padding, ``types_of_ids`` what they are where a sequence brings none.
    ``blocks`` maps types ``[length]`` to ids of bidirectional blocks ``[length]``, -1 where attention is causal;
    ``window_last`` says that a sliding window also cuts the blocks (Gemma3) or that blocks escape it (PaliGemma2).
    ``tower`` runs the vision tower on several pictures at once; ``merge`` makes of features in row order what the
    model takes as ``mm_encoder_outputs["image"]``. ``shares`` is False when a prompt cannot be shared exactly;
    ``why_not`` then says why. ``shape`` is what a forward costs. ``embeds`` says that the model is given
    embeddings with the features in place, not ids: its class merges features only together with running its tower.
    """

    name: str
    shape: Shape
    placeholder: int | None = None
    first_position: int = 0
    axes: int = 1
    types_name: str | None = None
    padding_type: int = 0
    types_of_ids: Callable[[Tensor], Tensor] | None = None
    blocks: Blocks | None = None
    window_last: bool = True
    tower: Callable[[Any, Sequence[Pixels]], list[ImageFeatures]] | None = None
    tower_parts: tuple[str, ...] = ()
    merge: Merge | None = None
    embeds: bool = False
    shares: bool = True
    why_not: str = ""

    def types(self, sequence: TokenSequence) -> Tensor | None:
        """Token types ``[length]`` of a sequence: its own, or those that follow from its ids.

        Raises:
            ValueError: the class needs types, the sequence has none, and ids alone do not tell them.
        """
        if self.types_name is None or sequence.types is not None:
            return sequence.types
        if self.types_of_ids is None:
            if self.blocks is None:
                return None
            raise ValueError(
                f"{self.name} needs token types: they say which tokens are prompt (0) and which are answer (1); "
                "take them from the processor (token_type_ids)"
            )
        return self.types_of_ids(sequence.ids)


def family_of(model: nn.Module) -> Family:
    """The family of a backbone that returns ``last_hidden_state``, adapters (peft) looked through.

    Raises:
        TypeError: the model has no configuration, or is an encoder-decoder.
    """
    base = base_of(model)
    config = getattr(base, "config", None)
    if config is None:
        raise TypeError(f"{type(base).__name__} has no config: pass a transformers model, for instance from AutoModel")
    if getattr(config, "is_encoder_decoder", False):
        raise TypeError(f"{type(base).__name__} is an encoder-decoder: a reward reads the states of a single stack")
    text = text_part(base)
    plain = Family(name=str(config.model_type), shape=shape_of(text))
    built = _FAMILIES.get(plain.name, _text)(plain, base)
    reason = why_not(model, text, prefix_lm=built.blocks is _prompt_is_block)
    return replace(built, shares=not reason, why_not=reason)


def base_of(model: nn.Module) -> Any:
    """The transformers model inside a peft wrapper, or the model itself."""
    inner = getattr(model, "get_base_model", None)
    return cast("Any", inner() if callable(inner) else model)


def text_part(base: Any) -> nn.Module:
    """The language model of a vision-language model, or the model itself."""
    for name in ("language_model", "text_model"):
        part = getattr(base, name, None)
        if isinstance(part, nn.Module):
            return part
    return cast("nn.Module", base)


def positions(family: Family, base: Any, sequence: TokenSequence, pixels: Sequence[Pixels]) -> Tensor:
    """Position ids ``[axes, length]`` of a sequence on its own; ``pixels`` are its pictures in order."""
    length = sequence.ids.numel()
    if family.axes == 1 or not pixels:
        return (torch.arange(length) + family.first_position).expand(family.axes, length)
    types = family.types(sequence)
    assert types is not None
    grid = torch.cat([picture.inputs["image_grid_thw"].reshape(-1, 3) for picture in pixels]).cpu()
    index, _ = base.get_rope_index(sequence.ids[None].cpu(), mm_token_type_ids=types[None].cpu(), image_grid_thw=grid)
    return cast("Tensor", index)[:, 0]


def image_features(model: nn.Module, pixels: Sequence[Pixels]) -> list[ImageFeatures]:
    """The features of each picture, from one call of the vision tower.

    Raises:
        TypeError: the model takes no pictures, or none that this library knows how to pass.
    """
    family = family_of(model)
    if family.tower is None:
        raise TypeError(f"{type(base_of(model)).__name__} takes no pictures")
    return family.tower(base_of(model), pixels)


def tower_parts(family: Family, base: Any) -> list[nn.Module]:
    """The modules that ``family.tower`` runs."""
    return [getattr(base, name) for name in family.tower_parts]


def _text(plain: Family, base: Any) -> Family:
    embeds_types = isinstance(base, nn.Module) and hasattr(getattr(base, "embeddings", None), "token_type_embeddings")
    return replace(plain, types_name="token_type_ids" if embeds_types else None)


def _llava(plain: Family, base: Any) -> Family:
    return replace(
        plain,
        placeholder=int(base.config.image_token_id),
        tower=_stacked_tower,
        tower_parts=("vision_tower", "multi_modal_projector"),
        merge=_as_list,
    )


def _idefics3(plain: Family, base: Any) -> Family:
    return replace(
        plain,
        placeholder=int(base.config.image_token_id),
        tower=_tiled_tower,
        tower_parts=("vision_model", "connector"),
        merge=_as_list,
    )


def _paligemma(plain: Family, base: Any) -> Family:
    return replace(
        _llava(plain, base),
        first_position=1,
        types_name="token_type_ids",
        padding_type=1,
        blocks=_prompt_is_block,
        window_last=False,
        merge=_as_tensor,
    )


def _gemma3(plain: Family, base: Any) -> Family:
    image = int(base.config.image_token_id)
    return replace(
        _llava(plain, base),
        types_name="token_type_ids",
        types_of_ids=lambda ids: (ids == image).long(),
        blocks=_each_picture_is_block,
        merge=_as_tensor,
    )


def _qwen_vl(plain: Family, base: Any) -> Family:
    image = int(base.config.image_token_id)
    return replace(
        plain,
        placeholder=image,
        axes=3,
        types_name="mm_token_type_ids",
        types_of_ids=lambda ids: (ids == image).long(),
        tower=_patch_tower,
        tower_parts=("visual",),
        merge=_with_deepstack,
    )


def _qwen2_audio(plain: Family, base: Any) -> Family:
    return replace(
        plain,
        placeholder=int(base.config.audio_token_id),
        tower=_sound_tower,
        tower_parts=("audio_tower", "multi_modal_projector"),
        embeds=True,
    )


_FAMILIES: dict[str, Callable[[Family, Any], Family]] = {
    "llava": _llava,
    "idefics3": _idefics3,
    "smolvlm": _idefics3,
    "paligemma": _paligemma,
    "gemma3": _gemma3,
    "qwen2_vl": _qwen_vl,
    "qwen2_5_vl": _qwen_vl,
    "qwen3_vl": _qwen_vl,
    "qwen3_vl_moe": _qwen_vl,
    "qwen2_audio": _qwen2_audio,
}


def _prompt_is_block(types: Tensor) -> Tensor:
    return torch.where(types == 0, 0, -1)


def _each_picture_is_block(types: Tensor) -> Tensor:
    image = types == 1
    starts = image & ~F.pad(image, (1, 0))[:-1]
    return torch.where(image, starts.long().cumsum(0) - 1, -1)


def _placed(base: Any, tensor: Tensor) -> Tensor:
    weight = next(iter(base.parameters()))
    return tensor.to(device=weight.device, dtype=weight.dtype if tensor.is_floating_point() else None)


def _stacked_tower(base: Any, pixels: Sequence[Pixels]) -> list[ImageFeatures]:
    values = [_placed(base, picture.inputs["pixel_values"]) for picture in pixels]
    values = [value if value.ndim == 4 else value[None] for value in values]
    if len({value.shape[1:] for value in values}) > 1:
        sizes = sorted({tuple(value.shape[-2:]) for value in values})
        raise ValueError(f"pictures of one call must have one size after preprocessing, got {sizes}")
    output = base.get_image_features(torch.cat(values), return_dict=True).pooler_output
    stacked = output if isinstance(output, Tensor) else torch.stack(list(output))
    crops = [value.shape[0] for value in values]
    return [ImageFeatures(part.reshape(-1, part.shape[-1])) for part in stacked.split(crops)]


def _tiled_tower(base: Any, pixels: Sequence[Pixels]) -> list[ImageFeatures]:
    tiles = [_placed(base, picture.inputs["pixel_values"]) for picture in pixels]
    tiles = [tile.reshape(-1, *tile.shape[-3:]) for tile in tiles]
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (-2, -1))
    padded = [F.pad(tile, (0, width - tile.shape[-1], 0, height - tile.shape[-2])) for tile in tiles]
    masks = [
        F.pad(_tile_mask(picture, tile), (0, width - tile.shape[-1], 0, height - tile.shape[-2]))
        for picture, tile in zip(pixels, tiles, strict=True)
    ]
    output = base.get_image_features(
        torch.cat(padded)[None], pixel_attention_mask=torch.cat(masks)[None], return_dict=True
    ).pooler_output[0]
    each = output.shape[0] // sum(tile.shape[0] for tile in tiles)
    return [ImageFeatures(part) for part in output.split([tile.shape[0] * each for tile in tiles])]


def _tile_mask(picture: Pixels, tile: Tensor) -> Tensor:
    mask = picture.inputs.get("pixel_attention_mask")
    size = (tile.shape[0], tile.shape[-2], tile.shape[-1])
    if mask is None:
        return torch.ones(size, dtype=torch.bool, device=tile.device)
    return mask.reshape(size).to(device=tile.device, dtype=torch.bool)


def _patch_tower(base: Any, pixels: Sequence[Pixels]) -> list[ImageFeatures]:
    values = torch.cat([_placed(base, picture.inputs["pixel_values"]) for picture in pixels])
    grids = [picture.inputs["image_grid_thw"].reshape(-1, 3) for picture in pixels]
    grid = torch.cat(grids).to(values.device)
    output = base.get_image_features(values, grid, return_dict=True)
    merged = int(base.config.vision_config.spatial_merge_size) ** 2
    counts = [int(each.prod(-1).sum()) // merged for each in grids]
    hidden = torch.cat(list(output.pooler_output)).split(counts)
    layers = [torch.cat(list(layer)).split(counts) for layer in getattr(output, "deepstack_features", None) or ()]
    return [ImageFeatures(part, tuple(layer[i] for layer in layers)) for i, part in enumerate(hidden)]


def _sound_tower(base: Any, sounds: Sequence[Pixels]) -> list[ImageFeatures]:
    from transformers.masking_utils import create_bidirectional_mask

    values = torch.cat([_placed(base, sound.inputs["input_features"]) for sound in sounds])
    frames = torch.cat([sound.inputs["feature_attention_mask"] for sound in sounds]).sum(-1).to(values.device)
    convolved, tokens = base.audio_tower._get_feat_extract_output_lengths(frames)
    places = torch.arange((values.shape[-1] - 2) // 2 + 1, device=values.device)
    mask = create_bidirectional_mask(
        config=base.audio_tower.config,
        inputs_embeds=values.new_zeros(len(sounds), len(places), 1),
        attention_mask=(places[None] < convolved[:, None]).long(),
    )
    hidden = base.multi_modal_projector(base.audio_tower(values, attention_mask=mask).last_hidden_state)
    return [ImageFeatures(part[:count]) for part, count in zip(hidden, tokens.tolist(), strict=True)]


def _as_list(features: Sequence[ImageFeatures]) -> Any:
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    return BaseModelOutputWithPooling(pooler_output=cast("Any", [each.hidden for each in features]))


def _as_tensor(features: Sequence[ImageFeatures]) -> Any:
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    return BaseModelOutputWithPooling(pooler_output=cast("Any", torch.cat([each.hidden for each in features])[None]))


def _with_deepstack(features: Sequence[ImageFeatures]) -> Any:
    output = _as_list(features)
    layers = len(features[0].deepstack)
    output.deepstack_features = [[each.deepstack[layer] for each in features] for layer in range(layers)]
    return output


def embedded(family: Family, base: Any, ids: Tensor, features: Sequence[ImageFeatures]) -> Mapping[str, Tensor]:
    """The argument that passes ids ``[rows, length]``: themselves, or their embeddings with features in place."""
    if not family.embeds:
        return {"input_ids": ids}
    embeddings = base.get_input_embeddings()(ids)
    if features:
        found = torch.cat([each.hidden for each in features]).to(embeddings)
        embeddings = embeddings.masked_scatter((ids == family.placeholder)[..., None], found)
    return {"inputs_embeds": embeddings}


def model_inputs(
    family: Family, images: Sequence[ImageFeatures], pixels: Sequence[Pixels], device: torch.device
) -> Mapping[str, Any]:
    """The forward arguments that pass the pictures of a call, given in row order."""
    if not images or family.embeds:
        return {}
    assert family.merge is not None
    grids = [
        picture.inputs["image_grid_thw"].reshape(-1, 3) for picture in pixels if "image_grid_thw" in picture.inputs
    ]
    passed: dict[str, Any] = {"mm_encoder_outputs": {"image": family.merge(images)}}
    return passed | ({"image_grid_thw": torch.cat(grids).to(device)} if family.axes == 3 else {})
