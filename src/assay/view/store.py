"""Where pages keep what they made of a file: a folder for each state of it, and arrays that are whole or absent."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assay.runs.files import write_whole

Array = npt.NDArray[Any]
_VERSION = 1
_MAKING = threading.RLock()
_FOLDER = re.compile(r".{1,40}-[0-9a-f]{16}", re.DOTALL)
_OURS = re.compile(
    r"\.{0,2}(\d+-)?(table\.parquet|records(-\d+)?\.sqlite|(starts|hashes|places)\.u[48]|[0-9a-f]{12}\.(column|up|down))"
    r"(\.partial)?"
)
_DAY = 86_400.0


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/assay/view``, by default under ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "assay" / "view"


def state_of(path: Path) -> str:
    """16 hexadecimal digits that change with a file's place, size or time of change; of a folder with any file's."""
    digest = hashlib.sha256(f"{_VERSION} {path.resolve()}".encode())
    for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
        found = file.stat()
        digest.update(f"\x1f{file}\x1e{found.st_size}\x1e{found.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def folder_of(path: Path, cache: Path) -> Path:
    """The folder of ``cache`` for ``path`` as it is now; made where it is not there, and marked as used."""
    folder = cache / f"{path.name[:40]}-{state_of(path)}"
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    return folder


def prune(cache: Path, days: float = 30.0) -> list[Path]:
    """Delete the folders that `folder_of` made in ``cache`` and that no page asked for in so many days; returns them.
    A folder with anything else in it stays."""
    dropped: list[Path] = []
    for folder in sorted(cache.iterdir()) if cache.is_dir() else ():
        with suppress(FileNotFoundError):  # another process may prune at the same time
            if _is_unused(folder, days):
                shutil.rmtree(folder, ignore_errors=True)
                dropped.append(folder)
    return dropped


def _is_unused(folder: Path, days: float) -> bool:
    if not _FOLDER.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    return time.time() - folder.stat().st_mtime > days * _DAY and all(map(_is_ours, folder.iterdir()))


def _is_ours(file: Path) -> bool:
    return file.is_file() and _OURS.fullmatch(file.name) is not None


def made_whole(path: Path, make: Callable[[Path], None]) -> None:
    """Let ``make`` write a file beside ``path`` that takes its name when it is whole. Several processes may do so at
    once: the last one stands."""
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        make(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def kept(path: Path, dtype: str, make: Callable[[], Array]) -> Array:
    """The array at ``path``, mapped into memory, not read; made and written first where it is not there."""
    with _MAKING:
        if not path.exists():
            array = make().astype(dtype, copy=False)
            made_whole(path, lambda partial: write_whole(partial, lambda file: array.tofile(file)))
    return mapped(path, dtype)


def mapped(path: Path, dtype: str) -> Array:
    """The array of a file, mapped into memory."""
    return np.memmap(path, dtype=dtype, mode="r") if path.stat().st_size else np.zeros(0, dtype=dtype)
