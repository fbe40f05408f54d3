"""Pickles as programs: what is data is read, what is anything else is refused, and none of it has an effect."""

import builtins
import pickle
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.serving.dialects import unpickling
from assay.serving.dialects.unpickling import PickleRefused, unpickled

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=5), each, max_size=4),
    max_leaves=12,
)


@given(plain, st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_data_comes_out_as_it_went_in(held, protocol):
    assert unpickled(pickle.dumps(held, protocol=protocol)) == held


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(6, dtype=">i4").reshape(3, 2),
        np.array(["a cat", "dög"]),
        np.array([b"ab", b"c"]),
        np.array([True, False]),
        np.zeros((0, 3)),
        np.array(2.5, dtype=np.float16),
        np.arange(10)[::2],
    ],
    ids=str,
)
def test_arrays_come_out_as_they_went_in(array, protocol):
    (found,) = unpickled(pickle.dumps([array], protocol=protocol))
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("scalar", [np.float32(0.5), np.int64(7), np.str_("a")])
def test_a_single_number_of_numpy_is_a_number(scalar):
    (found,) = unpickled(pickle.dumps([scalar], protocol=4))
    assert found == scalar.item()


def call(module, name, *arguments, protocol=0):
    """A pickle that calls a function."""

    class Call:
        def __reduce__(self):
            return (_found(module, name), arguments)

    return pickle.dumps({"images": [Call()]}, protocol=protocol)


def _found(module, name):
    place = __import__(module, fromlist=["x"])
    for part in name.split("."):
        place = getattr(place, part)
    return place


def raw(*pieces):
    return b"\x80\x04" + b"".join(pieces) + b"."


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module, name):
    return text(module) + text(name) + b"\x93"


MARK = "/tmp/assay-unpickling-was-here"
ARRAY = named("numpy.core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
U1 = named("numpy", "dtype") + text("u1") + b"\x89\x88\x87R"


def state(shape, dtype, order, data):
    return b"(K\x01" + shape + dtype + order + data + b"tb"


AGAIN = b"h\x01(h\x00h\x02J" + struct.pack("<i", 10**6) + b"\x85" + text("C") + b"tR"


class Object:
    def __init__(self):
        self.x = 1


HOSTILE = {
    "os.system": call("os", "system", f"touch {MARK}"),
    "posix.system": call("posix", "system", f"touch {MARK}", protocol=4),
    "subprocess": call("subprocess", "Popen", ["touch", MARK]),
    "eval": call("builtins", "eval", f"open({MARK!r}, 'w')"),
    "exec": call("builtins", "exec", f"open({MARK!r}, 'w')", protocol=2),
    "open": call("builtins", "open", MARK, "w", protocol=4),
    "getattr": call("builtins", "getattr", "x", "upper"),
    "setattr": raw(named("builtins", "setattr")),
    "import": call("builtins", "__import__", "antigravity"),
    "compile": call("builtins", "compile", "1", "x", "eval"),
    "importlib": call("importlib", "import_module", "this"),
    "runpy": call("runpy", "run_path", "/dev/null"),
    "marshal": raw(named("marshal", "loads")),
    "pickle again": raw(named("pickle", "loads"), b"C\x02N.\x85R"),
    "numpy.load": call("numpy", "load", "/dev/null"),
    "numpy.fromfile": raw(named("numpy", "fromfile")),
    "numpy.memmap": raw(named("numpy", "memmap"), text(MARK), b"\x85R"),
    "numpy.lib's format": raw(named("numpy.lib.format", "open_memmap"), text(MARK), b"\x85R"),
    "numpy.testing's runner": raw(named("numpy.testing._private.utils", "runstring")),
    "numpy.f2py": raw(named("numpy.f2py.diagnose", "run_command")),
    "numpy.ctypeslib": raw(named("numpy.ctypeslib", "load_library")),
    "an attribute of ndarray": raw(named("numpy", "ndarray.tofile")),
    "an attribute of a function": raw(named("numpy.core.multiarray", "_reconstruct.__globals__")),
    "its own reader": raw(named("assay.serving.dialects.unpickling", "_CALLS")),
    "torch storage": raw(named("torch.storage", "_load_from_bytes")),
    "torch rebuild": raw(named("torch._utils", "_rebuild_tensor_v2")),
    "pandas": raw(named("pandas", "read_pickle"), text(MARK), b"\x85R"),
    "PIL": raw(named("PIL.Image", "open"), text("/etc/passwd"), b"\x85R"),
    "collections": raw(named("collections", "OrderedDict"), b")R"),
    "codecs": raw(named("codecs", "open"), text(MARK), text("w"), b"\x86R"),
    "encode in another codec": raw(named("_codecs", "encode"), text("a"), text("rot13"), b"\x86R"),
    "operator": raw(named("operator", "attrgetter"), text("x"), b"\x85R"),
    "functools": raw(named("functools", "partial")),
    "old style global": b"cos\nsystem\n(S'touch " + MARK.encode() + b"'\ntR.",
    "global with a newline": b"cnumpy\ndtype\n.",
    "inst": b"(S'touch " + MARK.encode() + b"'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'x'\no.",
    "newobj": raw(named("numpy", "ndarray"), b")\x81"),
    "newobj_ex": raw(named("numpy", "ndarray"), b")}\x92"),
    "an object": pickle.dumps({"images": [Object()]}),
    "an exception": pickle.dumps(ValueError("x")),
    "a set": pickle.dumps({1, 2}, protocol=4),
    "a frozenset": pickle.dumps(frozenset([1]), protocol=4),
    "a complex number": pickle.dumps(1j),
    "a bytearray": pickle.dumps(bytearray(b"x"), protocol=5),
    "a range": pickle.dumps(range(3)),
    "persistent id": b"Px\n.",
    "binary persistent id": raw(text("x"), b"Q"),
    "extension registry": raw(b"\x82\x01"),
    "out of band buffer": b"\x80\x05\x97.",
    "state for a function": raw(named("numpy", "dtype"), b"}", text("__defaults__"), b"Nsb"),
    "slot state for a function": raw(named("numpy", "dtype"), b"N}", text("_function"), b"Ns\x86b"),
    "state for the class": raw(named("numpy", "ndarray"), b"}b"),
    "an array of objects": pickle.dumps(np.array([Object(), None], dtype=object)),
    "an array of records": pickle.dumps(np.zeros(2, dtype=[("a", "i4"), ("b", "f4")])),
    "an array of dates": pickle.dumps(np.array(["2020-01-01"], dtype="datetime64[D]")),
    "a subclass of arrays": pickle.dumps(np.ma.masked_array([1], [True])),
    "an array of another class": pickle.dumps(np.char.array(["a"])),
    "a dtype by a name": raw(named("numpy", "dtype"), text("object"), b"\x85R"),
    "a dtype by fields": raw(named("numpy", "dtype"), text("i4,O"), b"\x85R"),
    "a dtype alone": pickle.dumps(np.dtype("u1")),
    "a shape beyond its bytes": raw(ARRAY, state(b"J\xff\xff\xff\x7f\x85", U1, b"\x89", b"C\x01x")),
    "a negative shape": raw(ARRAY, state(b"J\xff\xff\xff\xff\x85", U1, b"\x89", b"C\x01x")),
    "a shape that is no shape": raw(ARRAY, state(text("ab"), U1, b"\x89", b"C\x01x")),
    "bytes that are none": raw(ARRAY, state(b"K\x01\x85", U1, b"\x89", text("x"))),
    "state twice": raw(ARRAY, state(b"K\x01\x85", U1, b"\x89", b"C\x01x"), state(b"K\x01\x85", U1, b"\x89", b"C\x01x")),
    "no state": raw(ARRAY),
    "an array without its class": raw(named("numpy.core.multiarray", "_reconstruct"), b"N)N\x87R"),
    "items of text set on a list": raw(b"](", text("a"), b"K\x01u"),
    "append to a number": raw(b"K\x01K\x02a"),
    "an endless memo": raw(b"Nr\xff\xff\xff\x7f"),
    "bytes that it does not bring": raw(b"\x8e" + struct.pack("<Q", 2**40)),
    "text that it does not bring": raw(b"\x8d" + struct.pack("<Q", 2**62)),
    "a long number in words": b"L" + b"9" * 50_000 + b"L\n.",
    "a long number in bytes": raw(b"\x8b" + struct.pack("<i", 100) + b"\x01" * 100),
    "numbers as keys": pickle.dumps({1: 2}),
    "a list in itself": raw(b"]\x94h\x00a"),
    "laughter": raw(b"]\x94", b"".join(b"(" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"l\x94" for i in range(40))),
    "depth": raw(b"]" * 100_000 + b"a" * 99_999),
    "nothing": b"",
    "bytes made into arrays again and again": raw(
        *(b"C\x01x0", b"B" + struct.pack("<I", 10**6) + b"x" * 10**6 + b"\x940"),
        *(named("numpy.core.numeric", "_frombuffer") + b"\x940", U1 + b"\x940", b"](", AGAIN * 500, b"e"),
    ),
    "text made into bytes again and again": raw(
        *(b"X" + struct.pack("<I", 10**6) + b"x" * 10**6 + b"\x940", named("_codecs", "encode") + b"\x940"),
        *(b"](", (b"h\x01h\x00" + text("latin1") + b"\x86R") * 500, b"e"),
    ),
    "half": pickle.dumps({"images": [b"x" * 100]})[:-20],
    "no end": b"\x80\x04]",
    "noise": bytes(range(256)),
    "two": pickle.dumps({"images": []})[:-1] + b"00.",
}


@pytest.fixture(autouse=True)
def untouched(tmp_path):
    from pathlib import Path

    Path(MARK).unlink(missing_ok=True)
    before = {name: id(value) for name, value in vars(builtins).items()}
    yield
    assert not Path(MARK).exists()
    assert {name: id(value) for name, value in vars(builtins).items()} == before


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_without_an_effect(name):
    tracemalloc.start()
    functions = (unpickling._reconstruct, unpickling._frombuffer, unpickling._scalar)
    before = [(f.__defaults__, dict(f.__dict__)) for f in functions]
    try:
        with pytest.raises(PickleRefused):
            unpickled(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
    assert [(f.__defaults__, dict(f.__dict__)) for f in functions] == before
    (good,) = unpickled(pickle.dumps([np.arange(3)]))
    assert good.tolist() == [0, 1, 2]


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 50


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_noise_is_refused_or_data(noise):
    try:
        unpickled(b"\x80\x04" + noise)
    except PickleRefused:
        return


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_changed_pickle_is_refused_or_data(data):
    whole = bytearray(pickle.dumps({"images": [b"abc", np.arange(4)], "prompts": ["a"]}, protocol=4))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        unpickled(bytes(whole))
    except PickleRefused:
        return


def test_reading_runs_nothing_but_what_is_here():
    """An audit hook, in a process of its own, sees no file opened and nothing imported or compiled."""
    program = (
        "import pickle, sys\n"
        "from assay.serving.dialects.unpickling import PickleRefused, unpickled\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_unpickling import HOSTILE\n"
        "seen = []\n"
        'unpickled(pickle.dumps("x", protocol=0))  # its codec is loaded once\n'
        "names = ('open', 'exec', 'compile', 'os.', 'subprocess.', 'socket.', 'import')\n"
        "on = False\n"
        "sys.addaudithook(lambda event, args: seen.append((event, args)) if on and event.startswith(names) else None)\n"
        "for data in HOSTILE.values():\n"
        "    on = True\n"
        "    try:\n"
        "        unpickled(data)\n"
        "    except PickleRefused:\n"
        "        pass\n"
        "    finally:\n"
        "        on = False\n"
        "print(seen)\n"
    )
    from pathlib import Path

    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
