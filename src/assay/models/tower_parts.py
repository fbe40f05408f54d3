"""What towers are declared with: which model looks at what, and their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, final

import torch
from torch import Tensor, nn

from assay.media import Audio, Image, Part, Text, Video
from assay.models.frames import EIGHT, Frames
from assay.models.heads.linear import linear
from assay.models.pools import MeanPool, Pooling
from assay.models.tower_kinds import Over, kind_of, mean_of_tokens
from assay.records import Message

Side: TypeAlias = Callable[[Sequence[Message], Sequence[Message]], Sequence[Message]]
"""The messages of a prompt and of a response to those that a tower looks at."""


def of_prompt(prompt: Sequence[Message], response: Sequence[Message]) -> Sequence[Message]:
    """The prompt."""
    return prompt


def of_response(prompt: Sequence[Message], response: Sequence[Message]) -> Sequence[Message]:
    """The response."""
    return response


def of_both(prompt: Sequence[Message], response: Sequence[Message]) -> Sequence[Message]:
    """The prompt, then the response."""
    return (*prompt, *response)


@final
@dataclass(frozen=True, slots=True)
class Pretrained:
    """A transformers encoder and what makes texts, pictures or sounds its input; None for what it does not read.

    ``images`` is its image processor (the PIL form), ``sounds`` its feature extractor.
    """

    module: nn.Module
    tokenizer: Any = None
    images: Any = None
    sounds: Any = None


@final
@dataclass(frozen=True, slots=True)
class Tower:
    """One look at a response: which model reads which medium of which side.

    ``takes`` is `Text`, `Image`, `Audio` or `Video`; a video is looked at as its ``frames``, and pictures beside it are
    not. Several pictures, frames or sounds become one state by ``pool``. ``over`` makes one state of a text's tokens,
    where the model's class has no way of its own.
    """

    name: str
    model: str
    takes: type[Part]
    of: Side
    pool: Callable[[int, int], Pooling] = MeanPool
    over: Over = mean_of_tokens
    frames: Frames = EIGHT


@final
class TowersModule(nn.Module):
    """The weights of towers: ``models`` by name, and for each tower what pools its items and what maps its state."""

    def __init__(self, models: Mapping[str, nn.Module], towers: Sequence[Tower], width: int | None, seed: int) -> None:
        super().__init__()
        self.models = nn.ModuleDict(dict(models))
        widths = {tower.name: width_of(models[tower.model]) for tower in towers}
        self.pools = nn.ModuleDict(
            {tower.name: cast("nn.Module", tower.pool(widths[tower.name], seed)) for tower in towers}
        )
        self.maps = nn.ModuleDict()
        for number, (name, own) in enumerate(widths.items() if width is not None else ()):
            self.maps[name] = linear(own, width or own, bias=True, seed=seed + number)

    def activation_checkpointing_enable(self, options: Mapping[str, Any]) -> None:
        """Keep no activations inside the layers of models that are trained and can compute them again."""
        for model in self._checkpointed():
            if any(weight.requires_grad for weight in model.parameters()):
                enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
                enable(options)

    def activation_checkpointing_disable(self) -> None:
        """Keep activations again."""
        for model in self._checkpointed():
            disable = getattr(model, "activation_checkpointing_disable", None) or model.gradient_checkpointing_disable
            disable()

    def disable_input_require_grads(self) -> None:
        """Nothing: the models' inputs never required gradients."""

    def _checkpointed(self) -> list[Any]:
        return [model for model in self.models.values() if getattr(model, "supports_gradient_checkpointing", False)]


def check_tower(tower: Tower, models: Mapping[str, Pretrained]) -> None:
    """Refuse a tower whose model or preprocessor is missing, or whose model does not read what it takes.

    Raises:
        ValueError: see above.
        TypeError: the model is no encoder known here.
    """
    if tower.model not in models:
        raise ValueError(f"tower {tower.name!r} looks through {tower.model!r}, but the models are {list(models)}")
    own = models[tower.model]
    kind = kind_of(own.module)
    reads = kind.text is not None if tower.takes is Text else kind.takes(medium_of(tower))
    if not reads:
        raise ValueError(f"{tower.model} ({type(own.module).__name__}) reads no {tower.takes.__name__.lower()}")
    needed = {Text: own.tokenizer, Image: own.images, Video: own.images, Audio: own.sounds}
    if needed[tower.takes] is None:
        what = {Text: "tokenizer", Image: "images", Video: "images", Audio: "sounds"}[tower.takes]
        raise ValueError(f"tower {tower.name!r} needs the preprocessor of {tower.model}: Pretrained(..., {what}=)")


def medium_of(tower: Tower) -> type[Image | Audio]:
    """The kind of medium that its model is given: a video is pictures."""
    return Audio if tower.takes is Audio else Image


def width_of(module: nn.Module) -> int:
    """Width of a model's states."""
    return kind_of(module).width(cast("Any", module).config)


def told(messages: Sequence[Message]) -> str:
    """The text of messages: that of the only one that has any, or ``Role: text`` a line."""
    said = [message for message in messages if message.text]
    if len(said) == 1:
        return said[0].text
    return "\n".join(f"{message.role.capitalize()}: {message.text}" for message in said)


def ids_of(tokenizer: Any, text: str, **options: Any) -> list[int]:
    """The ids of a text; special tokens that stand in it are text."""
    return list(tokenizer(text, split_special_tokens=True, verbose=False, **options)["input_ids"])


def longest_text(module: nn.Module, tokenizer: Any) -> int:
    """The longest text in tokens, special ones included, that a model and its tokenizer take."""
    config = cast("Any", module).config.get_text_config()
    known = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    longest = min([int(length) for length in known if length is not None and 0 < length < 10**7] or [10**7])
    counts_padding = "roberta" in str(config.model_type) or str(config.model_type).startswith("clap")
    if counts_padding and known[0] is not None:
        longest = min(longest, int(known[0]) - int(config.pad_token_id) - 1)
    return longest


def cut_left(tokenizer: Any, text: str, limit: int) -> list[int] | None:
    """The ids of a text without its oldest tokens, special ones kept; None where these alone exceed the limit."""
    ids, plain = ids_of(tokenizer, text), ids_of(tokenizer, text, add_special_tokens=False)
    excess = len(ids) - limit
    before = next((n for n in range(len(ids) - len(plain) + 1) if ids[n : n + len(plain)] == plain), None)
    if before is None or excess > len(plain):
        return None
    return [*ids[:before], *ids[before + excess :]]


def text_states(module: nn.Module, tokenizer: Any, over: Over, texts: Sequence[tuple[int, ...]]) -> Tensor:
    """The states ``[texts, width]`` of texts given as ids, from one forward."""
    kind = kind_of(module)
    assert kind.text is not None
    longest = longest_text(module, tokenizer) if kind.fixed else max(len(ids) for ids in texts)
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    device = next(module.parameters()).device
    rows = torch.tensor([[*ids, *[padding] * (longest - len(ids))] for ids in texts], device=device)
    lengths = torch.tensor([len(ids) for ids in texts], device=device)
    mask = (torch.arange(longest, device=device)[None] < lengths[:, None]).long()
    return kind.text(module, rows, mask, over)


def chunks(texts: Sequence[tuple[int, ...]], token_budget: int) -> list[list[tuple[int, ...]]]:
    """Texts, ascending in length, cut so that each part padded stays within the budget; a longer one is alone."""
    chunks: list[list[tuple[int, ...]]] = []
    for ids in texts:
        if chunks and len(ids) * (len(chunks[-1]) + 1) <= token_budget:
            chunks[-1].append(ids)
        else:
            chunks.append([ids])
    return chunks
