"""Reward programs by reference and on disk: a file of source is read, never imported; a saved one fits itself or is
refused."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from assay.models.checkpoint import CheckpointError
from assay.rewards.card import write_card
from assay.rewards.program import Limits, Medium, Program, as_bytes, as_path, program
from assay.rewards.sandbox import Lost, Sandbox, Unavailable
from assay.rewards.saving import whole

MANIFEST, SOURCE = "program.json", "program.py"
_FORMAT = 1
_FORM = re.compile(r"program:(?P<file>.+?\.py)(?::(?P<name>[A-Za-z_]\w*))?(?:\?(?P<options>.*))?", re.DOTALL)
_MEDIA: Mapping[str, Callable[[Medium], bytes | str]] = {"bytes": as_bytes, "path": as_path}
_LISTS = ("needs", "attributes", "readable", "imports")
_LIMITS: Mapping[str, Callable[[str], Any]] = {
    "seconds": float,
    "memory": int,
    "output": int,
    "result": int,
    "space": int,
    "file": int,
}
_BOUNDS = ("low", "high")
OPTIONS = (*_LISTS, "media", "better", *_BOUNDS, *_LIMITS)


class ProgramReferenceError(ValueError):
    """A ``program:...`` that is not written so, or that is not run here; the message says why."""


def program_from(text: str) -> Program:
    """The program that ``program:FILE.py:name?needs=a,b&seconds=2`` names (``reward`` where no name is given).

    The file is source for the sandbox: nothing of it is imported or run in this process. Options: ``needs``,
    ``attributes``, ``readable`` and ``imports`` (lists, by commas), ``media`` (``bytes`` or ``path``), ``low``,
    ``high``, ``better`` (``higher`` or ``lower``), and the limits ``seconds``, ``memory``, ``output``, ``result``,
    ``space`` and ``file``.

    Raises:
        ProgramReferenceError: no such form, file or option, or nothing would confine the program here.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ProgramReferenceError(f"{text!r} does not read program:FILE.py:name?option=value")
    file = Path(found["file"])
    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramReferenceError(f"{text}: {file} cannot be read: {error}") from error
    given = _options(found["options"] or "")
    try:
        made = program(source, found["name"] or "reward", **given)
    except ValueError as error:
        raise ProgramReferenceError(f"{text}: {error}") from error
    return confined(made)


def confined(made: Program) -> Program:
    """The program, where the kernel confines it.

    Raises:
        ProgramReferenceError: it does not; the message says what is missing.
    """
    with Sandbox(made.limits, readable=made.readable, imports=made.imports) as sandbox:
        try:
            sandbox.start()
        except (Unavailable, Lost) as error:
            raise ProgramReferenceError(f"{made!r} is not run on this machine: {error}") from error
    return made


def save(made: Program, directory: str | Path) -> Path:
    """Write source and declaration; the directory appears whole or not at all. See `Program.save`."""
    place = Path(directory)
    if place.exists() and any(place.iterdir()) and not is_program(place):
        raise FileExistsError(f"{place}: it exists and is no saved program, so it is left alone")
    form = _form(made)
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole(place) as partial:
        (partial / SOURCE).write_bytes(made.source.encode())
        written = {**form, "digest": _digest(form)}
        (partial / MANIFEST).write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        write_card(partial, {"reward": repr(made), **form}, transformers_class=None)
    return place


def load(directory: str | Path, *, readable: Sequence[str | Path] = (), imports: Sequence[str | Path] = ()) -> Program:
    """A saved program. See `Program.load`."""
    place = Path(directory)
    try:
        source = (place / SOURCE).read_bytes()
        held = cast("dict[str, Any]", json.loads((place / MANIFEST).read_text(encoding="utf-8")))
        digest = held.pop("digest")
        if held["format"] != _FORMAT:
            raise ValueError(f"written in format {held['format']}, this version reads format {_FORMAT}")
        if digest != _digest(held):
            raise ValueError(f"its {MANIFEST} was altered after it was saved: save it again")
        if held["sha256"] != hashlib.sha256(source).hexdigest():
            raise ValueError(f"its {SOURCE} was altered after it was saved: read it, and save it again")
        lent = {"readable": tuple(map(str, readable)), "imports": tuple(map(str, imports))}
        for name, given in lent.items():
            if len(given) != held[name]:
                raise ValueError(
                    f"it was lent {held[name]} paths as {name}, which are not its own to name, and {len(given)} are "
                    f"lent now: Program.load(directory, {name}=[...])"
                )
        media = None if held["media"] is None else _MEDIA[held["media"]]
        return program(
            source.decode(), held["name"], media=media, limits=Limits(**held["limits"]), **lent, **_declared(held)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{place}: not a saved program: {error}") from error


def is_program(directory: Path) -> bool:
    """Whether a directory claims to be a saved program."""
    return (directory / MANIFEST).is_file()


def _form(made: Program) -> dict[str, Any]:
    media = next((name for name, function in _MEDIA.items() if function is made.media), None)
    if media is None and made.media is not None:
        raise ValueError(f"media={made.media!r} has no written form: only as_bytes and as_path are saved")
    return {
        "format": _FORMAT,
        "name": made.name,
        "sha256": hashlib.sha256(made.source.encode()).hexdigest(),
        "needs": list(made.needs),
        "attributes": list(made.attributes),
        "media": media,
        "limits": asdict(made.limits),
        "readable": len(made.readable),
        "imports": len(made.imports),
        "low": made.low,
        "high": made.high,
        "better": made.better,
    }


def _declared(held: Mapping[str, Any]) -> dict[str, Any]:
    return {name: held[name] for name in ("needs", "attributes", "low", "high", "better")}


def _digest(form: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(form, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _options(text: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in OPTIONS:
            raise ProgramReferenceError(f"a program has no option {name!r}; there are {', '.join(OPTIONS)}")
        try:
            if name in _LIMITS:
                limits[name] = _LIMITS[name](value)
            else:
                given[name] = _value(name, value)
        except ValueError as error:
            raise ProgramReferenceError(f"option {name}={value} of a program: {error}") from error
    try:
        return {**given, "limits": Limits(**limits)}
    except ValueError as error:
        raise ProgramReferenceError(str(error)) from error


def _value(name: str, text: str) -> Any:
    if name in _LISTS:
        return [each.strip() for each in text.split(",") if each.strip()]
    if name in _BOUNDS:
        return float(text)
    known = tuple(_MEDIA) if name == "media" else ("higher", "lower")
    if text not in known:
        raise ValueError(f"give {' or '.join(known)}")
    return _MEDIA[text] if name == "media" else text
