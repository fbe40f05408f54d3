"""Recipes that make a reward, by reference: ``recipe:NAME?argument=value&...``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints
from urllib.parse import parse_qsl

from assay.cli.inputs import UsageError

if TYPE_CHECKING:
    from assay.rewards.base import Reward

_FORM = re.compile(r"recipe:(?P<name>[a-z]\w*)(?:\?(?P<given>.*))?", re.DOTALL)
Open = Callable[[str], "Reward"]


def recipe_reward(text: str, open_reward: Open) -> Reward:
    """The reward that a recipe makes of arguments written out.

    An argument that is a reward is a reference, opened by ``open_reward`` (its own ``?`` and ``&`` as ``%3F`` and
    ``%26``); records are a data file; a combination is ``mean``, ``ensemble:1.0`` or ``file.py:name``; an argument of
    which there may be several is repeated.

    Raises:
        UsageError: no such form, recipe or argument, a recipe that makes no reward, or one that refuses what it is
            given. The message lists the arguments.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} does not read recipe:NAME?argument=value")
    function = _function(found["name"])
    takes = inspect.signature(function).parameters
    hints = get_type_hints(function)
    listed = f"recipe:{found['name']} takes {', '.join(_described(each, hints) for each in takes.values())}"
    rest: list[Any] = []
    named: dict[str, Any] = {}
    for name, value in parse_qsl(found["given"] or "", keep_blank_values=True):
        if name not in takes:
            raise UsageError(f"{text}: no argument {name!r}. {listed}")
        several = takes[name].kind is inspect.Parameter.VAR_POSITIONAL
        if name in named:
            raise UsageError(f"{text}: {name} is given twice. {listed}")
        made = _value(f"{name}={value}", value, hints[name], open_reward)
        if several:
            rest.append(made)
        else:
            named[name] = made
    if lacking := [name for name, each in takes.items() if _is_needed(each) and name not in named]:
        raise UsageError(f"{text}: {lacking[0]} is missing. {listed}")
    try:
        return function(*rest, **named)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{text}: {error}. {listed}") from error


def recipe_names() -> list[str]:
    """The recipes that make a reward."""
    return [name for name in _known() if _makes_reward(_recipe(name))]


def _known() -> list[str]:
    import pkgutil

    import assay.recipes

    return sorted(info.name for info in pkgutil.iter_modules(assay.recipes.__path__))


def _recipe(name: str) -> Any:
    import importlib

    return getattr(importlib.import_module(f"assay.recipes.{name}"), name)


def _makes_reward(function: Any) -> bool:
    return inspect.signature(function).return_annotation in ("Reward", "assay.rewards.base.Reward")


def _function(name: str) -> Callable[..., Reward]:
    if name not in _known():
        raise UsageError(f"there is no recipe {name!r}; these make a reward: {', '.join(recipe_names())}")
    function = _recipe(name)
    if not _makes_reward(function):
        made = inspect.signature(function).return_annotation
        raise UsageError(f"recipe {name} makes a {made}, no reward; these make one: {', '.join(recipe_names())}")
    return function


def _is_needed(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.kind is not inspect.Parameter.VAR_POSITIONAL


def _described(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> str:
    """An argument for people: its name, what is written for it, and whether it may be left out or repeated."""
    written = _WRITTEN.get(_kind(hints[parameter.name]), "nothing that can be written here")
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return f"{parameter.name} ({written}; repeat it)"
    if parameter.default is inspect.Parameter.empty:
        return f"{parameter.name} ({written})"
    return f"{parameter.name} ({written}; {parameter.default} where it is left out)"


_WRITTEN = {
    "reward": "a reward",
    "records": "a data file",
    "combine": "a combination",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
}


def _kind(hint: Any) -> str:
    from assay.records import Record
    from assay.rewards.base import Reward
    from assay.transforms.combine import Combine

    known: list[tuple[Any, str]] = [
        (Reward, "reward"),
        (Sequence[Record], "records"),
        (Combine, "combine"),
        (int, "int"),
        (float, "float"),
        (str, "str"),
    ]
    given = [each for each in get_args(hint) if each is not NoneType] if NoneType in get_args(hint) else [hint]
    return next((kind for each, kind in known if given == [each]), "")


def _value(text: str, value: str, hint: Any, open_reward: Open) -> Any:
    from assay.records import read

    kind = _kind(hint)
    try:
        match kind:
            case "reward":
                return open_reward(value)
            case "records":
                return list(read(Path(value)))
            case "combine":
                return _combination(value)
            case "int":
                return int(value)
            case "float":
                return float(value)
            case "str":
                return value
            case _:
                raise UsageError(f"{text} cannot be written here: call the recipe from Python")
    except ValueError as error:
        if isinstance(error, UsageError) or kind not in ("int", "float"):
            raise
        raise UsageError(f"{text} is not {_WRITTEN[kind]}") from error


def _combination(value: str) -> Any:
    """``mean``, ``ensemble:1.0`` and the like of `assay.transforms.combine`, or ``file.py:name``."""
    from assay.training.names import is_file, value_of
    from assay.transforms import combine

    if is_file(value):
        return value_of(value)
    name, _, number = value.partition(":")
    known = {
        each: function
        for each, function in vars(combine).items()
        if inspect.isfunction(function) and inspect.signature(function).return_annotation == "Combine"
    }
    if name not in known:
        raise UsageError(f"{value!r} is no combination; there are {', '.join(known)}, or file.py:name")
    made: Any = known[name]
    try:
        return made(float(number)) if number else made()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{value!r} is no combination: {error}") from error
