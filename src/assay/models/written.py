"""A transformers backbone on disk: weights, tokenizer, template and preprocessing, and reading them back."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from assay.models.adapters import putting_on_adapters
from assay.models.checkpoint import CheckpointError, read_header, safetensors_file
from assay.models.classifier_form import as_classifier, pad_token
from assay.models.families import base_of
from assay.models.frames import Frames
from assay.models.hf import Backbone, load_module, located, quiet
from assay.models.pictures import picture_layout, pictures_for, processor_of
from assay.models.placement import placement
from assay.models.templates import ChatTemplate, PrefixTemplate, Template
from assay.models.tokenise import tokenizer_fingerprint
from assay.records import Record, Response

_SAMPLES = ("The answer is 42, not 1 2 3.", "naïve café — 東京 😀", "a  b\n\tc <unk> [MASK] </s>", "")
_CHECKED = ("template", "tokenizer", "preprocessing", "configuration")


def write(backbone: Backbone, directory: Path, head: nn.Module, *, adapter: bool = False) -> dict[str, Any]:
    """Write a backbone; what `read` needs beside the files.

    peft adapters are merged into a copy of the weights; with ``adapter`` only they are written, and the backbone is
    named by its source. A text backbone with a plain scalar head is written as the sequence classifier that
    transformers loads alone.

    Raises:
        ValueError: the template has no written form, or ``adapter`` without peft or source.
    """
    import transformers

    written: dict[str, Any] = {
        "read": "assay.models.written:read",
        "transformers": transformers.__version__,
        "model": type(base_of(backbone.module)).__name__,
        "tokenizer": type(backbone.tokenizer).__name__,
        "template": _written_template(backbone.template),
        "fingerprints": fingerprints(backbone),
        "max_length": backbone.max_length,
        "ids": _sample_ids(backbone),
        "dialogues": _sample_dialogues(backbone),
        "frames": asdict(shown) if (shown := _frames(backbone)) is not None else None,
        "adapter": None,
        "transformers_class": None,
    }
    if adapter:
        written["adapter"] = _write_adapter(backbone, directory)
    else:
        written["transformers_class"] = _write_model(backbone, head, directory)
    _write_inputs(backbone, directory)
    return written


def read(
    directory: Path,
    written: Mapping[str, Any],
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
) -> Backbone:
    """A backbone as it was written. Template, tokenizer, preprocessing and configuration must be the same, and sample
    texts must give the same token ids.

    Raises:
        CheckpointError: the files are damaged, pickled or hostile, or no longer what was written.
    """
    where = placement(device, dtype)
    adapter = written["adapter"]
    module = load_module(located(adapter["base"]) if adapter else directory, where)
    tokenizer = own_tokenizer(directory, written["tokenizer"])
    layout = picture_layout(cast("Any", module).config, tokenizer)
    processor = processor_of(directory, layout, local_files_only=True) if layout is not None else None
    frames = Frames(**written["frames"]) if written.get("frames") is not None else None
    backbone = Backbone(
        module=with_adapter(module, directory / "adapter") if adapter else module,
        tokenizer=tokenizer,
        template=_read_template(written["template"], tokenizer, layout),
        placement=where,
        max_length=written["max_length"],
        layout=layout,
        pictures=pictures_for(processor, layout, frames),
        source=str(directory),
    )
    _check_inputs(directory, backbone, written)
    return backbone


def fingerprints(backbone: Backbone) -> dict[str, str]:
    """What shapes a backbone's input and arithmetic: template, tokenizer, preprocessing, configuration, dtype."""
    config = arithmetic(cast("Mapping[str, Any]", backbone.config.to_dict()))
    return {
        "template": backbone.template.fingerprint,
        "tokenizer": tokenizer_fingerprint(backbone.tokenizer),
        "preprocessing": backbone.pictures.fingerprint if backbone.pictures is not None else "",
        "configuration": hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest(),
        "dtype": str(next(backbone.module.parameters()).dtype),
    }


_NOT_ARITHMETIC = frozenset(
    {"_name_or_path", "transformers_version", "architectures", "torch_dtype", "dtype", "num_labels", "id2label"}
    | {"label2id", "problem_type", "pad_token_id", "bos_token_id", "eos_token_id", "use_cache", "output_attentions"}
    | {"output_hidden_states", "return_dict", "attn_implementation", "_attn_implementation", "tie_word_embeddings"}
    | {"chunk_size_feed_forward", "is_encoder_decoder"}
)


def arithmetic(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a configuration that change what the model computes."""
    kept = {name: value for name, value in config.items() if name not in _NOT_ARITHMETIC}
    return {name: arithmetic(v) if isinstance(v, Mapping) else v for name, v in sorted(kept.items())}


def _write_model(backbone: Backbone, head: nn.Module, directory: Path) -> str | None:
    module = merged(backbone.module)
    classifier = as_classifier(module, head, backbone)
    stored = classifier if classifier is not None else module
    with quiet():
        cast("Any", stored).save_pretrained(directory)
    return type(stored).__name__ if classifier is not None else None


def _frames(backbone: Backbone) -> Frames | None:
    return backbone.pictures.frames if backbone.pictures is not None else None


def _written_template(template: Template) -> dict[str, Any]:
    if isinstance(template, ChatTemplate):
        names = ("source", "parts", "adds", "parses_control_tokens")
        return {"kind": "chat", **{name: getattr(template, name) for name in names}}
    if isinstance(template, PrefixTemplate):
        return {"kind": "prefix", "parses_control_tokens": template.parses_control_tokens}
    raise ValueError(f"a {type(template).__name__} has no written form")


def sample_records() -> list[Record]:
    """Two records that any backbone takes, with their steps marked: what samples of ids and scores are taken of."""
    return [
        Record.of(
            text,
            [Response.from_steps(["Yes, that", "is right."], " "), Response.from_steps([text])],
            id=f"sample-{i}",
        )
        for i, text in enumerate(_SAMPLES[:2])
    ]


def _sample_ids(backbone: Backbone) -> list[list[int]]:
    return [backbone.tokenizer(text, add_special_tokens=False)["input_ids"] for text in _SAMPLES]


def _sample_dialogues(backbone: Backbone) -> list[list[int]]:
    prepared = backbone.prepare(sample_records(), max_length=2**30)  # whatever length the reward accepts
    return [sequence.ids.tolist() for group in prepared.batch.groups for sequence in group]


def merged(module: nn.Module) -> nn.Module:
    """The module with its peft adapters merged into a copy of its weights; a module without adapters as it is."""
    if base_of(module) is module:
        return module
    return cast("Any", copy.deepcopy(module)).merge_and_unload()


def _write_adapter(backbone: Backbone, directory: Path) -> dict[str, Any]:
    if base_of(backbone.module) is backbone.module:
        raise ValueError("adapter=True needs a backbone wrapped by peft; this one has no adapter")
    if backbone.source == "memory":
        raise ValueError("adapter=True names the backbone by its source, but this one was built in memory: save merged")
    cast("Any", backbone.module).save_pretrained(directory / "adapter", safe_serialization=True)
    source = Path(backbone.source)
    return {"base": str(source.resolve()) if source.is_dir() else backbone.source}


def _write_inputs(backbone: Backbone, directory: Path) -> None:
    tokenizer = copy.deepcopy(backbone.tokenizer)
    pad = pad_token(backbone)
    if pad is not None:
        tokenizer.pad_token = pad
    if isinstance(backbone.template, ChatTemplate) and not backbone.template.adds:
        tokenizer.chat_template = backbone.template.source
    tokenizer.save_pretrained(directory)
    if backbone.pictures is not None:
        backbone.pictures.processor.save_pretrained(directory)


def own_tokenizer(place: Path, name: str) -> Any:
    """The tokenizer by its own class: the automatic choice goes by the model's class, and may split text otherwise."""
    import transformers

    kind = getattr(transformers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedTokenizerBase)):
        raise CheckpointError(f"{place}: this transformers ({transformers.__version__}) has no tokenizer {name!r}")
    return cast("Any", kind).from_pretrained(place, local_files_only=True)


def with_adapter(module: nn.Module, directory: Path) -> nn.Module:
    """The module with the peft adapter that lies in a directory, put on and not merged.

    Raises:
        CheckpointError: the adapter is pickled, damaged or hostile.
    """
    from peft import PeftModel

    read_header(safetensors_file(directory, "adapter_model"))
    with putting_on_adapters():
        return cast("Any", PeftModel).from_pretrained(module, str(directory), is_trainable=False).eval()


def _read_template(written: Mapping[str, Any], tokenizer: Any, layout: Any) -> Template:
    options = {name: value for name, value in written.items() if name != "kind"}
    if written["kind"] == "prefix":
        return PrefixTemplate(tokenizer, layout, **options)
    return ChatTemplate(tokenizer, layout=layout, **options)


def _check_inputs(place: Path, backbone: Backbone, written: Mapping[str, Any]) -> None:
    found = fingerprints(backbone)
    for name in _CHECKED:
        if found[name] != written["fingerprints"][name]:
            raise CheckpointError(
                f"{place}: the {name} is not the one this reward was trained with, so its scores would mean nothing; "
                "restore the files as they were saved"
            )
    own = backbone.tokenizer.chat_template
    if isinstance(backbone.template, ChatTemplate) and own is not None and own != backbone.template.source:
        raise CheckpointError(
            f"{place}: the tokenizer's chat template is not the one this reward was trained with; "
            "restore chat_template.jinja as it was saved"
        )
    if _sample_ids(backbone) != written["ids"] or _sample_dialogues(backbone) != written["dialogues"]:
        raise CheckpointError(
            f"{place}: sample texts no longer give the token ids they gave when it was saved (saved with transformers "
            f"{written['transformers']}); its scores would differ"
        )
