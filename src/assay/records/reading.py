"""`read`: records from every format, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

from assay.records.formats import Format, Origin, format_named, formats, recognise
from assay.records.formats.groups import joined, parted
from assay.records.problems import BadRowError, FormatError, Problem, RowError
from assay.records.record import Record
from assay.records.sound import refuse_unsound
from assay.records.sources import Item, is_data_file, is_delimited, rows_of

OnError: TypeAlias = Literal["raise", "collect"]

_Part: TypeAlias = tuple[Origin, Callable[[], Iterator[Item]]]
_MOST_PROBLEMS = 10_000
_ROW_FAILURES = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


@final
class Records(Iterable[Record]):
    """Records of a file, read as they are asked for; each ``for`` reads from the start again.

    ``format`` is what was recognised. ``problems`` fills while reading with what is wrong, with
    ``on_error="collect"`` (the first 10,000; ``failed`` counts all bad rows), and starts empty at each reading.
    """

    def __init__(self, parts: Sequence[_Part], format: Format, *, limit: int | None, on_error: OnError) -> None:
        if on_error not in ("raise", "collect"):
            raise ValueError(f"on_error={on_error!r}; give 'raise' or 'collect'")
        self._parts = parts
        self._format = format
        self._limit = limit
        self._on_error: OnError = on_error
        self.problems: list[Problem] = []
        self.failed = 0

    @property
    def format(self) -> str:
        """The name of the format."""
        return self._format.name

    def __repr__(self) -> str:
        return f"Records({', '.join(origin.name for origin, _ in self._parts)}, format={self.format!r})"

    def __iter__(self) -> Iterator[Record]:
        self.problems.clear()
        self.failed = 0
        return islice(self._all(), self._limit)

    def _all(self) -> Iterator[Record]:
        gather = self._format.gather
        for origin, rows in self._parts:
            for item in gather(rows()) if gather else rows():
                if isinstance(item, Problem):
                    self._report(item)
                    continue
                number, row = item
                try:
                    record = self._made(row, number, origin)
                except _ROW_FAILURES as error:
                    yield from self._without_the_bad(row, number, origin, error)
                    continue
                yield record

    def _made(self, row: Any, number: int, origin: Origin) -> Record:
        record = self._format.to_record(row, number, origin)
        refuse_unsound(record)
        return record

    def _without_the_bad(self, row: Any, number: int, origin: Origin, error: Exception) -> Iterator[Record]:
        """The record of those rows of a group that are sound alone; the others are reported, each by its number."""
        rows = parted(row)
        sound = [one for one in rows if self._is_sound(*one, origin)]
        if len(sound) == len(rows):  # no group, or its rows are wrong only together
            last = rows[-1][0] if rows else number
            self._report(replace(_as_problem(error, origin.name, number, self._format), last=last), error)
        elif sound:
            yield from self._all_of(sound, origin)

    def _is_sound(self, number: int, row: Any, origin: Origin) -> bool:
        try:
            self._made(joined([(number, row)]), number, origin)
        except _ROW_FAILURES as error:
            self._report(_as_problem(error, origin.name, number, self._format), error)
            return False
        return True

    def _all_of(self, rows: Sequence[tuple[int, Any]], origin: Origin) -> Iterator[Record]:
        try:
            record = self._made(joined(rows), rows[0][0], origin)
        except _ROW_FAILURES as error:
            problem = _as_problem(error, origin.name, rows[0][0], self._format)
            self._report(replace(problem, last=rows[-1][0]), error)
            return
        yield record

    def _report(self, problem: Problem, cause: Exception | None = None) -> None:
        if self._on_error == "raise":
            raise RowError(problem) from cause
        self.failed += problem.last - problem.first + 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def _as_problem(error: Exception, file: str, number: int, format: Format) -> Problem:
    if isinstance(error, BadRowError):
        return error.at(file, number)
    remedy = f"{format.name} rows have {format.columns}"
    if isinstance(error, KeyError):
        return Problem(file, number, number, "missing_column", f"no column {error.args[0]!r}", remedy)
    return Problem(file, number, number, "bad_row", f"not a {format.name} row ({error})", remedy)


def read(
    path: str | Path,
    *,
    format: str | None = None,
    limit: int | None = None,
    split: str | None = None,
    media_root: str | Path | None = None,
    on_error: OnError = "raise",
) -> Records:
    """The records of a file or of the data files of a directory, streamed; nothing is decoded, memory stays flat.

    Files are JSON Lines, JSON arrays, CSV and TSV (all also with .gz) or Parquet; of a directory, tables of text are
    read if it holds nothing else.

    The format is recognised from the columns of the first row unless named. ``split`` chooses among the files of a
    directory by name (``train`` finds ``train.jsonl``, ``train-00000-of-00002.parquet``, ``train/...``).
    Relative media paths start at ``media_root``, else at the file's folder. ``easy-vqa:train`` and ``easy-vqa:test``
    read the data of that package. ``on_error="collect"`` goes on behind bad rows and keeps them in ``problems``.
    A row without an id is named ``file#row``.

    Raises:
        FileNotFoundError: no such file, or no data file in the directory.
        FormatError: no format knows the columns.
        RowError: while reading, at the first bad row (file, row, cause, remedy), with ``on_error="raise"``.
    """
    chosen = None if format is None else format_named(format)
    claimed = next((known for known in formats() if known.claims and known.claims(str(path))), None)
    if claimed is not None and chosen in (None, claimed) and claimed.rows is not None:
        origins = [origin for origin, _ in claimed.rows(str(path), split)]
        if not origins:
            raise FileNotFoundError(f"{path}: nothing of split {split!r}")
        parts = [(origin, _again(claimed, str(path), split, index)) for index, origin in enumerate(origins)]
        return Records(parts, claimed, limit=limit, on_error=on_error)
    files = _files(Path(path), split)
    found = chosen or _recognise_files(files)
    start = Path(path) if Path(path).is_dir() else Path(path).parent
    parts = [
        (Origin(_name(file, start), Path(media_root) if media_root is not None else file.parent), _opener(file))
        for file in files
    ]
    return Records(parts, found, limit=limit, on_error=on_error)


def _again(format: Format, path: str, split: str | None, index: int) -> Callable[[], Iterator[Item]]:
    def rows() -> Iterator[Item]:
        assert format.rows is not None
        return next(islice(iter(format.rows(path, split)), index, None))[1]

    return rows


def _opener(file: Path) -> Callable[[], Iterator[Item]]:
    return lambda: rows_of(file)


def _name(file: Path, start: Path) -> str:
    return file.relative_to(start).as_posix()


def _files(path: Path, split: str | None) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or directory; check the path")
        if split is not None:
            raise FormatError(f"{path}: one file, but a split chooses among the files of a directory; leave it out")
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    found = [file for file in files if is_data_file(file)] or [file for file in files if is_delimited(file)]
    if split is not None:
        found = [file for file in found if _in_split(file.relative_to(path), split)]
    if not found:
        of_split = "" if split is None else f" of split {split!r}"
        raise FileNotFoundError(f"{path}: no .jsonl, .json, .parquet, .csv or .tsv file{of_split} in this directory")
    return found


def _in_split(file: Path, split: str) -> bool:
    stem = file.name.split(".")[0]
    return split in file.parts[:-1] or stem == split or stem.startswith((f"{split}-", f"{split}_"))


def _recognise_files(files: Sequence[Path]) -> Format:
    found = _recognise_file(files[0])
    for file in files[1:]:
        other = _recognise_file(file)
        if other is not found:
            raise FormatError(f"{file} is in the {other.name} format, {files[0]} in {found.name}; read one at a time")
    return found


def _recognise_file(file: Path) -> Format:
    problem: Problem | None = None
    for item in rows_of(file):
        if not isinstance(item, Problem):
            return recognise(item[1], str(file))
        problem = problem or item
    raise FormatError(f"{file}: no row can be read" + (f"; first problem: {problem}" if problem else ": it is empty"))
