"""What a format is, and where its rows come from and go to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from assay.media import Audio, Image, Part, Video
from assay.records.problems import BadRowError
from assay.records.record import Record
from assay.records.sources import Item

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from: the name in ids and errors, and the folder that relative media paths start at."""

    name: str
    root: Path

    def id(self, row: Mapping[str, Any], number: int) -> str:
        """The row's own id, or ``file#row``."""
        own = row.get("id")
        return f"{self.name}#{number}" if own is None else str(own)


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go. ``table`` for Parquet and for memory, which hold bytes; text files refer to media by path.

    ``folder`` is that of the file written; media given by bytes are laid down in ``media``, named by their content.
    ``pretend`` opens and writes no file: a name stands for each medium, for a dry run.
    """

    table: bool
    folder: Path | None = None
    media: Path | None = None
    pretend: bool = False

    def relative(self, path: Path) -> str:
        """The path as written: relative to the file's folder where it lies under it, else absolute."""
        whole = path.absolute()
        if self.folder is not None and whole.is_relative_to(self.folder.absolute()):
            return whole.relative_to(self.folder.absolute()).as_posix()
        return whole.as_posix()

    def put(self, part: Part) -> Any:
        """What stands in a media column: ``{"bytes", "path"}`` in tables, a path in text files; frames as a list.

        Raises:
            BadRowError: a medium without encoded content (a tensor), or a file that cannot be read.
        """
        if isinstance(part, Video) and part.frames:
            return [self.put(frame) for frame in part.frames]
        if not isinstance(part, Image | Video | Audio) or (part.path is None and part.data is None):
            raise BadRowError("unsupported_media", "a medium without encoded bytes", "save it to a file first")
        if self.pretend:
            return "medium"
        if self.table:
            return {"bytes": part.data if part.data is not None else _bytes_of(part), "path": None}
        if part.path is not None:
            return self.relative(part.path)
        return self._lay_down(part)

    def _lay_down(self, part: Image | Video | Audio) -> str:
        import hashlib

        if self.media is None or part.data is None:
            raise BadRowError(
                "unsupported_media", "media given by bytes, and no folder to put them in", "write to a file"
            )
        self.media.mkdir(parents=True, exist_ok=True)
        path = self.media / (hashlib.sha256(part.data).hexdigest()[:32] + suffix_of(part.data))
        if not path.exists():
            partial = path.with_suffix(path.suffix + ".partial")
            try:
                partial.write_bytes(part.data)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        return self.relative(path)


def _bytes_of(part: Image | Video | Audio) -> bytes:
    assert part.path is not None
    try:
        return part.path.read_bytes()
    except OSError as error:
        raise BadRowError(
            "missing_media", f"{part.path} cannot be read ({error.strerror})", "check media_root"
        ) from error


def suffix_of(data: bytes) -> str:
    """The usual file name ending of encoded media, from its first bytes; empty when they are not known."""
    starts = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"fLaC": ".flac", b"OggS": ".ogg"}
    known = next((suffix for start, suffix in starts.items() if data.startswith(start)), "")
    if data[:4] == b"RIFF":
        known = {b"WEBP": ".webp", b"WAVE": ".wav", b"AVI ": ".avi"}.get(data[8:12], "")
    return ".mp4" if data[4:8] == b"ftyp" else known


Encode: TypeAlias = Callable[[Record], Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Format:
    """One outside format, as pure functions.

    ``recognises`` looks at one row; exactly one format may say yes. ``to_record(row, number, origin)`` reads it.
    ``writer(first records, target)`` gives the function that writes a record as rows; None: read only.
    ``gather`` joins rows that make one record (see `assay.records.formats.groups`); ``recognises`` sees them before.
    A format that is more than rows in a file ``claims`` a path and reads ``rows(path, split)`` itself.
    ``schema`` is that of its Parquet files (else inferred); ``beside`` writes what belongs beside a written file.

    Raises (to_record and the writer's function):
        BadRowError: what the row or record cannot be, with the remedy.
    """

    name: str
    columns: str
    recognises: Callable[[Any], bool]
    to_record: Callable[[Any, int, Origin], Record]
    writer: Callable[[Sequence[Record], Target], Encode] | None = None
    gather: Callable[[Iterator[Item]], Iterator[Item]] | None = None
    claims: Callable[[str], bool] | None = None
    rows: Callable[[str, str | None], Iterable[tuple[Origin, Iterator[Item]]]] | None = None
    schema: Callable[[], Any] | None = None
    beside: Callable[[Path], None] | None = None


def context_of(row: Mapping[str, Any], used: frozenset[str]) -> dict[str, Any]:
    """The columns a format does not use itself; an empty (null) cell is an absent one."""
    return {name: value for name, value in row.items() if name not in used and value is not None}


def with_context(row: Row, record: Record, used: frozenset[str]) -> Row:
    """The row with the record's context as further columns.

    Raises:
        BadRowError: a context column has the name of one that the format uses itself.
    """
    for name, value in record.context.items():
        if name in used:
            cause = f"context column {name!r} has the name of a column of the format"
            raise BadRowError("column_collision", cause, "rename the context column")
        row[name] = value
    return row
