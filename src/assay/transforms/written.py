"""Transforms as JSON: what was fitted is saved with what it was fitted to, and read back the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, TypeAlias, cast

from assay import transforms
from assay.scores import Scores
from assay.transforms.steps import AGGREGATES

Transform: TypeAlias = Callable[[Scores], Scores]
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def written(transform: Transform) -> dict[str, Any]:
    """``{"transform": name, ...arguments}``: the public function of `assay.transforms` that makes it, and its numbers.

    Raises:
        ValueError: it is none of this package's (a function of one's own has no written form).
    """
    name = _CAPITAL.sub("_", type(transform).__name__.lstrip("_")).lower()
    if not is_dataclass(transform) or isinstance(transform, type) or name not in transforms.__all__:
        raise ValueError(f"{transform!r} has no written form: only transforms of assay.transforms are saved")
    return {"transform": name, **{key: _plain(value) for key, value in asdict(transform).items()}}


def read(form: Mapping[str, Any]) -> Transform:
    """The transform that `written` wrote; nothing but this package's own functions is ever called.

    Raises:
        ValueError: an unknown name, or arguments that the function refuses.
    """
    arguments = {str(key): _read(value) for key, value in form.items() if key != "transform"}
    name = form.get("transform")
    made = getattr(transforms, name, None) if isinstance(name, str) and name in transforms.__all__ else None
    if made is None:
        raise ValueError(f"no transform is called {name!r}; there are {', '.join(sorted(transforms.__all__))}")
    try:
        found = made(**arguments)
    except TypeError as error:
        raise ValueError(f"{name} cannot be read back: {error}") from error
    if not is_dataclass(found) or not hasattr(found, "spec_after"):
        raise ValueError(f"{name} is no transform of scores")
    return cast("Transform", found)


def _plain(value: Any) -> Any:
    """An argument as JSON; an aggregate of this package by its name."""
    if not callable(value):
        return value
    name = str(getattr(value, "__name__", ""))
    if AGGREGATES.get(name) is not value:
        raise ValueError(f"{value!r} has no written form: only aggregates of assay.transforms.steps are saved")
    return {"aggregate": name}


def _read(value: Any) -> Any:
    if not isinstance(value, Mapping) or set(cast("Mapping[str, Any]", value)) != {"aggregate"}:
        return value
    name = cast("Mapping[str, Any]", value)["aggregate"]
    if not isinstance(name, str) or name not in AGGREGATES:
        raise ValueError(f"no aggregate is called {name!r}; there are {', '.join(AGGREGATES)}")
    return AGGREGATES[name]


def written_all(chain: Sequence[Transform]) -> list[dict[str, Any]]:
    """The written forms of a chain of transforms, in order."""
    return [written(transform) for transform in chain]


def read_all(forms: Sequence[Mapping[str, Any]]) -> tuple[Transform, ...]:
    """The transforms of `written_all`, in order."""
    return tuple(read(form) for form in forms)
