"""Towers on disk: a directory for each model, what makes them one backbone, and towers of given checkpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch

from assay.media import Audio, Image, Text, Video
from assay.models import named
from assay.models.checkpoint import CheckpointError, read_header, safetensors_file
from assay.models.families import base_of
from assay.models.frames import Frames
from assay.models.hf import load_module, located, quiet, read_tokenizer
from assay.models.pictures import pil_processor, sound_processor
from assay.models.placement import placement
from assay.models.tokenise import tokenizer_fingerprint
from assay.models.towers import Pretrained, Tower, Towers, TowersModule, towers_from
from assay.models.written import arithmetic, merged, own_tokenizer, with_adapter

_DESCRIBED = "towers.json"
_WEIGHTS = "towers"
_MEDIA = {"text": Text, "image": Image, "audio": Audio, "video": Video}


def load_towers(
    models: Mapping[str, str | Path],
    towers: Sequence[Tower],
    *,
    width: int | None = None,
    max_length: int | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    local_files_only: bool = False,
    seed: int = 0,
) -> Towers:
    """Towers from checkpoint directories or hub ids by name: CLIP, SigLIP, CLAP, Whisper, or any text encoder.

    The network is used only for a hub id that is not cached. Weights are read from safetensors only.

    Raises:
        CheckpointError, FileNotFoundError: as `load_backbone`.
        ValueError, TypeError: as `towers_from`.
    """
    where = placement(device, dtype)
    loaded: dict[str, Pretrained] = {}
    for name, source in models.items():
        place = located(source, local_files_only=local_files_only)
        module = load_module(place, where, attention=None)
        taken = {tower.takes for tower in towers if tower.model == name}
        loaded[name] = Pretrained(
            module,
            tokenizer=read_tokenizer(place) if Text in taken else None,
            images=pil_processor(place, local_files_only=True) if taken & {Image, Video} else None,
            sounds=sound_processor(place, local_files_only=True) if Audio in taken else None,
        )
    return towers_from(loaded, towers, width=width, max_length=max_length, where=where, seed=seed)


def write(towers: Towers, directory: Path, *, adapter: bool = False) -> dict[str, Any]:
    """Write towers; what `read` needs beside the files. peft adapters as in `models.written.write`.

    Raises:
        ValueError: a tower's function has no written form, or ``adapter`` without peft or a saved base.
    """
    import transformers

    written: dict[str, Any] = {
        "read": "assay.models.tower_files:read",
        "transformers": transformers.__version__,
        "adapter": None,
        **described(towers),
    }
    if adapter:
        written["adapter"] = _write_adapter(towers, directory)
        return written
    module = cast("TowersModule", merged(towers.module))
    for name, own in towers.preprocessors.items():
        place = directory / name
        place.mkdir()
        with quiet():
            cast("Any", module.models[name]).save_pretrained(place)
        for part in (own.tokenizer, own.images, own.sounds):
            if part is not None:
                part.save_pretrained(place)
    _write_own(module, directory)
    (directory / _DESCRIBED).write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return written


def read(
    directory: Path,
    written: Mapping[str, Any],
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
) -> Towers:
    """Towers as they were written.

    Raises:
        CheckpointError: the files are damaged, pickled or hostile, or no longer what was written.
    """
    where = placement(device, dtype)
    base = Path(written["adapter"]["base"]) if written["adapter"] else directory
    if not (base / _DESCRIBED).is_file():
        raise CheckpointError(f"{base}: there are no towers: {_DESCRIBED} is missing")
    models = {name: _read_model(base, name, told, where) for name, told in written["models"].items()}
    built = towers_from(
        models,
        [_tower(told) for told in written["towers"]],
        width=written["width"],
        max_length=written["max_length"],
        source=str(directory),
        where=where,
    )
    _fill_own(built.inner, base)
    if written["adapter"]:
        built = built.with_module(with_adapter(built.module, directory / "adapter"))
    if fingerprints(built) | {"dtype": ""} != written["fingerprints"] | {"dtype": ""}:
        raise CheckpointError(
            f"{directory}: tokenizers, preprocessing or configurations are not those this reward was trained with, so "
            "its scores would mean nothing; restore the files as they were saved"
        )
    return built


def described(towers: Towers) -> dict[str, Any]:
    """What towers are, as JSON values.

    Raises:
        ValueError: a function of a tower has no written form.
    """
    return {
        "models": {
            name: {
                "class": type(towers.inner.models[name]).__name__,
                "attention": str(cast("Any", towers.inner.models[name]).config._attn_implementation),
                "tokenizer": type(own.tokenizer).__name__ if own.tokenizer is not None else None,
                "images": own.images is not None,
                "sounds": own.sounds is not None,
            }
            for name, own in towers.preprocessors.items()
        },
        "towers": [
            {
                "name": tower.name,
                "model": tower.model,
                "takes": tower.takes.__name__.lower(),
                "of": named.path_of(tower.of),
                "pool": named.path_of(cast("Any", tower.pool)),
                "over": named.path_of(tower.over),
                "frames": asdict(tower.frames),
            }
            for tower in towers.towers
        ],
        "width": towers.width,
        "max_length": towers.max_length,
        "fingerprints": fingerprints(towers),
    }


def fingerprints(towers: Towers) -> dict[str, str]:
    """What shapes input and arithmetic beside the weights: the towers, and of each model what makes its input."""
    looks = [
        [tower.name, tower.model, tower.takes.__name__, tower.frames.fingerprint]
        + [_told(function) for function in (tower.of, tower.pool, tower.over)]
        for tower in towers.towers
    ]
    found = {"towers": _sha([looks, towers.width]), "dtype": str(next(towers.module.parameters()).dtype)}
    for name, own in towers.preprocessors.items():
        config = cast("Any", towers.inner.models[name]).config
        found[f"{name} configuration"] = _sha(arithmetic(config.to_dict()))
        if own.tokenizer is not None:
            found[f"{name} tokenizer"] = tokenizer_fingerprint(own.tokenizer)
    for (name, medium), store in towers.stores.items():
        found[f"{name} {medium.__name__.lower()}"] = store.fingerprint
    return found


def _told(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', repr(value))}"


def _sha(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _write_adapter(towers: Towers, directory: Path) -> dict[str, Any]:
    if base_of(towers.module) is towers.module:
        raise ValueError("adapter=True needs towers wrapped by peft; these have no adapter")
    base = Path(towers.source)
    if not (base / _DESCRIBED).is_file():
        raise ValueError(
            "adapter=True names the towers' base by its directory, but these were not read from one: save merged, or "
            "save the untrained reward first and train what is loaded from there"
        )
    cast("Any", towers.module).save_pretrained(directory / "adapter", safe_serialization=True)
    return {"base": str(base.resolve())}


def _own(module: TowersModule) -> dict[str, torch.Tensor]:
    state = {**module.pools.state_dict(prefix="pools."), **module.maps.state_dict(prefix="maps.")}
    return {name: weight.detach().cpu().contiguous() for name, weight in state.items()}


def _write_own(module: TowersModule, directory: Path) -> None:
    from safetensors.torch import save_file

    save_file(_own(module), directory / f"{_WEIGHTS}.safetensors")


def _fill_own(module: TowersModule, directory: Path) -> None:
    from safetensors.torch import load_file

    file = safetensors_file(directory, _WEIGHTS)
    held = {name: shape for name, (_, shape) in read_header(file).items()}
    wanted = {name: tuple(weight.shape) for name, weight in _own(module).items()}
    if held != wanted:
        raise CheckpointError(f"{file}: holds {held}, but the towers are {wanted}")
    module.load_state_dict(load_file(file), strict=False)


def _read_model(base: Path, name: str, told: Mapping[str, Any], where: Any) -> Pretrained:
    import transformers

    if not name.isidentifier():
        raise CheckpointError(f"{base}: {name!r} is no name of a model")
    place = base / name
    kind = getattr(transformers, str(told["class"]), None)
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise CheckpointError(f"{place}: this transformers ({transformers.__version__}) has no model {told['class']!r}")
    module = load_module(place, where, attention=told["attention"], kind=kind)
    return Pretrained(
        module,
        tokenizer=own_tokenizer(place, told["tokenizer"]) if told["tokenizer"] else None,
        images=pil_processor(place, local_files_only=True) if told["images"] else None,
        sounds=sound_processor(place, local_files_only=True) if told["sounds"] else None,
    )


def _tower(told: Mapping[str, Any]) -> Tower:
    if told["takes"] not in _MEDIA:
        raise CheckpointError(f"a tower takes {told['takes']!r}: one of {', '.join(_MEDIA)}")
    return Tower(
        name=told["name"],
        model=told["model"],
        takes=cast("Any", _MEDIA[told["takes"]]),
        of=cast("Any", named.found(told["of"])),
        pool=cast("Any", named.found(told["pool"])),
        over=cast("Any", named.found(told["over"])),
        frames=Frames(**told["frames"]),
    )
