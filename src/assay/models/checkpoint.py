"""What a checkpoint's files say of themselves, checked before anything is built from them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

_BYTES = {1: "BOOL U8 I8 F8_E4M3 F8_E5M2", 2: "I16 U16 F16 BF16", 4: "I32 U32 F32", 8: "I64 U64 F64"}
_WIDTHS = {name: width for width, names in _BYTES.items() for name in names.split()}
_LONGEST_HEADER = 100 * 2**20
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


class CheckpointError(ValueError):
    """A checkpoint that is not loaded: pickled, damaged, hostile or incomplete. The message names file and remedy."""


def check_checkpoint(directory: Path, config: Any) -> None:
    """Refuse a directory whose weights are pickled, or whose headers contradict their files or the configuration.

    Raises:
        CheckpointError: see above; nothing has been built or allocated.
    """
    files = weight_files(directory)
    tensors = sum(len(read_header(file)) for file in files)
    layers = int(getattr(config.get_text_config(), "num_hidden_layers", 0) or 0)
    if layers > tensors:
        raise CheckpointError(
            f"{directory / 'config.json'}: {layers} layers are declared, but the weights hold {tensors} tensors in all"
        )


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a checkpoint.

    Raises:
        CheckpointError: there are none, or the index names a file outside the directory.
    """
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        return [safetensors_file(directory, "model")]
    try:
        indexed = cast("dict[str, dict[str, str]]", json.loads(index.read_text(encoding="utf-8")))
        names = sorted(set(indexed["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index}: not a weight index: {error}") from error
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(f"{index}: names {name!r}, which is not a safetensors file of this directory")
    return [safetensors_file(directory, name.removesuffix(".safetensors")) for name in names]


def safetensors_file(directory: Path, stem: str) -> Path:
    """``directory/stem.safetensors``.

    Raises:
        CheckpointError: it is missing; the message names the pickled files that lie there instead.
    """
    file = directory / f"{stem}.safetensors"
    if file.is_file():
        return file
    pickled = sorted(found.name for pattern in _PICKLED for found in directory.glob(pattern))
    if pickled:
        raise CheckpointError(
            f"{directory}: the weights are pickled ({', '.join(pickled)}), and unpickling runs code of whoever made "
            "the file; convert them to safetensors where you trust them"
        )
    raise CheckpointError(f"{file}: there is no such file")


def read_header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The dtype and shape of each tensor of a safetensors file, from its header alone.

    Raises:
        CheckpointError: the header is damaged, or tensors overlap, leave gaps, or do not fit their shape or the file.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise CheckpointError(f"{file}: the header claims {length} bytes of a file of {size}")
        raw = stream.read(length)
    try:
        header = cast("dict[str, dict[str, Any]]", json.loads(raw))
        header.pop("__metadata__", None)
        spans = sorted((*cast("list[int]", entry["data_offsets"]), name) for name, entry in header.items())
        found = {name: (str(e["dtype"]), tuple(int(n) for n in e["shape"])) for name, e in header.items()}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{file}: the header is not that of a safetensors file") from error
    end = 0
    for start, stop, name in cast("list[tuple[int, int, str]]", spans):
        dtype, shape = found[name]
        expected = math.prod(shape) * _WIDTHS.get(dtype, 0)
        if dtype not in _WIDTHS or min(shape, default=0) < 0 or start != end or stop - start != expected:
            raise CheckpointError(
                f"{file}: tensor {name!r} ({dtype} {list(shape)}) lies at bytes {start} to {stop}, "
                f"which does not fit its shape or its neighbours"
            )
        end = stop
    if end != size - 8 - length:
        raise CheckpointError(
            f"{file}: the header describes {end} bytes of tensors, the file holds {size - 8 - length}"
        )
    return found
