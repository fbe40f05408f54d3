"""Outside formats, one file each. A new file that defines ``FORMAT`` is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from assay.records.formats.base import Format, Origin, Row, Target
from assay.records.problems import FormatError

__all__ = ["Format", "Origin", "Row", "Target", "format_named", "formats", "recognise"]


@cache
def formats() -> tuple[Format, ...]:
    """Every format in this package, by name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [value for module in modules if isinstance(value := getattr(module, "FORMAT", None), Format)]
    return tuple(sorted(found, key=lambda known: known.name))


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        FormatError: there is none; the message lists those there are.
    """
    known = {found.name: found for found in formats()}
    if name not in known:
        raise FormatError(f"no format is called {name!r}; there are {', '.join(known)}")
    return known[name]


def recognise(row: Any, where: str) -> Format:
    """The one format that the row is in.

    Raises:
        FormatError: none knows the row, or several do; the message lists the columns and what each format expects.
    """
    hits = [found for found in formats() if found.recognises(row)]
    if len(hits) == 1:
        return hits[0]
    if hits:
        names = ", ".join(found.name for found in hits)
        raise FormatError(f"{where}: could be {names}; say which with format=")
    seen = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
    expected = "\n".join(f"  {found.name}: {found.columns}" for found in formats())
    raise FormatError(f"{where}: no format has the columns ({seen}). Rename them to one of these:\n{expected}")
