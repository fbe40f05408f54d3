"""Objectives by name: an import path below `assay.objectives`, or ``file.py:name``. Discovery walks the package."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import final

from torch import nn

import assay.objectives
from assay.models.heads import GaussianHead, ScalarHead, StepHead
from assay.models.reading import Where, last, step_ends
from assay.training.supervision import Objective, supervise


@final
@dataclass(frozen=True, slots=True)
class Fitting:
    """A head, and where it reads."""

    head: nn.Module
    read: Where


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


def head_for(chosen: Objective, hidden: int, *, bias: bool = False, norm: bool = False, seed: int = 0) -> Fitting:
    """An untrained head that gives what an objective names, and what it reads; else a scalar head on the last token.

    Raises:
        ValueError: the head has to be told more than the objective says.
    """
    named = list(inspect.signature(chosen).parameters)
    if named[:2] in (["steps", "labels"], ["logits", "labels"]):
        classes = 1 if named[0] == "steps" else 2
        return Fitting(StepHead(hidden, classes=classes, norm=norm, seed=seed), step_ends)
    if named[:2] == ["logits", "targets"]:
        raise ValueError(
            f"{getattr(chosen, '__name__', chosen)} needs an OrdinalHead with as many levels as the ratings have: make "
            "it in Python, LearnedReward(backbone, OrdinalHead(backbone.hidden_size, levels=5))"
        )
    if "log_variance" in named:
        return Fitting(GaussianHead(hidden, norm=norm, seed=seed), last)
    return Fitting(ScalarHead(hidden, bias=bias, norm=norm, seed=seed), last)


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
