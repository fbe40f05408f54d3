"""What is wrong with a row, said so that it can be found and mended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Rows ``first`` to ``last`` of ``file`` (counted from 1; in text files they are lines), the cause and the remedy.

    ``code`` is stable (``bad_json``, ``not_utf8``, ``media_count``, ``corrupt_row_group``, ...). ``group`` is the row
    group of a Parquet file, counted from 0.
    """

    file: str
    first: int
    last: int
    code: str
    cause: str
    remedy: str
    group: int | None = None

    def __str__(self) -> str:
        rows = f"row {self.first}" if self.first == self.last else f"rows {self.first}-{self.last}"
        group = "" if self.group is None else f" (row group {self.group})"
        return f"{self.file}: {rows}{group}: {self.code}: {self.cause}; {self.remedy}"


class RowError(ValueError):
    """A row that cannot be read or written; ``problem`` says which and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class BadRowError(ValueError):
    """What a format says of a row it cannot take; the reader adds file and row number."""

    def __init__(self, code: str, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.code = code
        self.cause = cause
        self.remedy = remedy

    def at(self, file: str, row: int) -> Problem:
        return Problem(file, row, row, self.code, self.cause, self.remedy)


class FormatError(ValueError):
    """A file whose format is unknown, or that cannot be opened as what it claims to be."""
