"""Records from rows in memory: lists of dictionaries, pandas frames, Hugging Face datasets; and rows from records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

from assay.records.formats import Origin, Row, Target, format_named, recognise
from assay.records.problems import BadRowError, FormatError, RowError
from assay.records.reading import OnError, Records
from assay.records.record import Record
from assay.records.sources import Item
from assay.records.writing import first_records


def from_rows(
    rows: Any,
    *,
    format: str | None = None,
    limit: int | None = None,
    media_root: str | Path = "",
    name: str = "rows",
    on_error: OnError = "raise",
) -> Records:
    """Records from an iterable of dictionaries, a pandas DataFrame or a `datasets.Dataset`, as `read` from a file.

    Images of a dataset stay encoded. A missing cell (None, NaN) is an absent column. A row without an id is named
    ``name#row``. The result can be read again if ``rows`` can.

    Raises:
        FormatError: no rows, or no format knows the columns.
        RowError: while reading, at the first bad row, with ``on_error="raise"``.
    """
    again = _dictionaries(rows)
    first = next(iter(again()), None) if format is None or not isinstance(rows, Iterator) else {}
    if first is None:
        raise FormatError("no rows, so the format cannot be seen; name it with format=")
    if isinstance(rows, Iterator) and format is None:
        stream = chain([first], cast(Iterator[Row], rows))
        again = lambda: stream  # noqa: E731
    found = recognise(_clean(first), name) if format is None else format_named(format)

    def items() -> Iterator[Item]:
        for number, row in enumerate(again(), start=1):
            yield number, _clean(row)

    return Records([(Origin(name, Path(media_root)), items)], found, limit=limit, on_error=on_error)


def _dictionaries(rows: Any) -> Callable[[], Iterator[Row]]:
    home = type(rows).__module__.partition(".")[0]
    if home == "pandas" and hasattr(rows, "to_dict"):
        return lambda: _frame_rows(rows)
    if home == "datasets" and hasattr(rows, "features"):
        return lambda: iter(_undecoded(rows))
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise FormatError(
            f"{type(rows).__name__} is no table of rows; give a list of dictionaries, a frame or a dataset"
        )
    return lambda: iter(cast(Iterable[Row], rows))


def _frame_rows(frame: Any) -> Iterator[Row]:
    for start in range(0, len(frame), 1024):
        yield from frame.iloc[start : start + 1024].to_dict("records")


def _undecoded(dataset: Any) -> Any:
    """The dataset with media columns as encoded bytes or paths, also inside lists."""
    if dataset.features is None:
        return dataset
    dataset = dataset.with_format(None)
    for column, feature in dataset.features.items():
        changed = _without_decoding(feature)
        if changed is not feature:
            dataset = dataset.cast_column(column, changed)
    return dataset


def _without_decoding(feature: Any) -> Any:
    if type(feature).__name__ in ("Image", "Audio", "Video") and getattr(feature, "decode", False):
        from dataclasses import replace

        return replace(feature, decode=False)
    if type(feature).__name__ in ("List", "Sequence", "LargeList"):
        inner = _without_decoding(feature.feature)
        return feature if inner is feature.feature else type(feature)(inner)
    return feature


def _clean(row: Mapping[str, Any]) -> Row:
    cells = {name: _plain(value) for name, value in row.items()}
    return {name: value for name, value in cells.items() if not (value is None or _is_nan(value))}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _plain(value: Any) -> Any:
    """Arrays and numpy numbers as lists and Python numbers; None cells of structs stay, for messages to skip."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast(Sequence[Any], value)]
    if isinstance(value, dict):
        cells = cast(Mapping[str, Any], value)
        return {name: _plain(item) for name, item in cells.items()}
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value


def to_rows(records: Iterable[Record], *, format: str = "native") -> Iterator[Row]:
    """Rows of a format, streamed; media as ``{"bytes", "path"}``, what `datasets.Image` takes.

    Raises:
        FormatError: an unknown or read-only format.
        RowError: at the first record that the format cannot hold.
    """
    to = format_named(format)
    if to.writer is None:
        raise FormatError(f"{format} can only be read")
    stream = iter(records)
    first = first_records(stream)
    encode = to.writer(first, Target(table=True))
    return _encoded(chain(first, stream), encode)


def _encoded(records: Iterable[Record], encode: Callable[[Record], Sequence[Row]]) -> Iterator[Row]:
    for number, record in enumerate(records, start=1):
        try:
            yield from encode(record)
        except BadRowError as error:
            raise RowError(error.at(f"record {record.id!r}", number)) from error
