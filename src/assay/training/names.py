"""Objectives by name: an import path below `assay.objectives`, or ``file.py:name``. Discovery walks the package."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

import assay.objectives
from assay.training.supervision import Objective, supervise


class UnknownObjectiveError(LookupError):
    """No such objective; the message lists those there are."""


def objectives() -> dict[str, Objective]:
    """Every objective of `assay.objectives` that a reward can be trained with, by ``module.function``."""
    found: dict[str, Objective] = {}
    for info in pkgutil.iter_modules(assay.objectives.__path__):
        module = importlib.import_module(f"{assay.objectives.__name__}.{info.name}")
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and _fits(value):
                found[f"{info.name}.{name}"] = value
    return dict(sorted(found.items()))


def objective(reference: str) -> Objective:
    """The objective called ``pairwise.bradley_terry`` and the like, or ``name`` of ``file.py:name``; the file is run.

    Raises:
        UnknownObjectiveError: there is none.
        TypeError: it is no objective.
    """
    file, separator, name = reference.rpartition(":")
    if separator and file.endswith(".py"):
        found = getattr(_run(Path(file)), name, None)
        if found is None:
            raise UnknownObjectiveError(f"{file} defines no {name!r}")
    else:
        known = objectives()
        if reference not in known:
            raise UnknownObjectiveError(
                f"{reference}: no such objective; there are {', '.join(known)}, or file.py:name"
            )
        found = known[reference]
    supervise(found)
    return found


def _fits(value: Objective) -> bool:
    try:
        supervise(value)
    except TypeError:
        return False
    return not value.__name__.startswith("_")


def _run(file: Path) -> ModuleType:
    if not file.is_file():
        raise UnknownObjectiveError(f"{file}: no such file")
    spec = importlib.util.spec_from_file_location(f"assay_objective_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
