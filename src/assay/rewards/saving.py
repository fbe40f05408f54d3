"""A learned reward on disk: a directory that is whole or absent, and that is refused when it no longer fits itself."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

import assay
from assay.models import named
from assay.models.base import Encoder
from assay.models.checkpoint import CheckpointError, read_header
from assay.models.condition import Condition
from assay.models.families import base_of
from assay.models.frames import Frames
from assay.models.prepare import OnTooLong, abstain, truncate_prompt
from assay.models.reading import Where
from assay.models.written import sample_records
from assay.rewards.card import write_card
from assay.rewards.learned import LearnedReward, Reference

MANIFEST = "assay.json"
MARKER = "COMPLETE.json"
_FORMAT = 2
_HEADS = "assay.models.heads"
_POLICIES: dict[str, OnTooLong] = {"abstain": abstain, "truncate_prompt": truncate_prompt}


def save(reward: LearnedReward, directory: str | Path, *, adapter: bool = False) -> Path:
    """Write the reward so that `load` gives the same scores; the directory appears whole, by a rename, or not at all.

    Weights are safetensors. Beside them: configuration, tokenizer, image processor, fingerprints of template,
    tokenizer and preprocessing, samples of token ids and scores, the head's class and options, what it reads and what
    it is conditioned on, and the card. A text reward with a plain scalar head is also what
    ``AutoModelForSequenceClassification.from_pretrained`` loads. peft adapters are merged into a copy of the backbone;
    with ``adapter`` only they and the head are written, and the backbone is named by its source.

    Raises:
        FileExistsError: the directory exists and is not a saved reward.
        ValueError: the head, what it reads or the length policy has no written form, or ``adapter`` without peft or
            source.
    """
    place = Path(directory)
    if place.exists() and any(place.iterdir()) and not (place / MANIFEST).is_file():
        raise FileExistsError(
            f"{place}: it exists and is not a saved reward, so it is left alone; choose another place"
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(reward)
    with whole(place) as partial:
        manifest["backbone"] = reward.backbone.write(partial, reward.head, adapter=adapter)
        _write_head(reward.head, partial)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        write_card(partial, _facts(reward), transformers_class=manifest["backbone"].get("transformers_class"))
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
    read_backbone = cast("Callable[..., Encoder]", named.found(manifest["backbone"]["read"]))
    backbone = read_backbone(place, manifest["backbone"], device=device, dtype=dtype)
    head = _head(manifest["head"], place / "head.safetensors")
    reference, condition = manifest["reference"], manifest["condition"]
    reward = LearnedReward(
        backbone,
        head,
        read=cast("Where", named.found(manifest["read"])),
        condition=_condition(condition) if condition else None,
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
    policy = next((name for name, known in _POLICIES.items() if known is reward.on_too_long), None)
    if policy is None:
        raise ValueError(f"on_too_long={reward.on_too_long!r} has no written form: use abstain or truncate_prompt")
    return {
        "format": _FORMAT,
        "assay": assay.__version__,
        "dtype": str(reward.backbone.placement.dtype),
        "head": _written_head(reward.head),
        "read": named.path_of(reward.read),
        "condition": asdict(reward.condition) if reward.condition is not None else None,
        "max_length": reward.max_length,
        "on_too_long": policy,
        "reference": asdict(reward.reference) if reward.reference else None,
        "scores": [None if value != value else value for value in _sample_scores(reward)],
        "card": json.loads(json.dumps(dict(reward.card), default=str)),
    }


def _sample_scores(reward: LearnedReward) -> list[float]:
    """The scores of records that any reward takes, with a context that its condition knows."""
    records = sample_records()
    if (condition := reward.condition) is not None:
        value = condition.names[0] if condition.names else [1.0] * condition.width
        records = [replace(record, context={condition.column: value}) for record in records]
    return reward(records).values.tolist()


def _written_head(head: nn.Module) -> dict[str, Any]:
    options = cast("Callable[[], dict[str, Any]] | None", getattr(head, "options", None))
    if options is None:
        raise ValueError(
            f"a {type(head).__name__} has no written form: a head that is saved is a class of {_HEADS} with options()"
        )
    return {
        "class": named.path_of(type(head), _HEADS),
        "options": {name: named.written(value) for name, value in options().items()},
    }


def _write_head(head: nn.Module, partial: Path) -> None:
    from safetensors.torch import save_file

    weights = {name: weight.detach().cpu().contiguous() for name, weight in head.state_dict().items()}
    save_file(weights, partial / "head.safetensors")


def _facts(reward: LearnedReward) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "kind": f"learned reward: a {type(reward.head).__name__} on a backbone",
        "reads": getattr(reward.read, "__name__", repr(reward.read)),
        "backbone": f"{type(base_of(reward.backbone.module)).__name__} from {reward.backbone.source}",
        "weights": sum(weight.numel() for weight in reward.parameters()),
        "takes": ", ".join(sorted(reward.backbone.modalities)),
        "unit": "score; only differences between responses to one prompt were trained unless said otherwise",
        "longest_sequence": f"{reward.max_length} tokens",
        "fingerprint": reward.fingerprint(),
    }
    if reward.reference:
        facts["reference"] = {"mean": reward.reference.mean, "std": reward.reference.std, "rows": reward.reference.rows}
    if reward.condition is not None:
        facts["conditioned_on"] = asdict(reward.condition)
    frames = cast("Frames | None", getattr(getattr(reward.backbone, "pictures", None), "frames", None))
    if frames is not None:
        facts["frames_of_a_video"] = asdict(frames)
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
        raise CheckpointError(
            f"{place}: written in format {format_number}, this version reads format {_FORMAT}: "
            "load it with the version that wrote it, or train it again"
        )
    for name, size in sizes.items():
        file = place / name
        if not file.is_file() or file.stat().st_size != size:
            found = f"{file.stat().st_size} bytes" if file.is_file() else "missing"
            raise CheckpointError(f"{file}: {found}, but {size} bytes were written: the directory is damaged")
    return manifest


def _condition(written: Mapping[str, Any]) -> Condition:
    return Condition(written["column"], written["width"], written["abstains"], tuple(written["names"]))


def _reference(written: Mapping[str, Any]) -> Reference:
    return Reference(written["mean"], written["std"], tuple(written["quantiles"]), written["rows"])


def _head(written: Mapping[str, Any], file: Path) -> nn.Module:
    """The head of the class that was saved, which must be one of this package, with its weights."""
    from safetensors.torch import load_file

    kind = named.found(written["class"], _HEADS)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise CheckpointError(f"{file}: {written['class']} is no head")
    try:
        head = kind(**{name: named.read(value) for name, value in written["options"].items()})
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: a {kind.__name__} is not made of these options: {error}") from error
    held = {name: shape for name, (_, shape) in read_header(file).items()}
    wanted = {name: tuple(weight.shape) for name, weight in head.state_dict().items()}
    if held != wanted:
        raise CheckpointError(f"{file}: holds {held}, but the head is {wanted}")
    head.load_state_dict(load_file(file))
    return head


def _check_scores(place: Path, reward: LearnedReward, manifest: Mapping[str, Any]) -> None:
    exact = manifest["dtype"] == str(torch.float32) == str(reward.backbone.placement.dtype)
    tolerance = 1e-3 if exact else 0.1
    found = _sample_scores(reward)
    for before, now in zip(manifest["scores"], found, strict=True):
        if before is not None and not abs(now - before) <= tolerance * max(1.0, abs(before)):
            raise CheckpointError(
                f"{place}: a sample scored {before:.6g} when the reward was saved and scores {now:.6g} now "
                f"({manifest['dtype']} then, {reward.backbone.placement.dtype} now; transformers then "
                f"{manifest['backbone'].get('transformers')}): weights or arithmetic changed. "
                "verify=False loads it all the same"
            )
