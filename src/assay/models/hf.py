"""Backbones from transformers: a model without its output layer, and all that makes a record its input."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from assay.media import Audio, Image
from assay.models.base import Batch, Pixels
from assay.models.causal import reads_ahead
from assay.models.checkpoint import CheckpointError, check_checkpoint
from assay.models.frames import EIGHT, Frames, holds_video, unrolled
from assay.models.pictures import PictureLayout, Pictures, picture_layout, pictures_for, processor_of
from assay.models.placement import Placement, placement
from assay.models.prepare import OnTooLong, Prepared, abstain, prepare, refused
from assay.models.reading import Reader, Where, last
from assay.models.templates import Template, pictures_of, template_of
from assay.models.tokenise import Tokeniser
from assay.records import Message, Record
from assay.scores import Status

_READS_AHEAD = (
    "{name} reads in both directions: the state at a step's end depends on the steps behind it. Take a causal model, "
    "or score each prefix as a response of its own (assay.records.steps.up_to_step) with the last token read"
)
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "adapter/*")


@final
@dataclass(frozen=True, eq=False)
class Backbone:
    """A transformers model that returns ``last_hidden_state``, and everything that makes a record its input.

    ``module`` may be wrapped by peft. ``source`` is where it came from, a path, a hub id or ``memory``. ``max_length``
    is the longest sequence in tokens.
    """

    module: nn.Module
    tokenizer: Any
    template: Template
    placement: Placement
    max_length: int
    layout: PictureLayout | None = None
    pictures: Pictures | None = None
    source: str = "memory"

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return cast("Any", self.module).config

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states that a head reads."""
        return int(self.config.get_text_config().hidden_size)

    @property
    def modalities(self) -> frozenset[str]:
        """What it takes in."""
        if self.pictures is None:
            return frozenset({"text"})
        if self.pictures.layout.takes is Audio:
            return frozenset({"text", "audio"})
        return frozenset({"text", "image", *(["video"] if self.pictures.frames is not None else [])})

    @property
    def gaps(self) -> bool:
        """Every state is computed."""
        return False

    @cached_property
    def tokenise(self) -> Tokeniser:
        """Written segments to token sequences."""
        return Tokeniser(self.tokenizer, self.layout)

    def prepare(
        self,
        records: Sequence[Record],
        *,
        max_length: int | None = None,
        on_too_long: OnTooLong = abstain,
        read: Where = last,
        prompt: bool = False,
    ) -> Prepared:
        """Token sequences and pictures for every response of the records, and the status of those that have none.

        ``read`` chooses the tokens whose states a head is given, ``prompt`` puts the prompt's last token first. A model
        that reads in both directions has no score of a step as it is read: all abstain as ``INVALID``.
        """
        if Reader(read, prompt).reads_steps and reads_ahead(self):
            return refused(records, Status.INVALID, _READS_AHEAD.format(name=type(self.module).__name__))
        return prepare(
            records,
            template=self.template,
            tokenise=self.tokenise,
            pictures=self.pictures,
            limit=max_length or self.max_length,
            on_too_long=on_too_long,
            read=read,
            prompt=prompt,
        )

    def encode(self, batch: Batch, /, **options: Any) -> list[Tensor]:
        """For each sequence, in order over groups, its states ``[reads, hidden]``; options as in `sharing.encode`."""
        from assay.models.families import family_of
        from assay.models.sharing import encode

        return encode(self.module, family_of(self.module), batch, **options)

    def pixels(self, messages: Sequence[Message], /) -> dict[str, Pixels]:
        """The pictures, frames and sounds of a dialogue, preprocessed, by the keys that its sequence names."""
        if self.pictures is None:
            return {}
        if self.pictures.frames is not None and holds_video(messages):
            messages = unrolled(messages, self.pictures.frames)
        shown = (picture.pixels for picture in self.pictures.all(pictures_of(messages)))
        return {pixels.key: pixels for pixels in shown}

    def fingerprints(self) -> dict[str, str]:
        """What shapes input and arithmetic: template, tokenizer, preprocessing, configuration, dtype."""
        from assay.models.written import fingerprints

        return fingerprints(self)

    def write(self, directory: Path, head: nn.Module, /, *, adapter: bool = False) -> dict[str, Any]:
        """Write it into a directory (see `models.written.write`)."""
        from assay.models.written import write

        return write(self, directory, head, adapter=adapter)

    def describe(self) -> str:
        """One line: the class, where it runs, in which format, and why."""
        return f"{type(self.module).__name__} from {self.source}; {self.placement.reason}"

    def with_module(self, module: nn.Module, /) -> Backbone:
        """The same backbone around another module: one wrapped by peft, or merged again."""
        return replace(self, module=module)


def backbone_from(
    module: nn.Module,
    tokenizer: Any,
    processor: Any = None,
    *,
    template: str | None = None,
    max_length: int | None = None,
    source: str = "memory",
    where: Placement | None = None,
    frames: Frames | None = EIGHT,
) -> Backbone:
    """A backbone around a model in memory; ``template`` is a Jinja chat template used instead of the tokenizer's.

    ``processor`` is the image processor, or the feature extractor of a model that hears. ``frames`` are what a model
    that takes pictures is shown of a video; None refuses videos.

    Raises:
        ValueError: a model that takes pictures or sounds without processor, or one that is not known here.
    """
    config = cast("Any", module).config
    layout = picture_layout(config, tokenizer)
    if layout is not None and processor is None:
        pictures = "pictures: give its image processor (the PIL form)"
        needed = pictures if layout.takes is Image else "sounds: give its feature extractor"
        raise ValueError(f"{config.model_type!r} takes {needed}")
    weight = next(module.parameters())
    return Backbone(
        module=module.eval(),
        tokenizer=tokenizer,
        template=template_of(tokenizer, layout, model_type=str(config.model_type), source=template),
        placement=where or Placement(weight.device, weight.dtype, f"{weight.device}, {weight.dtype}: as it was given"),
        max_length=max_length or _longest(config, tokenizer),
        layout=layout,
        pictures=pictures_for(processor, layout, frames),
        source=source,
    )


def load_backbone(
    path_or_id: str | Path,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    local_files_only: bool = False,
    attention: str = "sdpa",
    template: str | None = None,
    max_length: int | None = None,
    frames: Frames | None = EIGHT,
) -> Backbone:
    """A backbone from a local directory or a hub id; the network is used only for a hub id that is not cached.

    Text: any causal language model. Pictures, and videos as their ``frames``: LLaVA, Idefics3, SmolVLM, PaliGemma,
    Gemma3, Qwen2-VL to Qwen3-VL, by their PIL image processors. Sound: Qwen2-Audio. Weights are read from safetensors
    only, and no code of the checkpoint is run.

    Raises:
        CheckpointError: a pickled, damaged or hostile checkpoint, or weights that are missing.
        FileNotFoundError: neither a directory nor a hub id.
    """
    place = located(path_or_id, local_files_only=local_files_only)
    where = placement(device, dtype)
    module = load_module(place, where, attention=attention)
    tokenizer = read_tokenizer(place)
    layout = picture_layout(cast("Any", module).config, tokenizer)
    return backbone_from(
        module,
        tokenizer,
        processor_of(place, layout, local_files_only=True) if layout is not None else None,
        template=template or _processor_template(place, tokenizer),
        max_length=max_length,
        source=str(path_or_id),
        where=where,
        frames=frames,
    )


def load_module(place: Path, where: Placement, *, attention: str | None = "sdpa", kind: Any = None) -> nn.Module:
    """The model of `load_backbone` alone: safetensors only, every weight found, none of the checkpoint's code run.

    ``kind`` is another class of transformers than ``AutoModel``; ``attention`` None is what the class chooses.
    """
    from transformers import AutoConfig, AutoModel

    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = cast("Any", AutoConfig).from_pretrained(place, **local)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{place}: no model configuration could be read: {error}") from error
    check_checkpoint(place, config)
    options: dict[str, Any] = {"dtype": where.dtype, "use_safetensors": True, **local}
    options |= {"attn_implementation": attention} if attention is not None else {}
    try:
        with quiet():
            module, report = cast("Any", kind or AutoModel).from_pretrained(
                place, config=config, output_loading_info=True, **options
            )
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise CheckpointError(
            f"{place}: the weights do not fit the configuration, or could not be read: {error}"
        ) from error
    check_loaded(str(place), report)
    return cast("nn.Module", module).to(where.device).eval()


def read_tokenizer(place: Path) -> Any:
    """The tokenizer of a checkpoint directory, as transformers chooses it."""
    from transformers import AutoTokenizer

    return cast("Any", AutoTokenizer).from_pretrained(place, local_files_only=True, trust_remote_code=False)


@contextmanager
def quiet() -> Generator[None]:
    """Keep transformers from printing progress and reports while it loads or saves; failures still raise."""
    from transformers.utils import logging

    level, shows = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shows:
            logging.enable_progress_bar()


def located(path_or_id: str | Path, *, local_files_only: bool = False) -> Path:
    """The directory of a checkpoint; a hub id is downloaded unless cached, a path that exists is never looked up.

    Only safetensors, configurations and tokenizer files are downloaded.

    Raises:
        FileNotFoundError: neither a directory nor a hub id, or the hub does not give it.
    """
    text = str(path_or_id)
    path = Path(text).expanduser()
    if path.is_dir():
        return path
    if isinstance(path_or_id, Path) or not _HUB_ID.match(text) or path.exists():
        raise FileNotFoundError(f"{text}: there is no such directory, and it does not look like a hub id (owner/name)")
    from huggingface_hub import snapshot_download

    try:
        found = cast("Any", snapshot_download)(text, allow_patterns=list(_FILES), local_files_only=local_files_only)
    except Exception as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise FileNotFoundError(
            f"{text}: there is no such directory, and the hub does not give it ({type(error).__name__}: {reason})"
        ) from error
    return Path(found)


def check_loaded(source: str, report: Any) -> None:
    """Refuse a checkpoint that left weights of the model at random.

    Raises:
        CheckpointError: weights are missing from the files, or have another shape than the model's.
    """
    wrong = [str(key) for name in ("missing_keys", "mismatched_keys") for key in report[name]]
    if wrong:
        shown = ", ".join(sorted(wrong)[:5])
        raise CheckpointError(f"{source}: {len(wrong)} weights of the model are not in the files ({shown}, ...)")


def _longest(config: Any, tokenizer: Any) -> int:
    known = [getattr(config.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length]
    return min([int(length) for length in known if length is not None and 0 < length < 10**7] or [10**7])


def _processor_template(directory: Path, tokenizer: Any) -> str | None:
    file = directory / "chat_template.json"
    if tokenizer.chat_template is not None or not file.is_file():
        return None
    return str(json.loads(file.read_text(encoding="utf-8"))["chat_template"])
