"""Pictures: decoded and preprocessed once per content, and the text that stands for each in a prompt."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, cast, final

from torch import Tensor

from assay.media import Image
from assay.models.base import Pixels

Expansion = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class PictureLayout:
    """How a backbone class writes a picture into its token sequence.

    ``placeholder`` is what its chat template writes for one picture; ``expand`` turns what the image processor gave
    for a picture into the text that replaces the placeholder; ``token`` is the token in that text that carries
    features. ``typed`` says that token types are 1 at such tokens and 0 elsewhere. ``arguments`` are further
    arguments of the image processor. ``nested``: the processor takes lists of pictures per prompt.
    """

    placeholder: str
    token: str
    token_id: int
    expand: Expansion
    typed: bool = False
    nested: bool = False
    arguments: Mapping[str, Any] | None = None

    def types(self, ids: Tensor) -> Tensor | None:
        """Token types ``[length]`` of a sequence, None for a class without."""
        return (ids == self.token_id).long() if self.typed else None


@dataclass(frozen=True, slots=True)
class Picture:
    """A preprocessed picture and the text that stands for it."""

    pixels: Pixels
    text: str


def picture_layout(config: Any, tokenizer: Any) -> PictureLayout | None:
    """The layout of a model class by its configuration; None for a text model.

    Raises:
        ValueError: the class takes pictures, but not in a way known here.
    """
    build = _LAYOUTS.get(str(config.model_type))
    if build is None:
        if getattr(config, "vision_config", None) is not None:
            raise ValueError(
                f"{config.model_type!r} takes pictures in a way that is not known here; "
                f"known are {', '.join(sorted(_LAYOUTS))}"
            )
        return None
    token_id = int(_first(config, "image_token_id", "image_token_index"))
    return build(config, tokenizer, str(tokenizer.convert_ids_to_tokens(token_id)), token_id)


def _first(config: Any, *names: str) -> Any:
    for name in names:
        value = getattr(config, name, None)
        if value is not None:
            return value
    raise ValueError(f"the configuration of {config.model_type!r} has none of {names}")


def _patches(vision: Any) -> int:
    return (int(vision.image_size) // int(vision.patch_size)) ** 2


def _llava(config: Any, tokenizer: Any, token: str, token_id: int) -> PictureLayout:
    tower = str(config.vision_config.model_type)
    if tower not in ("clip_vision_model", "siglip_vision_model"):
        raise ValueError(f"LLaVA with a {tower!r} tower is not known here; known are CLIP and SigLIP towers")
    patch = int(config.vision_config.patch_size)
    has_class_token = tower == "clip_vision_model"
    dropped = config.vision_feature_select_strategy == "default"

    def expand(made: Mapping[str, Any]) -> str:
        height, width = made["pixel_values"].shape[-2:]
        return token * ((height // patch) * (width // patch) + int(has_class_token) - int(dropped))

    return PictureLayout(token, token, token_id, expand)


def _idefics3(config: Any, tokenizer: Any, token: str, token_id: int) -> PictureLayout:
    features = token * (_patches(config.vision_config) // int(config.scale_factor) ** 2)
    fake = str(getattr(tokenizer, "fake_image_token", None) or "<fake_token_around_image>")
    whole = str(getattr(tokenizer, "global_image_token", None) or "<global-img>")

    def expand(made: Mapping[str, Any]) -> str:
        rows, columns = int(made["rows"][0][0]), int(made["cols"][0][0])
        overview = f"{fake}{whole}{features}{fake}"
        if rows == 0 and columns == 0:
            return overview
        tiles = "".join(
            "".join(f"{fake}<row_{row + 1}_col_{column + 1}>{features}" for column in range(columns)) + "\n"
            for row in range(rows)
        )
        return f"{tiles}\n{overview}"

    arguments = {"return_row_col_info": True}
    return PictureLayout(token, token, token_id, expand, nested=True, arguments=arguments)


def _paligemma(config: Any, tokenizer: Any, token: str, token_id: int) -> PictureLayout:
    features = token * _patches(config.vision_config)
    return PictureLayout(token, token, token_id, lambda made: features)


def _gemma3(config: Any, tokenizer: Any, token: str, token_id: int) -> PictureLayout:
    begin, end = (
        str(tokenizer.convert_ids_to_tokens(int(_first(config, f"{name}_token_id", f"{name}_token_index"))))
        for name in ("boi", "eoi")
    )
    whole = f"\n\n{begin}{token * int(config.mm_tokens_per_image)}{end}\n\n"

    def expand(made: Mapping[str, Any]) -> str:
        crops = int(made["num_crops"][0]) if "num_crops" in made else 0
        if not crops:
            return whole
        rest = " ".join([whole] * crops)
        return f"Here is the original image {whole} and here are some crops to help you see better {rest}"

    return PictureLayout(begin, token, token_id, expand, typed=True)


def _qwen_vl(config: Any, tokenizer: Any, token: str, token_id: int) -> PictureLayout:
    merged = int(config.vision_config.spatial_merge_size) ** 2

    def expand(made: Mapping[str, Any]) -> str:
        return token * (int(made["image_grid_thw"].prod()) // merged)

    return PictureLayout(token, token, token_id, expand, typed=True)


_LAYOUTS: dict[str, Callable[[Any, Any, str, int], PictureLayout]] = {
    "llava": _llava,
    "idefics3": _idefics3,
    "smolvlm": _idefics3,
    "paligemma": _paligemma,
    "gemma3": _gemma3,
    "qwen2_vl": _qwen_vl,
    "qwen2_5_vl": _qwen_vl,
    "qwen3_vl": _qwen_vl,
    "qwen3_vl_moe": _qwen_vl,
}


@final
class Pictures:
    """Preprocessed pictures of one backbone, least recently used out first, at most ``max_bytes`` of tensors.

    Counters: ``decoded`` files turned into pixels, ``preprocessed`` pictures run through the image processor, ``hits``
    pictures found here instead. Safe to share between threads.
    """

    def __init__(self, processor: Any, layout: PictureLayout, max_bytes: int = 512 * 2**20) -> None:
        self.processor = processor
        self.layout = layout
        self.max_bytes = max_bytes
        self.decoded = 0
        self.preprocessed = 0
        self.hits = 0
        self.fingerprint = preprocessing_fingerprint(processor, layout)
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._making: dict[str, Future[Picture]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, image: Image) -> Picture:
        """The picture, preprocessed as the backbone's own image processor does it alone.

        Raises:
            MediaError: it cannot be read or decoded, or is a tensor (``not_encoded``).
        """
        key = f"{image.content_hash}:{self.fingerprint[:16]}"
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                self.hits += 1
                return self._kept[key]
            other = self._making.get(key)
            mine = self._making.setdefault(key, Future())
        if other is not None:
            picture = other.result()
            with self._lock:
                self.hits += 1
            return picture
        try:
            picture = self._make(image, key)
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        self._keep(key, picture)
        mine.set_result(picture)
        return picture

    def _keep(self, key: str, picture: Picture) -> None:
        with self._lock:
            del self._making[key]
            self._kept[key] = picture
            self._bytes += _bytes(picture)
            while self._bytes > self.max_bytes and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= _bytes(dropped)

    def _make(self, image: Image, key: str) -> Picture:
        decoded = image.pil()
        given = [[decoded]] if self.layout.nested else [decoded]
        made = self.processor(images=given, return_tensors="pt", **dict(self.layout.arguments or {}))
        with self._lock:
            self.decoded += 1
            self.preprocessed += 1
        text = self.layout.expand(made)
        unused = ("rows", "cols", "num_crops")
        inputs = {name: value for name, value in made.items() if isinstance(value, Tensor) and name not in unused}
        return Picture(Pixels(key, inputs, text.count(self.layout.token)), text)


def preprocessing_fingerprint(processor: Any, layout: PictureLayout) -> str:
    """sha256 of the image processor's settings and of the layout's tokens."""
    settings = cast("dict[str, Any]", processor.to_dict())
    described = {name: value for name, value in settings.items() if not name.startswith("_")}
    text = json.dumps([described, layout.placeholder, layout.token, layout.token_id], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _bytes(picture: Picture) -> int:
    return sum(value.numel() * value.element_size() for value in picture.pixels.inputs.values())


def pil_processor(source: Any, **arguments: Any) -> Any:
    """The image processor of a checkpoint in its PIL form, which needs no torchvision."""
    from transformers import AutoImageProcessor

    return cast("Any", AutoImageProcessor).from_pretrained(source, backend="pil", **arguments)
