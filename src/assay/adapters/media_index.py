"""Prompts and media that a trainer does not hand to its reward function, found again by what it does hand over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias, cast, final

from assay.media import Audio, Video
from assay.records.problems import Problem
from assay.records.sources import rows_of

Row: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[str, ...]
_FIELDS = ("prompt", "images", "image", "videos", "video", "audios", "audio")


@final
@dataclass(frozen=True)
class MediaIndex:
    """Rows of a data set by ``key``: the fields of ``extra_info`` (or of the row itself) that tell them apart.

    `media_from` makes one of data files, `media_of` one of a dictionary.
    """

    key: Key
    rows: Mapping[Key, Callable[[], Row]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, given: Row) -> Row | None:
        """The row that ``given`` names: its prompt and media columns; None where there is no such row."""
        name = _key(given, self.key)
        found = None if name is None else self.rows.get(name)
        return None if found is None else found()

    def asked_for(self, given: Row) -> str:
        """How the row is called, for messages."""
        return ", ".join(f"{name}={given.get(name)!r}" for name in self.key)


def media_of(media: Mapping[Any, Any], key: str = "index") -> MediaIndex:
    """An index of media in memory: the value of ``key`` to a medium, a path, or a list of them (pictures, unless they
    are `Video` or `Audio` values), or to a row with columns such as ``prompt`` and ``images``."""
    return MediaIndex((key,), {(str(name),): partial(_row_of, value) for name, value in media.items()})


def media_from(*files: str | Path, key: str | Sequence[str] = "index") -> MediaIndex:
    """An index of the rows of data files (Parquet as verl's trainers read them, JSON, JSON Lines).

    The fields of ``key`` are looked up in ``extra_info`` first, then in the row. Of Parquet only the keys are held;
    rows are read when they are asked for, and the last four row groups are kept.

    Raises:
        ValueError: a row without the key, two rows of one key, or a row that cannot be read.
        FileNotFoundError: there is no such file.
    """
    fields = (key,) if isinstance(key, str) else tuple(key)
    rows: dict[Key, Callable[[], Row]] = {}
    for file in files:
        path = Path(file)
        for number, (keyed, read) in enumerate(_keyed(path, fields), 1):
            name = _key(keyed, fields)
            if name is None:
                raise ValueError(
                    f"{path}: row {number}: no {' and '.join(fields)}; name fields that each row has (key=)"
                )
            if name in rows:
                called = ", ".join(f"{field}={value}" for field, value in zip(fields, name, strict=True))
                raise ValueError(f"{path}: row {number}: a second row of {called}; add a field that tells them apart")
            rows[name] = read
    return MediaIndex(fields, rows)


def _keyed(path: Path, fields: Key) -> Iterable[tuple[Row, Callable[[], Row]]]:
    if path.suffix.lower() != ".parquet":
        for item in rows_of(path):
            if isinstance(item, Problem):
                raise ValueError(str(item))
            row = cast("Row", item[1])
            yield row, partial(_shown, row)
        return
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as opened:
        named = [name for name in opened.schema_arrow.names if name == "extra_info" or name in fields]
        for group in range(opened.num_row_groups):
            for place, row in enumerate(opened.read_row_group(group, columns=named).to_pylist()):
                yield row, partial(_row_at, str(path), group, place)


@lru_cache(maxsize=4)
def _group(path: str, group: int) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as opened:
        columns = [name for name in opened.schema_arrow.names if name in _FIELDS]
        return opened.read_row_group(group, columns=columns)


def _row_at(path: str, group: int, place: int) -> Row:
    rows: list[Row] = _group(path, group).slice(place, 1).to_pylist()
    return rows[0]


def _shown(row: Row) -> Row:
    return {name: row[name] for name in _FIELDS if name in row}


def _row_of(value: Any) -> Row:
    if isinstance(value, Mapping) and not {"bytes", "path"} & set(cast("Row", value)):
        return cast("Row", value)
    items: list[Any] = list(cast("Sequence[Any]", value)) if isinstance(value, list | tuple) else [value]
    found: dict[str, list[Any]] = {}
    for item in items:
        kind = "videos" if isinstance(item, Video) else "audios" if isinstance(item, Audio) else "images"
        found.setdefault(kind, []).append(item)
    return found


def _key(given: Row, fields: Key) -> Key | None:
    extra = given.get("extra_info")
    inner = cast("Row", extra) if isinstance(extra, Mapping) else {}
    values = [inner.get(name, given.get(name)) for name in fields]
    return None if any(value is None for value in values) else tuple(str(value) for value in values)
