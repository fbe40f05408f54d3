"""The fingerprint of a reward: what caches, journals and result files are keyed by."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any, cast

import torch
from torch import Tensor, nn


def fingerprint(reward: object) -> str:
    """sha256 over everything the scores depend on: composition, arguments, code of functions, weights and templates.

    An object may offer its own ``fingerprint()`` (a learned reward hashes its weights and preprocessing). A function
    counts with its source, its closure, its defaults, and the constants and functions of its own module that it names.
    An object that only gets the scores of another by other means (a cache) names that one as its ``stands_for``. The
    same in every process; it changes when an argument or a line of code does.

    Raises:
        TypeError: some part of the reward has no stable description.
    """
    return _digest(json.dumps(_describe(reward, ()), sort_keys=True).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _describe(value: object, inside: tuple[int, ...]) -> Any:
    """A JSON description; ``inside`` holds the functions being described, so that recursion ends."""
    other = getattr(value, "stands_for", None)
    if other is not None and not isinstance(value, type):
        return _describe(other, inside)
    own = getattr(value, "fingerprint", None)
    if callable(own) and not isinstance(value, type):
        return ["own", type(value).__qualname__, own()]
    if value is None or isinstance(value, str | int | float | bool):
        return value if type(value) in (str, int, float, bool, type(None)) else [type(value).__qualname__, str(value)]
    if isinstance(value, FunctionType):
        return _describe_function(value, inside)
    if is_dataclass(value) and not isinstance(value, type):
        described = {item.name: _describe(getattr(value, item.name), inside) for item in fields(value)}
        return ["object", _class_name(type(value)), _source_digest(type(value)), described]
    return _describe_plain(value, inside)


def _describe_plain(value: object, inside: tuple[int, ...]) -> Any:
    match value:
        case Enum():
            return ["enum", type(value).__qualname__, value.name]
        case bytes() | bytearray():
            return ["bytes", _digest(bytes(value))]
        case Path():
            return ["path", str(value)]
        case Tensor():
            raw = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
            return ["tensor", str(value.dtype), list(value.shape), _digest(raw)]
        case nn.Module():
            state = {name: _describe(tensor, inside) for name, tensor in value.state_dict().items()}
            return ["module", _class_name(type(value)), _source_digest(type(value)), repr(value), state]
        case re.Pattern():
            return ["regex", value.pattern, value.flags]
        case Mapping():
            items = cast("Mapping[object, object]", value)
            return ["mapping", [[_describe(key, inside), _describe(item, inside)] for key, item in items.items()]]
        case set() | frozenset():
            return ["set", sorted(json.dumps(_describe(item, inside)) for item in cast("frozenset[object]", value))]
        case partial():
            bound = cast("partial[object]", value)
            return ["partial", *(_describe(part, inside) for part in (bound.func, bound.args, bound.keywords))]
        case MethodType():
            return ["method", _describe(value.__self__, inside), value.__name__]
        case type():
            return ["type", _class_name(value), _source_digest(value)]
        case Sequence():
            return [_describe(item, inside) for item in cast("Sequence[object]", value)]
        case _ if inspect.isbuiltin(value) or inspect.ismethoddescriptor(value):
            return ["builtin", getattr(value, "__module__", None), getattr(value, "__qualname__", repr(value))]
        case _:
            raise TypeError(
                f"{value!r} has no stable fingerprint: give it a fingerprint() method, or make it a frozen dataclass"
            )


def _describe_function(function: FunctionType, inside: tuple[int, ...]) -> Any:
    if id(function) in inside:
        return ["recursion", function.__qualname__]
    inside = (*inside, id(function))
    cells = [_describe(cell.cell_contents, inside) for cell in function.__closure__ or ()]
    return [
        "function",
        function.__module__ if function.__module__ != "__main__" else "",
        function.__qualname__,
        _function_code(function),
        cells,
        _describe(function.__defaults__, inside),
        _describe(function.__kwdefaults__, inside),
        {name: _describe(value, inside) for name, value in _named_globals(function).items()},
    ]


def _named_globals(function: FunctionType) -> dict[str, object]:
    """The constants, and the functions and classes of its own module, that a function names."""
    found: dict[str, object] = {}
    for name in sorted(_names_in(function.__code__)):
        value = function.__globals__.get(name)
        local = isinstance(value, FunctionType | type) and value.__module__ == function.__module__
        constant = isinstance(value, str | int | float | bool | tuple | frozenset | re.Pattern | Tensor)
        if local or constant or (is_dataclass(value) and not isinstance(value, type)):
            found[name] = value
    return found


def _names_in(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*(_names_in(constant) for constant in inner))


def _function_code(function: FunctionType) -> str:
    """Source where there is one; bytecode for a lambda, several of which may share a line, and without a file."""
    if function.__name__ != "<lambda>":
        source = _source_digest(function)
        if source:
            return source
    return _digest(repr(_code_key(function.__code__)).encode())


def _code_key(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(_code_key(item) if isinstance(item, CodeType) else repr(item) for item in code.co_consts)
    return code.co_code.hex(), code.co_names, code.co_varnames, constants


@cache
def _source_digest(source: Any) -> str:
    """Hash of the source text; empty where there is none (typed in at a prompt, or built in)."""
    try:
        return _digest(inspect.getsource(source).encode())
    except (OSError, TypeError):
        return ""


def _class_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "__main__" else f"{kind.__module__}.{kind.__qualname__}"
