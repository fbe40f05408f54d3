"""Pictures and sounds: decoded and preprocessed once per content, and the text that stands for each in a prompt."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, final

from torch import Tensor

from assay.media import Audio, Image, MediaError, Video
from assay.models.base import Pixels
from assay.models.frames import Frames

Expansion = Callable[[Mapping[str, Any]], str]
Medium: TypeAlias = Image | Audio
Process: TypeAlias = Callable[[Any, "PictureLayout", Any], Mapping[str, Any]]
"""What a processor gives for one medium, decoded: a PIL picture, or samples ``[samples]`` at the processor's rate."""


@dataclass(frozen=True, slots=True)
class PictureLayout:
    """How a backbone class writes a picture, or a sound, into its token sequence.

    ``placeholder`` is what its chat template writes for one of them; ``expand`` turns what the processor gave for it
    into the text that replaces the placeholder; ``token`` is the token in that text that carries features. ``takes``
    is the kind of medium. ``typed`` says that token types are 1 at such tokens and 0 elsewhere. ``arguments`` are
    further arguments of the processor. ``nested``: the processor takes lists of pictures per prompt. ``process`` runs
    the processor; None is `picture_inputs` or `sound_inputs`.
    """

    placeholder: str
    token: str
    token_id: int
    expand: Expansion
    typed: bool = False
    nested: bool = False
    arguments: Mapping[str, Any] | None = None
    takes: type[Medium] = Image
    process: Process | None = None

    def types(self, ids: Tensor) -> Tensor | None:
        """Token types ``[length]`` of a sequence, None for a class without."""
        return (ids == self.token_id).long() if self.typed else None


@dataclass(frozen=True, slots=True)
class Picture:
    """A preprocessed picture or sound and the text that stands for it."""

    pixels: Pixels
    text: str


def picture_layout(config: Any, tokenizer: Any) -> PictureLayout | None:
    """The layout of a model class by its configuration; None for a text model.

    Raises:
        ValueError: the class takes pictures or sounds, but not in a way known here.
    """
    build = _LAYOUTS.get(str(config.model_type))
    if build is None:
        for part, media in (("vision_config", "pictures"), ("audio_config", "sounds")):
            if getattr(config, part, None) is not None:
                raise ValueError(
                    f"{config.model_type!r} takes {media} in a way that is not known here; "
                    f"known are {', '.join(sorted(_LAYOUTS))}"
                )
        return None
    token_id = int(_first(config, "image_token_id", "image_token_index", "audio_token_id", "audio_token_index"))
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


def _qwen2_audio(config: Any, tokenizer: Any, token: str, token_id: int) -> PictureLayout:
    def expand(made: Mapping[str, Any]) -> str:
        return token * sound_tokens(int(made["feature_attention_mask"].sum()))

    return PictureLayout(token, token, token_id, expand, takes=Audio)


def sound_tokens(frames: int) -> int:
    """Tokens of a sound of so many log-mel frames: a convolution of stride 2, then means of two (Qwen2-Audio)."""
    return max(0, ((frames - 1) // 2 - 1) // 2 + 1)


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
    "qwen2_audio": _qwen2_audio,
}


@final
class Pictures:
    """Preprocessed pictures or sounds of one backbone, least recently used out first, at most ``max_bytes`` of tensors.

    ``frames`` are what is shown of a video; None where videos are not taken. Counters: ``decoded`` pictures and sounds
    decoded, ``preprocessed`` those run through the processor, ``hits`` those found here instead. Safe to share between
    threads.
    """

    def __init__(
        self, processor: Any, layout: PictureLayout, max_bytes: int = 512 * 2**20, *, frames: Frames | None = None
    ) -> None:
        if frames is not None and layout.takes is not Image:
            raise ValueError("this backbone takes no pictures, so it cannot be shown the frames of a video")
        self.processor = processor
        self.layout = layout
        self.max_bytes = max_bytes
        self.frames = frames
        self.decoded = 0
        self.preprocessed = 0
        self.hits = 0
        self._settings = preprocessing_fingerprint(processor, layout)
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._making: dict[str, Future[Picture]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """sha256 of how a medium is preprocessed, and of which frames of a video are shown."""
        if self.frames is None:
            return self._settings
        return hashlib.sha256(f"{self._settings} {self.frames.fingerprint}".encode()).hexdigest()

    def get(self, medium: Medium) -> Picture:
        """The picture or sound, preprocessed as the backbone's own processor does it alone.

        Raises:
            MediaError: it cannot be read or decoded, is a tensor (``not_encoded``), or a sound that is too long or too
                short for the backbone.
        """
        return self._get(medium, lambda: self._decoded(medium))

    def all(self, media: Sequence[Medium]) -> tuple[Picture, ...]:
        """The same for several, in order. Frames of one video are decoded in one pass over it, one held at a time."""
        made: dict[str, Picture] = {}
        for video, numbers in self._missing(media):
            frames = [Image.from_video(video, number) for number in numbers]
            for frame, decoded in zip(frames, video.at(numbers), strict=True):
                made[self._key(frame)] = self._get(frame, lambda decoded=decoded: decoded)
        return tuple([made[key] if (key := self._key(medium)) in made else self.get(medium) for medium in media])

    def _missing(self, media: Sequence[Medium]) -> list[tuple[Video, list[int]]]:
        wanted: dict[str, tuple[Video, set[int]]] = {}
        for medium in media:
            if isinstance(medium, Image) and medium.frame is not None and self._key(medium) not in self._kept:
                video, number = medium.frame
                wanted.setdefault(video.content_hash, (video, set()))[1].add(number)
        return [(video, sorted(numbers)) for video, numbers in wanted.values()]

    def _key(self, medium: Medium) -> str:
        return f"{medium.content_hash}:{self._settings[:16]}"

    def _get(self, medium: Medium, decode: Callable[[], Any]) -> Picture:
        key = self._key(medium)
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
            picture = self._make(key, decode)
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

    def _decoded(self, medium: Medium) -> Any:
        return medium.pil() if isinstance(medium, Image) else medium.mono(int(self.processor.sampling_rate))

    def _make(self, key: str, decode: Callable[[], Any]) -> Picture:
        decoded = decode()
        process = self.layout.process or (picture_inputs if self.layout.takes is Image else sound_inputs)
        made = process(self.processor, self.layout, decoded)
        with self._lock:
            self.decoded += 1
            self.preprocessed += 1
        text = self.layout.expand(made)
        unused = ("rows", "cols", "num_crops")
        inputs = {name: value for name, value in made.items() if isinstance(value, Tensor) and name not in unused}
        return Picture(Pixels(key, inputs, text.count(self.layout.token)), text)


def picture_inputs(processor: Any, layout: PictureLayout, decoded: Any) -> Mapping[str, Any]:
    """What the image processor gives for one picture."""
    given = [[decoded]] if layout.nested else [decoded]
    return processor(images=given, return_tensors="pt", **dict(layout.arguments or {}))


def sound_inputs(processor: Any, layout: PictureLayout, samples: Tensor) -> Mapping[str, Any]:
    """What the feature extractor gives for one sound ``[samples]``: log-mel frames padded to its longest sound.

    Raises:
        MediaError: ``too_long_sound``, ``too_short_sound``; nothing is cut silently.
    """
    rate, longest = int(processor.sampling_rate), int(processor.n_samples)
    name = f"{samples.numel() / rate:.1f} s of sound"
    if samples.numel() > longest:
        raise MediaError("too_long_sound", name, f"this backbone hears at most {longest / rate:.0f} s: cut it")
    made = processor(
        samples.numpy(), sampling_rate=rate, padding="max_length", return_attention_mask=True, return_tensors="pt"
    )
    inputs = {"input_features": made["input_features"], "feature_attention_mask": made["attention_mask"]}
    if not layout.expand(inputs):
        raise MediaError("too_short_sound", name, "not a single token of this backbone")
    return inputs


def pictures_for(processor: Any, layout: PictureLayout | None, frames: Frames | None) -> Pictures | None:
    """The pictures or sounds of a backbone, None for text; ``frames`` of a video where it takes pictures."""
    if layout is None:
        return None
    return Pictures(processor, layout, frames=frames if layout.takes is Image else None)


def preprocessing_fingerprint(processor: Any, layout: PictureLayout) -> str:
    """sha256 of the processor's settings and of the layout's tokens."""
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


def sound_processor(source: Any, **arguments: Any) -> Any:
    """The feature extractor of a checkpoint: log-mel frames in numpy."""
    from transformers import AutoFeatureExtractor

    return cast("Any", AutoFeatureExtractor).from_pretrained(source, **arguments)


def processor_of(source: Any, layout: PictureLayout, **arguments: Any) -> Any:
    """The processor that a layout needs, of a checkpoint."""
    return (pil_processor if layout.takes is Image else sound_processor)(source, **arguments)
