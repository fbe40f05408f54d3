"""A learned reward on disk: a directory that is whole or absent, and that is refused when it no longer fits itself."""

from __future__ import annotations

import copy
import json
import os
import shutil
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

import assay
from assay.models.adapters import putting_on_adapters
from assay.models.checkpoint import CheckpointError, read_header, safetensors_file
from assay.models.families import base_of
from assay.models.heads import ScalarHead
from assay.models.hf import Backbone, load_module, located, quiet
from assay.models.pictures import Pictures, picture_layout, pil_processor
from assay.models.placement import placement
from assay.models.prepare import OnTooLong, abstain, truncate_prompt
from assay.models.templates import ChatTemplate, PrefixTemplate, Template
from assay.records import Record
from assay.rewards.card import write_card
from assay.rewards.classifier_form import as_classifier, pad_token
from assay.rewards.learned import LearnedReward, Reference, input_fingerprints

MANIFEST = "assay.json"
MARKER = "COMPLETE.json"
_FORMAT = 1
_SAMPLES = ("The answer is 42, not 1 2 3.", "naïve café — 東京 😀", "a  b\n\tc <unk> [MASK] </s>", "")
_POLICIES: dict[str, OnTooLong] = {"abstain": abstain, "truncate_prompt": truncate_prompt}
_CHECKED = ("template", "tokenizer", "preprocessing", "configuration")


def save(reward: LearnedReward, directory: str | Path, *, adapter: bool = False) -> Path:
    """Write the reward so that `load` gives the same scores; the directory appears whole, by a rename, or not at all.

    Weights are safetensors. Beside them: configuration, tokenizer, image processor, fingerprints of template,
    tokenizer and preprocessing, samples of token ids and scores, and the card. A text reward with a plain head is also
    what ``AutoModelForSequenceClassification.from_pretrained`` loads. peft adapters are merged into a copy of the
    backbone; with ``adapter`` only they and the head are written, and the backbone is named by its source.

    Raises:
        FileExistsError: the directory exists and is not a saved reward.
        ValueError: the head or the length policy has no written form, or ``adapter`` without peft or source.
    """
    place = Path(directory)
    if place.exists() and any(place.iterdir()) and not (place / MANIFEST).is_file():
        raise FileExistsError(
            f"{place}: it exists and is not a saved reward, so it is left alone; choose another place"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(reward)
    with whole(place) as partial:
        if adapter:
            manifest["adapter"] = _write_adapter(reward.backbone, partial)
            form = None
        else:
            form = _write_model(reward, partial)
        _write_head(reward.head, partial)
        _write_inputs(reward.backbone, partial)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        write_card(partial, _facts(reward), transformers_class=form)
    return place


def load(
    directory: str | Path,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    verify: bool = True,
) -> LearnedReward:
    """A saved reward. Template, tokenizer, preprocessing and configuration must be those it was saved with, and the
    sample token ids must come out as they did; with ``verify`` so must the sample scores (float32: 1e-3).

    Raises:
        CheckpointError: an unfinished, damaged, pickled or hostile directory, or one that no longer fits itself.
    """
    place = Path(directory)
    manifest = _read(place)
    backbone = _backbone(place, manifest, device, dtype)
    _check_inputs(place, backbone, manifest)
    head = ScalarHead(backbone.hidden_size, bias=manifest["head"]["bias"], norm=manifest["head"]["norm"])
    _fill_head(head, place / "head.safetensors")
    reference = manifest["reference"]
    reward = LearnedReward(
        backbone,
        head,
        max_length=manifest["max_length"],
        on_too_long=_POLICIES[manifest["on_too_long"]],
        reference=_reference(reference) if reference else None,
        card=manifest["card"],
    )
    if verify:
        _check_scores(place, reward, manifest)
    return reward


@contextmanager
def whole(place: Path) -> Generator[Path]:
    """A hidden directory to write into: marked, flushed and renamed to ``place`` on leaving, removed on an error."""
    partial = place.with_name(f".{place.name}.partial-{uuid.uuid4().hex[:8]}")
    partial.mkdir()
    try:
        yield partial
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        sizes = {str(path.relative_to(partial)): path.stat().st_size for path in files}
        (partial / MARKER).write_text(json.dumps(sizes, indent=2) + "\n", encoding="utf-8")
        for path in (*files, partial / MARKER, *(p for p in partial.rglob("*") if p.is_dir()), partial):
            _flush(path)
        if place.exists():
            old = place.with_name(f".{place.name}.replaced-{uuid.uuid4().hex[:8]}")
            place.rename(old)
            partial.rename(place)
            shutil.rmtree(old)
        else:
            partial.rename(place)
        _flush(place.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _manifest(reward: LearnedReward) -> dict[str, Any]:
    if not isinstance(reward.head, ScalarHead):
        raise ValueError(f"a {type(reward.head).__name__} has no written form: only a ScalarHead is saved")
    policy = next((name for name, known in _POLICIES.items() if known is reward.on_too_long), None)
    if policy is None:
        raise ValueError(f"on_too_long={reward.on_too_long!r} has no written form: use abstain or truncate_prompt")
    import transformers

    return {
        "format": _FORMAT,
        "assay": assay.__version__,
        "transformers": transformers.__version__,
        "model": type(base_of(reward.backbone.module)).__name__,
        "tokenizer": type(reward.backbone.tokenizer).__name__,
        "dtype": str(reward.backbone.placement.dtype),
        "head": {"bias": reward.head.has_bias, "norm": reward.head.norm is not None},
        "template": _written_template(reward.backbone.template),
        "fingerprints": input_fingerprints(reward.backbone),
        "max_length": reward.max_length,
        "on_too_long": policy,
        "reference": asdict(reward.reference) if reward.reference else None,
        "samples": _samples(reward),
        "card": json.loads(json.dumps(dict(reward.card), default=str)),
        "adapter": None,
    }


def _written_template(template: Template) -> dict[str, Any]:
    if isinstance(template, ChatTemplate):
        names = ("source", "parts", "adds", "parses_control_tokens")
        return {"kind": "chat", **{name: getattr(template, name) for name in names}}
    if isinstance(template, PrefixTemplate):
        return {"kind": "prefix", "parses_control_tokens": template.parses_control_tokens}
    raise ValueError(f"a {type(template).__name__} has no written form")


def _sample_records() -> list[Record]:
    return [Record.of(text, ["Yes, that is right.", text], id=f"sample-{i}") for i, text in enumerate(_SAMPLES[:2])]


def _samples(reward: LearnedReward) -> dict[str, Any]:
    scores = reward(_sample_records())
    return {
        "ids": _sample_ids(reward.backbone),
        "dialogues": _sample_dialogues(reward.backbone),
        "scores": [value if value == value else None for value in scores.values.tolist()],
    }


def _sample_ids(backbone: Backbone) -> list[list[int]]:
    return [backbone.tokenizer(text, add_special_tokens=False)["input_ids"] for text in _SAMPLES]


def _sample_dialogues(backbone: Backbone) -> list[list[int]]:
    prepared = backbone.prepare(_sample_records(), max_length=2**30)  # whatever length the reward accepts
    return [sequence.ids.tolist() for group in prepared.batch.groups for sequence in group]


def _write_model(reward: LearnedReward, partial: Path) -> str | None:
    module = merged(reward.backbone.module)
    classifier = as_classifier(module, reward.head, reward.backbone)
    stored = classifier if classifier is not None else module
    with quiet():
        cast("Any", stored).save_pretrained(partial)
    return type(stored).__name__ if classifier is not None else None


def merged(module: nn.Module) -> nn.Module:
    """The module with its peft adapters merged into a copy of its weights; a module without adapters as it is."""
    if base_of(module) is module:
        return module
    return cast("Any", copy.deepcopy(module)).merge_and_unload()


def _write_adapter(backbone: Backbone, partial: Path) -> dict[str, Any]:
    if base_of(backbone.module) is backbone.module:
        raise ValueError("adapter=True needs a backbone wrapped by peft; this one has no adapter")
    if backbone.source == "memory":
        raise ValueError("adapter=True names the backbone by its source, but this one was built in memory: save merged")
    cast("Any", backbone.module).save_pretrained(partial / "adapter", safe_serialization=True)
    source = Path(backbone.source)
    return {"base": str(source.resolve()) if source.is_dir() else backbone.source}


def _write_head(head: nn.Module, partial: Path) -> None:
    from safetensors.torch import save_file

    weights = {name: weight.detach().cpu().contiguous() for name, weight in head.state_dict().items()}
    save_file(weights, partial / "head.safetensors")


def _write_inputs(backbone: Backbone, partial: Path) -> None:
    tokenizer = copy.deepcopy(backbone.tokenizer)
    pad = pad_token(backbone)
    if pad is not None:
        tokenizer.pad_token = pad
    if isinstance(backbone.template, ChatTemplate) and not backbone.template.adds:
        tokenizer.chat_template = backbone.template.source
    tokenizer.save_pretrained(partial)
    if backbone.pictures is not None:
        backbone.pictures.processor.save_pretrained(partial)


def _facts(reward: LearnedReward) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "kind": "learned reward: a scalar head on the last token of a backbone",
        "backbone": f"{type(base_of(reward.backbone.module)).__name__} from {reward.backbone.source}",
        "weights": sum(weight.numel() for weight in reward.parameters()),
        "takes": ", ".join(sorted(reward.backbone.modalities)),
        "unit": "score; only differences between responses to one prompt were trained unless said otherwise",
        "longest_sequence": f"{reward.max_length} tokens",
        "fingerprint": reward.fingerprint(),
    }
    if reward.reference:
        facts["reference"] = {"mean": reward.reference.mean, "std": reward.reference.std, "rows": reward.reference.rows}
    return {**facts, **reward.card}


def is_saved(directory: Path) -> bool:
    """Whether a directory claims to be a saved reward."""
    return (directory / MANIFEST).is_file()


def _read(place: Path) -> dict[str, Any]:
    if not place.is_dir():
        raise CheckpointError(f"{place}: there is no such directory")
    try:
        sizes = cast("Mapping[str, int]", json.loads((place / MARKER).read_text(encoding="utf-8")))
        manifest = cast("dict[str, Any]", json.loads((place / MANIFEST).read_text(encoding="utf-8")))
        format_number = manifest["format"]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{place}: {Path(error.filename).name} is missing, so this is not a whole saved reward"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{place}: its manifest or marker is damaged: {error}") from error
    if format_number != _FORMAT:
        raise CheckpointError(f"{place}: written in format {format_number}, this version reads format {_FORMAT}")
    for name, size in sizes.items():
        file = place / name
        if not file.is_file() or file.stat().st_size != size:
            found = f"{file.stat().st_size} bytes" if file.is_file() else "missing"
            raise CheckpointError(f"{file}: {found}, but {size} bytes were written: the directory is damaged")
    return manifest


def _backbone(
    place: Path, manifest: Mapping[str, Any], device: str | torch.device, dtype: str | torch.dtype
) -> Backbone:
    where = placement(device, dtype)
    adapter = manifest["adapter"]
    module = load_module(located(adapter["base"]) if adapter else place, where)
    tokenizer = _tokenizer(place, manifest["tokenizer"])
    layout = picture_layout(cast("Any", module).config, tokenizer)
    processor = pil_processor(place, local_files_only=True) if layout is not None else None
    return Backbone(
        module=_with_adapter(module, place / "adapter") if adapter else module,
        tokenizer=tokenizer,
        template=_read_template(manifest["template"], tokenizer, layout),
        placement=where,
        max_length=manifest["max_length"],
        layout=layout,
        pictures=Pictures(processor, layout) if layout is not None else None,
        source=str(place),
    )


def _tokenizer(place: Path, name: str) -> Any:
    """The tokenizer by its own class: the automatic choice goes by the model's class, and may split text otherwise."""
    import transformers

    kind = getattr(transformers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedTokenizerBase)):
        raise CheckpointError(f"{place}: this transformers ({transformers.__version__}) has no tokenizer {name!r}")
    return cast("Any", kind).from_pretrained(place, local_files_only=True)


def _with_adapter(module: nn.Module, directory: Path) -> nn.Module:
    from peft import PeftModel

    read_header(safetensors_file(directory, "adapter_model"))
    with putting_on_adapters():
        return cast("Any", PeftModel).from_pretrained(module, str(directory), is_trainable=False).eval()


def _read_template(written: Mapping[str, Any], tokenizer: Any, layout: Any) -> Template:
    options = {name: value for name, value in written.items() if name != "kind"}
    if written["kind"] == "prefix":
        return PrefixTemplate(tokenizer, layout, **options)
    return ChatTemplate(tokenizer, layout=layout, **options)


def _check_inputs(place: Path, backbone: Backbone, manifest: Mapping[str, Any]) -> None:
    found = input_fingerprints(backbone)
    for name in _CHECKED:
        if found[name] != manifest["fingerprints"][name]:
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
    samples = manifest["samples"]
    if _sample_ids(backbone) != samples["ids"] or _sample_dialogues(backbone) != samples["dialogues"]:
        raise CheckpointError(
            f"{place}: sample texts no longer give the token ids they gave when it was saved (saved with transformers "
            f"{manifest['transformers']}); its scores would differ"
        )


def _reference(written: Mapping[str, Any]) -> Reference:
    return Reference(written["mean"], written["std"], tuple(written["quantiles"]), written["rows"])


def _fill_head(head: ScalarHead, file: Path) -> None:
    from safetensors.torch import load_file

    held = {name: shape for name, (_, shape) in read_header(file).items()}
    wanted = {name: tuple(weight.shape) for name, weight in head.state_dict().items()}
    if held != wanted:
        raise CheckpointError(f"{file}: holds {held}, but the head is {wanted}")
    head.load_state_dict(load_file(file))


def _check_scores(place: Path, reward: LearnedReward, manifest: Mapping[str, Any]) -> None:
    exact = manifest["dtype"] == str(torch.float32) == str(reward.backbone.placement.dtype)
    tolerance = 1e-3 if exact else 0.1
    found = reward(_sample_records()).values.tolist()
    for before, now in zip(manifest["samples"]["scores"], found, strict=True):
        if before is not None and not abs(now - before) <= tolerance * max(1.0, abs(before)):
            raise CheckpointError(
                f"{place}: a sample scored {before:.6g} when the reward was saved and scores {now:.6g} now "
                f"({manifest['dtype']} then, {reward.backbone.placement.dtype} now; transformers then "
                f"{manifest['transformers']}): weights or arithmetic changed. verify=False loads it all the same"
            )
