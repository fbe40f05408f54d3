"""What is chosen by name: objectives, heads, readings and views, by import path below their package or as
``file.py:name``. Discovery walks the packages; a file that is named is run."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias, TypeVar, cast

from torch import nn

import assay.models.heads
import assay.objectives
from assay.models import reading
from assay.models.heads import aggregate as aggregates_module
from assay.models.heads.aggregate import Aggregate
from assay.models.outputs import Outputs
from assay.models.reading import Where
from assay.training import stepwise, supervision
from assay.training.supervision import Objective, Supervision, supervise

__all__ = [
    "Head",
    "UnknownNameError",
    "aggregate",
    "head",
    "heads",
    "is_file",
    "needed",
    "objective",
    "objectives",
    "read",
    "value_of",
    "view",
]

Head: TypeAlias = Callable[..., nn.Module]
"""``(hidden, ...)`` to an untrained head."""
Found = TypeVar("Found")


class UnknownNameError(LookupError):
    """Nothing is called so; the message lists what there is."""


def objectives() -> dict[str, Objective]:
    """Every objective of `assay.objectives` that a reward can be trained with, by ``module.function``."""
    return _walked(assay.objectives, lambda value: inspect.isfunction(value) and _fits(value))


def objective(reference: str) -> Objective:
    """The objective called ``pairwise.bradley_terry`` and the like, or ``name`` of ``file.py:name``.

    Raises:
        UnknownNameError: there is none.
        TypeError: it is no objective.
    """
    found = value_of(reference) if is_file(reference) else _one(reference, objectives(), "objective")
    supervise(found)
    return found


def heads() -> dict[str, Head]:
    """Every head of `assay.models.heads`, by ``module.Class``; by ``module`` alone where it has one."""
    found = _walked(assay.models.heads, _is_head)
    modules = [name.partition(".")[0] for name in found]
    alone = {name.partition(".")[0]: head for name, head in found.items() if modules.count(name.partition(".")[0]) == 1}
    return dict(sorted({**alone, **found}.items()))


def head(reference: str) -> Head:
    """The head called ``scalar``, ``attributes``, ``fusion.ConcatFusionHead`` and the like, or ``file.py:name``: a
    class, or a function that makes one.

    Raises:
        UnknownNameError: there is none.
    """
    return cast("Head", value_of(reference) if is_file(reference) else _one(reference, heads(), "head"))


def read(reference: str) -> Where:
    """Where a head reads: ``last``, ``response`` (every token of it), ``steps`` (their ends), another function of
    `assay.models.reading`, or ``file.py:name``.

    Raises:
        UnknownNameError: there is none.
    """
    short = {"response": reading.every_response_token, "steps": reading.step_ends}
    return value_of(reference) if is_file(reference) else _one(reference, {**_own(reading), **short}, "reading")


def aggregate(reference: str) -> Aggregate:
    """What makes the score of a response of its steps: ``product``, ``minimum``, ... of `models.heads.aggregate`.

    Raises:
        UnknownNameError: there is none.
    """
    return _one(reference, _own(aggregates_module), "aggregate")


def view(reference: str) -> Callable[..., Supervision]:
    """The view of feedback called ``pairs``, ``lists``, ``ratings``, ``outcomes``, ``steps`` or ``spans`` (`on_pairs`
    of `training.supervision` and so on), or ``file.py:name``.

    Raises:
        UnknownNameError: there is none.
    """
    known = {**_own(supervision), **_own(stepwise)}
    views = {name.removeprefix("on_"): value for name, value in known.items() if name.startswith("on_")}
    return value_of(reference) if is_file(reference) else _one(reference, views, "view of feedback")


def is_file(reference: str) -> bool:
    """Whether it reads ``file.py:name``."""
    return reference.rpartition(":")[0].endswith(".py")


def value_of(reference: str) -> Any:
    """What ``file.py:name`` holds; the file is run, once for the same content.

    Raises:
        UnknownNameError: no such file, or it has no such name.
    """
    file, _, name = reference.rpartition(":")
    found = getattr(_run(Path(file)), name, None)
    if found is None:
        raise UnknownNameError(f"{file} defines no {name!r}")
    return found


def _one(reference: str, known: Mapping[str, Found], noun: str) -> Found:
    if reference not in known:
        raise UnknownNameError(f"{reference}: no such {noun}; there are {', '.join(known)}, or file.py:name")
    return known[reference]


def _walked(package: ModuleType, fits: Callable[[Any], bool]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found |= {
            f"{info.name}.{name}": value
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_") and fits(value)
        }
    return dict(sorted(found.items()))


def _own(module: ModuleType) -> dict[str, Any]:
    """The public functions that a module defines, by name."""
    values = vars(module).items()
    return {
        name: value
        for name, value in values
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }


def _is_head(value: Any) -> bool:
    if not (inspect.isclass(value) and issubclass(value, nn.Module) and hasattr(value, "options")):
        return False
    return inspect.signature(value.forward).return_annotation in ("Outputs", Outputs)


def _fits(value: Objective) -> bool:
    try:
        supervise(value)
    except TypeError:
        return False
    return True


def needed(function: Any) -> list[str]:
    """The arguments that a function cannot do without."""
    given = (inspect.Parameter.VAR_KEYWORD,)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty and p.kind not in given]


def _run(file: Path) -> ModuleType:
    if not file.is_file():
        raise UnknownNameError(f"{file}: no such file")
    name = f"assay_{file.stem}_{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
