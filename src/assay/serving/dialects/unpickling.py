"""Reading a pickle that holds data and nothing else: lists, dictionaries, text, numbers, bytes and plain arrays.

A pickle is a program. Here its instructions are first read without being run: one that is not on the list, that names
anything but the names by which numpy writes an array, or that asks for more memory than it brings, is refused. What
then runs finds, for those names, functions of this file that check and keep what they are given; numpy's own are never
called with what came from outside.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any, NoReturn, cast, final

import numpy as np
import numpy.typing as npt

_DEEPEST = 16
_MOST_VALUES = 100_000
_MOST_DIMENSIONS = 8
_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|S\d{1,7}|U\d{1,7})")
_PLAIN = (str, bytes, int, float, bool, type(None))
_NUMPY = ("numpy.core", "numpy._core")
_NAMED = """
PROTO FRAME STOP MARK POP POP_MARK MEMOIZE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET
NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT
STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS
EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 GLOBAL STACK_GLOBAL REDUCE BUILD
"""
_INSTRUCTIONS = frozenset(_NAMED.split())


class PickleRefused(ValueError):  # noqa: N818 - what was done with it
    """A pickle that holds more than data, or is none."""


def unpickled(data: bytes) -> Any:
    """What a pickle of plain data holds. Arrays are of booleans, integers, floats, bytes or text.

    Raises:
        PickleRefused: it holds anything else, or is damaged.
    """
    _inspect(data)
    try:
        held = _Reader(data).load()
    except PickleRefused:
        raise
    except Exception as error:  # a damaged pickle raises whatever its instructions run into
        raise PickleRefused(f"not a whole pickle ({type(error).__name__})") from error
    return _Plain().value(held, 0)


def _inspect(data: bytes) -> None:
    """Read the instructions without running one."""
    try:
        for count, (instruction, argument, position) in enumerate(pickletools.genops(data)):
            if instruction.name not in _INSTRUCTIONS:
                raise PickleRefused(f"the instruction {instruction.name} at byte {position} is not taken")
            if count > 4 * _MOST_VALUES:
                raise PickleRefused("too many instructions")
            if "PUT" in instruction.name and int(cast("str | int", argument)) > count:
                raise PickleRefused(f"a memo entry beyond what is there, at byte {position}")
            if instruction.name == "GLOBAL":
                _check_name(*str(argument).split(" ", 1))
    except PickleRefused:
        raise
    except Exception as error:  # pickletools raises whatever a damaged pickle runs it into
        raise PickleRefused(f"not a whole pickle ({type(error).__name__})") from error


@final
class _Budget:
    """How many bytes may still be made of those that the pickle brought: the same ones may be named again and again."""

    __slots__ = ("_left",)

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise PickleRefused("it makes more of its bytes than it brings")

    def __setstate__(self, state: object) -> NoReturn:
        raise PickleRefused("a budget has no state")


@final
class _Call:
    """A function of this file as a pickle may call it: nothing of it can be looked at or changed."""

    __slots__ = ("_budget", "_function")

    def __init__(self, function: Callable[..., object], budget: _Budget) -> None:
        self._function = function
        self._budget = budget

    def __call__(self, *arguments: object) -> object:
        return self._function(self._budget, *arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise PickleRefused("a function has no state")


@final
class _Name:
    """The class ``numpy.ndarray`` where a pickle names it as an argument."""

    __slots__ = ()

    def __setstate__(self, state: object) -> NoReturn:
        raise PickleRefused("a name has no state")


@final
class _Dtype:
    """The type of an array's items, checked."""

    __slots__ = ("checked",)

    def __init__(self, budget: _Budget, text: object, align: object = False, copy: object = True) -> None:
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            raise PickleRefused("an array of something else than numbers, bytes or text")
        self.checked: np.dtype[Any] = np.dtype(text)

    def __setstate__(self, state: object) -> None:
        parts = cast("tuple[object, ...]", state) if isinstance(state, tuple) else ()
        order = parts[1] if len(parts) >= 8 else None
        if order not in ("<", ">", "|", "=") or parts[2:5] != (None, None, None):
            raise PickleRefused("an array of something else than numbers, bytes or text")
        if order in ("<", ">"):
            self.checked = self.checked.newbyteorder(order)


@final
class _Array:
    """An array, made when its checked state is there."""

    __slots__ = ("_budget", "made")

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self.made: npt.NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        parts = cast("tuple[object, ...]", state) if isinstance(state, tuple) else ()
        if len(parts) != 5 or self.made is not None or not isinstance(parts[3], bool | int):
            raise PickleRefused("an array that was not written by numpy")
        self.made = _shaped(self._budget, parts[4], parts[2], parts[1], "F" if parts[3] else "C")


def _reconstruct(budget: _Budget, kind: object, shape: object, code: object) -> _Array:
    if not isinstance(kind, _Name):
        raise PickleRefused("an array of another class")
    return _Array(budget)


def _frombuffer(budget: _Budget, buffer: object, dtype: object, shape: object, order: object) -> _Array:
    if order not in ("C", "F"):
        raise PickleRefused("an array that was not written by numpy")
    array = _Array(budget)
    array.made = _shaped(budget, buffer, dtype, shape, cast("str", order))
    return array


def _scalar(budget: _Budget, dtype: object, data: object) -> object:
    return _shaped(budget, data, dtype, (), "C").item()


def _shaped(budget: _Budget, buffer: object, dtype: object, shape: object, order: str) -> npt.NDArray[Any]:
    """A copy of the bytes as an array, whose size is exactly what type and shape say."""
    sizes = cast("tuple[object, ...]", shape) if isinstance(shape, tuple) else None
    if not isinstance(buffer, bytes | bytearray) or not isinstance(dtype, _Dtype) or sizes is None:
        raise PickleRefused("an array of something else than numbers, bytes or text")
    if len(sizes) > _MOST_DIMENSIONS or not all(type(size) is int and 0 <= size < 2**40 for size in sizes):
        raise PickleRefused("an array of an impossible shape")
    dimensions = cast("tuple[int, ...]", sizes)
    if dtype.checked.itemsize == 0 or math.prod(dimensions) * dtype.checked.itemsize != len(buffer):
        raise PickleRefused("an array whose shape does not fit its bytes")
    budget.take(len(buffer))
    found = np.frombuffer(buffer, dtype.checked).reshape(dimensions, order="F" if order == "F" else "C")
    return found.astype(found.dtype.newbyteorder("="), order="C")


_CALLS: dict[tuple[str, str], Callable[[_Budget], object]] = {
    ("numpy", "ndarray"): lambda budget: _Name(),
    ("numpy", "dtype"): lambda budget: _Call(_Dtype, budget),
    **{(f"{home}.multiarray", "_reconstruct"): lambda budget: _Call(_reconstruct, budget) for home in _NUMPY},
    **{(f"{home}.multiarray", "scalar"): lambda budget: _Call(_scalar, budget) for home in _NUMPY},
    **{(f"{home}.numeric", "_frombuffer"): lambda budget: _Call(_frombuffer, budget) for home in _NUMPY},
    ("_codecs", "encode"): lambda budget: _Call(_encoded, budget),
    **{(home, "bytes"): lambda budget: _Call(_no_bytes, budget) for home in ("__builtin__", "builtins")},
}


def _no_bytes(budget: _Budget) -> bytes:
    """Empty bytes as protocols below 3 write them."""
    return b""


def _encoded(budget: _Budget, text: object, encoding: object) -> bytes:
    """Bytes as protocols below 3 write them: text of the same code points."""
    if not isinstance(text, str) or encoding != "latin1":
        raise PickleRefused("text in another encoding than protocol 2 writes bytes in")
    budget.take(len(text))
    return text.encode("latin1")


def _check_name(module: str, name: str = "") -> None:
    if (module, name) not in _CALLS:
        raise PickleRefused(f"it names {module}.{name}"[:120])


@final
class _Reader(pickle.Unpickler):
    """pickle's own reader, which finds nothing but the functions above."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._budget = _Budget(2 * len(data))  # older protocols make bytes of text first, then the array

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """One of them.

        Raises:
            PickleRefused: any other name.
        """
        _check_name(module_name, global_name)
        return _CALLS[module_name, global_name](self._budget)

    def persistent_load(self, pid: Any, /) -> NoReturn:
        """Nothing outside the pickle is looked up.

        Raises:
            PickleRefused: always.
        """
        raise PickleRefused("it points outside itself")


@final
class _Plain:
    """What was read, looked at value by value: of plain types, no deeper and no more than a request may be."""

    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def value(self, held: object, depth: int) -> Any:
        """The value, arrays in place of what stood for them."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise PickleRefused("too deep or too many values")
        if type(held) in _PLAIN:
            return held
        if isinstance(held, _Array) and held.made is not None:
            return held.made
        if type(held) in (list, tuple):
            return [self.value(item, depth + 1) for item in cast("list[object]", held)]
        if type(held) is dict:
            items = cast("dict[object, object]", held).items()
            return {self._key(key): self.value(item, depth + 1) for key, item in items}
        raise PickleRefused(f"it holds a {type(held).__name__.strip('_').lower()}")

    def _key(self, key: object) -> str:
        if type(key) is not str:
            raise PickleRefused("a dictionary whose keys are not text")
        return key
