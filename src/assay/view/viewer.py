"""`assay view`: scored rows as a list, and each with its record, its rivals and another reward beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from assay.curation.filters import FilterError
from assay.records import Record
from assay.view.derived import ERROR, FLIPS, OTHER
from assay.view.listing import Listing, Query
from assay.view.media import media_of, send
from assay.view.shelf import Shelf
from assay.view.shown import (
    Address,
    Candidate,
    Turn,
    loose_steps,
    places,
    ranks,
    response_turns,
    said_of,
    text_of,
    turns_of,
)
from assay.view.site import LOOPBACK, link, render, site
from assay.view.table import Table

PAGE = 50
_MOST_COLUMNS = 6
_SNIPPET = 160
_ABOUT = {
    "value": "what the reward says",
    "std": "its standard deviation",
    OTHER: "what the other reward says",
    FLIPS: "responses of the record that the other reward orders otherwise",
    ERROR: "by how much it stands above a response that people prefer to it",
}


@final
@dataclass(frozen=True)
class Viewed:
    """What is looked at: scores, where given the records they are of, and another reward's scores."""

    table: Table
    shelf: Shelf | None = None
    other: Table | None = None
    sign: float = 1.0


def create_view(viewed: Viewed, hosts: Sequence[str] = LOOPBACK) -> FastAPI:
    """The application of `assay view`; `assay.view.derived.add_derived` gives the table its further columns first."""
    app = site("assay view", hosts)
    table, shelf = viewed.table, viewed.shelf
    listing = Listing(table)
    shown = _shown_columns(table)

    @app.get("/", response_class=HTMLResponse)
    def show_list(sort: str = "", keep: str = "", at: int = 0) -> Response:  # pyright: ignore[reportUnusedFunction]
        query, wrong = Query(sort, keep.strip()), ""
        try:
            count = listing.count(query)
        except FilterError as error:
            query, wrong = Query(), str(error)
            count = listing.count(query)
        at = max(0, min(at, count - 1)) // PAGE * PAGE if count else 0
        rows = table.read(listing.rows(query, at, PAGE), ["record", "response", "value", "status", "message", *shown])
        page = render(
            "list.html.j2",
            title=table.path.name,
            tabs=_tabs(viewed, query),
            keep=keep,
            query=query,
            wrong=wrong,
            at=at,
            count=count,
            page=PAGE,
            columns=[(name, _ABOUT.get(name, "attribute"), _turned(query, name)) for name in ("value", *shown)],
            rows=_with_more(viewed, rows, shown),
            bar=_bar(table),
            known=table.columns,
            texts=shelf is not None,
        )
        return HTMLResponse(page, 400 if wrong else 200)

    @app.get("/row", response_class=HTMLResponse)
    def show_row(  # pyright: ignore[reportUnusedFunction]
        record: str, response: int | None = None, sort: str = "", keep: str = "", at: int | None = None
    ) -> Response:
        span = table.span(record)
        if not span:
            raise HTTPException(404, f"{table.path.name} has no record {record!r}")
        page = render(
            "row.html.j2",
            title=f"{record} \u00b7 {table.path.name}",
            name=record,
            chosen=response,
            tabs=_tabs(viewed, None),
            back=link("/", sort=sort, keep=keep, at=max(at or 0, 0) // PAGE * PAGE),
            place=_place(listing, Query(sort, keep.strip()), at),
            other=None if viewed.other is None else viewed.other.path.name,
            about=_ABOUT,
            **_record_values(viewed, record, span),
        )
        return HTMLResponse(page)

    @app.get("/at/{place}")
    def go(place: int, sort: str = "", keep: str = "") -> Response:  # pyright: ignore[reportUnusedFunction]
        try:
            rows = listing.rows(Query(sort, keep.strip()), place := max(place, 0), 1)
        except FilterError as error:
            raise HTTPException(400, str(error)) from error
        if not rows:
            return RedirectResponse(link("/", sort=sort, keep=keep), 303)
        row = table.read(rows, ["record", "response"])[0]
        return RedirectResponse(_row_link(row, sort, keep, place), 303)

    @app.get("/media/{number}/{place}")
    @app.get("/media/{number}/{place}/{frame}")
    def media(  # pyright: ignore[reportUnusedFunction]
        request: Request, number: int, place: int, frame: int | None = None
    ) -> Response:
        record = None if shelf is None else shelf.at(number)
        parts = () if record is None else media_of(record)
        if not 0 <= place < len(parts) or (frame is not None and frame < 0):
            raise HTTPException(404, "there is no such medium")
        return send(parts[place], request, frame)

    return app


def _shown_columns(table: Table) -> list[str]:
    """The columns of a list besides the value: std, what is derived, and the first attributes."""
    first = [name for name in ("std", OTHER, FLIPS, ERROR) if name in table.columns]
    rest = [name for name in table.numbers if name not in ("value", "std")]
    return [*first, *rest][: max(_MOST_COLUMNS, len(first))]


def _tabs(viewed: Viewed, query: Query | None) -> list[tuple[str, str, bool]]:
    """Ready questions: (words, address, whether it is the one asked)."""
    table = viewed.table
    worst, best = ("-value", "value") if viewed.sign < 0 else ("value", "-value")
    found = [("all", Query()), ("highest" if viewed.sign > 0 else "best", Query(best))]
    found.append(("lowest" if viewed.sign > 0 else "worst", Query(worst)))
    if ERROR in table.columns:
        found.append(("worst errors", Query(f"-{ERROR}", f"{ERROR} > 0")))
    if FLIPS in table.columns:
        found.append(("disagreements", Query(f"-{FLIPS}", f"{FLIPS} > 0")))
    if "std" in table.columns:
        found.append(("least sure", Query("-std")))
    counts = {name: count for name, count in table.counts().items() if name != "ok"}
    found += [(f"{name} {count:,}", Query("", f"status == {name}")) for name, count in counts.items()]
    return [(words, link("/", sort=each.sort, keep=each.keep), each == query) for words, each in found]


def _turned(query: Query, name: str) -> tuple[str, str]:
    """Where a click on a column's head leads, and how it is sorted now as `aria-sort` says it."""
    if query.column != name:
        return link("/", sort=f"-{name}", keep=query.keep), "none"
    other = name if query.descending else f"-{name}"
    return link("/", sort=other, keep=query.keep), "descending" if query.descending else "ascending"


def _with_more(viewed: Viewed, rows: Sequence[Mapping[str, Any]], shown: Sequence[str]) -> list[dict[str, Any]]:
    """Rows with the cells of shown columns, and what the record and the response say."""
    derived = {name: viewed.table.column(name) for name in shown if name in viewed.table.derived}
    records: dict[str, Record | None] = {}
    made: list[dict[str, Any]] = []
    for row in rows:
        name, index = row["record"], row["response"]
        if viewed.shelf is not None and name not in records:
            records[name] = viewed.shelf.record(name)
        record = records.get(name)
        said: tuple[str, str] | None = None
        if record is not None and index < len(record.responses):
            said = text_of(record.prompt, _SNIPPET), text_of(record.responses[index].messages, _SNIPPET)
        cells = [_cell(derived[each][row["row"]]) if each in derived else row[each] for each in shown]
        made.append({**row, "cells": cells, "said": said})
    return made


def _cell(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _bar(table: Table) -> tuple[float, float]:
    """The values that the ends of the bars in a list stand for; 0 is among them."""
    column, order = table.column("value"), table.order("value")
    count = int(np.count_nonzero(~np.isnan(column)))
    if not count:
        return 0.0, 1.0
    low, high = min(float(column[order[0]]), 0.0), max(float(column[order[count - 1]]), 0.0)
    return (low, high) if high > low else (0.0, 1.0)


def _row_link(row: Mapping[str, Any], sort: str, keep: str, at: int) -> str:
    address = link("/row", record=row["record"], sort=sort, keep=keep)
    return f"{address}&response={row['response']}&at={at}"


def _place(listing: Listing, query: Query, at: int | None) -> dict[str, Any] | None:
    """Where a row stands in the list that it was opened from, and what is before and behind it."""
    if at is None:
        return None
    try:
        count = listing.count(query)
    except FilterError:
        return None
    if not 0 <= at < count:
        return None

    def address(to: int) -> str | None:
        return link(f"/at/{to}", sort=query.sort, keep=query.keep) if 0 <= to < count else None

    return {"at": at, "count": count, "query": query, "before": address(at - 1), "behind": address(at + 1)}


def _record_values(viewed: Viewed, name: str, span: range) -> dict[str, Any]:
    rows = viewed.table.read(span)
    record = None if viewed.shelf is None else viewed.shelf.record(name)
    number = None if viewed.shelf is None or record is None else viewed.shelf.number(name)

    def address(place: int, frame: int | None) -> str:
        return f"/media/{number}/{place}" + ("" if frame is None else f"/{frame}")

    return {
        "record": record,
        "candidates": _candidates(viewed, name, rows, record, address),
        "derived": _derived_cells(viewed.table, rows),
        "prompt": () if record is None else turns_of(record.prompt, address, 0),
        "missing": viewed.shelf is not None and record is None,
        "context": {} if record is None else dict(record.context),
    }


def _derived_cells(table: Table, rows: Sequence[Mapping[str, Any]]) -> dict[int, list[tuple[str, float | None]]]:
    names = [name for name in (FLIPS, ERROR) if name in table.derived]
    return {row["response"]: [(name, _cell(table.column(name)[row["row"]])) for name in names] for row in rows}


def _candidates(
    viewed: Viewed, name: str, rows: Sequence[Mapping[str, Any]], record: Record | None, address: Address
) -> list[Candidate]:
    """The responses of a record beside their scores, the best first, those without a score last."""
    others: dict[int, dict[str, Any]] = {}
    if viewed.other is not None:
        others = {row["response"]: row for row in viewed.other.read(viewed.other.span(name))}
    own_ranks = ranks([row["value"] for row in rows], viewed.sign)
    other_ranks = ranks([others.get(row["response"], {}).get("value") for row in rows], viewed.sign)
    firsts = [] if record is None else places(record)
    made: list[Candidate] = []
    for row, rank, other_rank in zip(rows, own_ranks, other_ranks, strict=True):
        index, steps = row["response"], row.get("steps") or []
        turns: tuple[Turn, ...] = ()
        if record is not None and index < len(record.responses):
            turns = response_turns(record.responses[index], address, firsts[index + 1], steps)
        laid = any(piece.step is not None for turn in turns for piece in turn.pieces)
        said = () if record is None else said_of(record, index)
        loose = () if laid else loose_steps(steps)
        made.append(Candidate(index, row, turns, said, rank, others.get(index, {}), other_rank, loose))
    return sorted(made, key=lambda each: (each.rank is None, each.rank or 0, each.response))
