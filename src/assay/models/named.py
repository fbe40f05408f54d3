"""Functions and classes of this package by import path: how a saved reward names them, and how they are found again."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from assay.models.checkpoint import CheckpointError

_PATH = re.compile(r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*:[A-Za-z][A-Za-z0-9_]*$")


def path_of(value: Callable[..., Any], below: str = "assay.models") -> str:
    """``module:name`` of a function or class defined below a package.

    Raises:
        ValueError: it is defined elsewhere, or inside another function: it has no written form.
    """
    module, name = str(getattr(value, "__module__", "")), str(getattr(value, "__qualname__", ""))
    path = f"{module}:{name}"
    if not _inside(module, below) or not _PATH.match(path):
        raise ValueError(f"{value!r} has no written form: only functions and classes of {below} are saved by name")
    return path


def found(path: str, below: str = "assay.models") -> Callable[..., Any]:
    """The function or class of a path that `path_of` gave; nothing outside of the package is looked up.

    Raises:
        CheckpointError: it leads elsewhere, or to nothing.
    """
    module, _, name = path.partition(":")
    if not _PATH.match(path) or not _inside(module, below):
        raise CheckpointError(f"{path!r} is no function or class of {below}: it is not loaded")
    try:
        value = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        value = None
    if not callable(value) or not _inside(str(getattr(value, "__module__", "")), below):
        raise CheckpointError(f"{path!r} is no function or class of {below}: was it saved by another version?")
    return cast("Callable[..., Any]", value)


def written(value: Any) -> Any:
    """Options as JSON values: functions and classes by their path.

    Raises:
        ValueError: an option has no written form.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {"mapping": [[str(key), written(item)] for key, item in cast("Mapping[Any, Any]", value).items()]}
    if isinstance(value, Sequence):
        return [written(item) for item in cast("Sequence[Any]", value)]
    if callable(value):
        return {"name": path_of(value)}
    raise ValueError(f"the option {value!r} has no written form")


def read(value: Any) -> Any:
    """Options as they were before `written`; sequences are tuples.

    Raises:
        CheckpointError: a name leads out of this package.
    """
    if isinstance(value, list):
        return tuple(read(item) for item in cast("list[Any]", value))
    if isinstance(value, dict):
        ((kind, content),) = cast("dict[str, Any]", value).items()
        return {key: read(item) for key, item in content} if kind == "mapping" else found(str(content))
    return value


def _inside(module: str, below: str) -> bool:
    return module == below or module.startswith(f"{below}.")
