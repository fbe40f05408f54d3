"""From a reference on the command line or in a script to a reward."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any, cast

import torch

from assay.rewards.base import Reward

_RUNNING = RLock()
"""Held while a file runs: another thread that asks for it must not find half of it."""

_FILE = re.compile(r"^(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)$")


class LoadError(ValueError):
    """A reference that names no reward; the message lists what was tried."""


def load(
    reference: str | Path, *, device: str | torch.device = "auto", dtype: str | torch.dtype = "auto", label: Any = None
) -> Reward:
    """A reward by reference.

    - a directory written by `LearnedReward.save` (``assay train`` writes one), `Calibrated.save` or `Stacked.save`;
    - a directory or hub id of a transformers sequence classifier (``label`` where it has several);
    - a directory that LLaMA-Factory's reward stage wrote (``value_head.safetensors`` beside a model or an adapter);
    - ``judge:MODEL@URL?option=value``: a judge that asks a model behind an OpenAI-compatible address, or without
      ``@URL`` a language model's directory or hub id (`assay.rewards.judges.written_out.from_reference`);
    - ``program:FILE.py:name?needs=a,b&seconds=2``: a reward program, whose file is run in the sandbox and never
      imported (`assay.rewards.program_files.program_from`), or the directory that `Program.save` wrote;
    - ``file.py:name``: a reward, or a function or class without required arguments that makes one. The file is run.

    The network is used only for a hub id that is not in the local cache, and for a judge behind an address.

    Raises:
        LoadError: none of these.
        JudgeReferenceError: a judge that is not written so.
        ProgramReferenceError: a program that is not written so, or that nothing would confine here.
        CheckpointError: a directory that is damaged, pickled, hostile, or no longer fits itself.
    """
    text = str(reference)
    if text.startswith("judge:"):
        from assay.rewards.judges.written_out import from_reference

        return from_reference(text, device=device, dtype=dtype)
    if text.startswith("program:"):
        from assay.rewards.program_files import program_from

        return program_from(text)
    found = _FILE.match(text)
    if found:
        return from_file(Path(found["file"]), found["name"])
    from assay.models.hf import located

    try:
        place = located(text)
    except FileNotFoundError as error:
        raise LoadError(
            f"no reward found. Tried: a Python reference ({text!r} does not read file.py:name), a judge "
            f"(judge:MODEL@URL), a program (program:FILE.py:name), a directory and a hub id ({error})"
        ) from error
    return _from_directory(place, device, dtype, label)


def from_file(file: Path, name: str) -> Reward:
    """The reward called ``name`` in a Python file, or what the function or class of that name makes.

    Raises:
        LoadError: no such file or name, the file fails, or the name is neither a reward nor makes one.
    """
    if not file.is_file():
        raise LoadError(f"{file}:{name}: there is no file {file}")
    value = getattr(_run(file), name, None)
    if value is None:
        raise LoadError(f"{file}:{name}: the file defines no {name!r}")
    made = value
    if callable(value) and (inspect.isclass(value) or _required(value) == 0):
        try:
            made = cast("Callable[[], object]", value)()
        except Exception as error:
            raise LoadError(f"{file}:{name}: making the reward failed: {type(error).__name__}: {error}") from error
    if not callable(made) or inspect.isclass(made) or _required(made) != 1:
        raise LoadError(
            f"{file}:{name}: {made!r} is not a reward: a reward is called with one argument, the records, "
            "and a function without arguments may make one"
        )
    return cast("Reward", made)


def _required(value: Any) -> int:
    parameters = inspect.signature(value).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in parameters)


def _run(file: Path) -> ModuleType:
    with _RUNNING:
        return _module(file)


def _module(file: Path) -> ModuleType:
    name = f"{file.stem}_{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise LoadError(f"{file}: running it failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return module


def _from_directory(place: Path, device: str | torch.device, dtype: str | torch.dtype, label: Any) -> Reward:
    from assay.rewards import saving
    from assay.rewards.calibrated import Calibrated, is_calibrated
    from assay.rewards.classifier import load_classifier
    from assay.rewards.critique import as_critic
    from assay.rewards.program_files import confined, is_program
    from assay.rewards.program_files import load as load_program
    from assay.rewards.stacked import Stacked, is_stacked
    from assay.rewards.value_head import has_value_head, load_value_head

    if is_program(place):
        return confined(load_program(place))
    if is_stacked(place):
        return Stacked.load(place)
    if is_calibrated(place):
        return Calibrated.load(place, device=device, dtype=dtype)
    if saving.is_saved(place):
        saved = saving.load(place, device=device, dtype=dtype)
        return as_critic(saved) if "critique" in saved.card else saved
    if has_value_head(place):
        return load_value_head(place, device=device, dtype=dtype)
    config = place / "config.json"
    if not config.is_file():
        held = ", ".join(sorted(path.name for path in place.iterdir())[:8]) or "nothing"
        raise LoadError(
            f"{place}: no reward found. Tried: a saved reward (no {saving.MANIFEST}), a transformers model (no "
            f"config.json). The directory holds {held}"
        )
    try:
        classes = cast("list[str]", json.loads(config.read_text(encoding="utf-8")).get("architectures") or [])
    except (ValueError, AttributeError) as error:
        raise LoadError(f"{config}: not a model configuration: {error}") from error
    if not any(name.endswith("ForSequenceClassification") for name in classes):
        raise LoadError(
            f"{place}: holds {' '.join(classes) or 'a model of no class'}, which has no reward head. Tried: a saved "
            f"reward (no {saving.MANIFEST}), a sequence classifier. `assay train` makes a reward of such a model"
        )
    return load_classifier(place, device=device, dtype=dtype, label=label, local_files_only=True)
