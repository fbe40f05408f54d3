"""Checkpoints that are whole or absent.

One is written into a hidden directory beside its place: tensors as safetensors, the rest as JSON, each file flushed to
the disk, then a marker naming every file with its size and sha256, and last a rename. A directory without a marker that
matches its files is no checkpoint. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

MARKER = "COMPLETE.json"
_TENSORS, _STATE = "tensors.safetensors", "state.json"
_PREFIX, _PARTIAL = "step-", ".partial-"


class CheckpointError(RuntimeError):
    """A checkpoint that could not be written or read; the message says what is still intact."""


@dataclass(frozen=True, slots=True)
class Found:
    """The newest whole checkpoint, if any, and what was passed over with the reason."""

    path: Path | None
    ignored: tuple[tuple[Path, str], ...]


def write(directory: Path, step: int, tree: Mapping[str, Any], *, keep: int = 2) -> Path:
    """Write ``tree`` (nested mappings and sequences of tensors and JSON values) as the checkpoint of ``step``.

    Older checkpoints beyond ``keep`` and remains of interrupted writes are removed once the new one is whole.

    Raises:
        CheckpointError: the disk refused; nothing was changed, the last checkpoint is as it was.
    """
    directory.mkdir(parents=True, exist_ok=True)
    place = directory / f"{_PREFIX}{step:010d}"
    partial = directory / f"{_PARTIAL}{place.name}-{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        _fill(partial, tree)
        if place.exists():
            shutil.rmtree(place)
        partial.rename(place)
        _flush(directory)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        last = newest(directory).path
        kept = f"the last whole checkpoint is {last}" if last else "there is no earlier checkpoint"
        raise CheckpointError(
            f"checkpoint of step {step} could not be written to {directory}: {error}; {kept}. Free some space and run "
            "the same command again: it resumes"
        ) from error
    _prune(directory, place, keep)
    return place


def newest(directory: Path) -> Found:
    """The whole checkpoint with the highest step. Partial and damaged ones are listed with the reason, never used."""
    ignored: list[tuple[Path, str]] = []
    if not directory.is_dir():
        return Found(None, ())
    for path in sorted(directory.glob(f"{_PARTIAL}*")):
        ignored.append((path, "writing it was interrupted"))
    for path in sorted(directory.glob(f"{_PREFIX}*"), reverse=True):
        reason = damage(path)
        if reason is None:
            return Found(path, tuple(ignored))
        ignored.append((path, reason))
    return Found(None, tuple(ignored))


def damage(path: Path) -> str | None:
    """Why a directory is not a whole checkpoint; None if it is one. Every file's sha256 is checked."""
    try:
        marker = json.loads((path / MARKER).read_text())
        files: dict[str, dict[str, Any]] = marker["files"]
        for name, expected in files.items():
            if (path / name).stat().st_size != expected["size"] or _sha256(path / name) != expected["sha256"]:
                return f"{name} is not what was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its marker cannot be read ({error})"
    return None


def read(path: Path) -> dict[str, Any]:
    """The tree that was written.

    Raises:
        CheckpointError: the directory is not a whole checkpoint.
    """
    reason = damage(path)
    if reason is not None:
        raise CheckpointError(f"{path} is not a whole checkpoint: {reason}")
    tensors = load_file(path / _TENSORS)
    return cast("dict[str, Any]", _grow(json.loads((path / _STATE).read_text()), tensors))


def _fill(partial: Path, tree: Mapping[str, Any]) -> None:
    tensors: dict[str, Tensor] = {}
    state = _press(tree, tensors, "")
    save_file(tensors, partial / _TENSORS)
    (partial / _STATE).write_text(json.dumps(state))
    files = {}
    for name in (_TENSORS, _STATE):
        _flush(partial / name)
        files[name] = {"size": (partial / name).stat().st_size, "sha256": _sha256(partial / name)}
    (partial / MARKER).write_text(json.dumps({"files": files}))
    _flush(partial / MARKER)
    _flush(partial)


def _press(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    """The tree as JSON; its tensors go into ``tensors`` under the name left in their place."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str | int, Any]", value).items()
        return {"items": [[key, _press(item, tensors, f"{name}/{key}")] for key, item in pairs]}
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_press(item, tensors, f"{name}/{i}") for i, item in enumerate(items)]}
    return value


def _grow(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = cast("dict[str, Any]", value).items()
    if kind == "tensor":
        return tensors[content]
    if kind == "items":
        return {key: _grow(item, tensors) for key, item in content}
    return (tuple if kind == "tuple" else list)(_grow(item, tensors) for item in content)


def _prune(directory: Path, place: Path, keep: int) -> None:
    older = sorted((path for path in directory.glob(f"{_PREFIX}*") if path < place), reverse=True)
    for path in (*older[keep - 1 :], *directory.glob(f"{_PARTIAL}*")):
        shutil.rmtree(path, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
