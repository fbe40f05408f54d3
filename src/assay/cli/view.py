"""`assay view`: a page to look at scores."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.cli.inputs import UsageError, counted, show
from assay.cli.options import DryRun, Json, Limit, NoDevice, NoDtype, NoSeed
from assay.cli.progress import progress_bar

Host = Annotated[str, typer.Option("--host", help="Where to listen; others than this machine see it if it is not.")]
Port = Annotated[int, typer.Option("--port", help="The port; 0 takes a free one.", min=0, max=65535)]
Cache = Annotated[
    Path | None, typer.Option("--cache", help="Where sort orders and copies lie; ~/.cache/assay/view by default.")
]


def view(
    scores: Annotated[
        Path, typer.Argument(metavar="SCORES", help="What `assay score` wrote, or an `assay bench` run.")
    ],
    data: Annotated[Path | None, typer.Option("--data", help="The data that were scored, to show them.")] = None,
    against: Annotated[Path | None, typer.Option("--against", help="Another reward's scores of the same data.")] = None,
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="Of these rewards, the lower score is the better.")
    ] = False,
    host: Host = "127.0.0.1",
    port: Port = 8400,
    cache: Cache = None,
    limit: Limit = None,
    device: NoDevice = "auto",
    dtype: NoDtype = "auto",
    seed: NoSeed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Show SCORES in a browser: sort, filter and page through them, each response beside its rivals.

    A million rows are not loaded: orders are made once and kept. With --data prompts, responses, pictures, video, sound
    and what raters said are shown, and the worst errors listed: rejected responses that score above the chosen. With
    --against a second reward's scores stand beside them, and the responses that the two order differently are listed.

    Filters are those of `assay filter`, over every column. Each row has a lasting address. The page is for this machine
    alone unless --host says otherwise; it has no password.

    Example: assay view scores.parquet --data answers.jsonl --against other.parquet
    """
    need_pages()
    from assay.view.derived import add_derived
    from assay.view.serve import hosts_of, serve
    from assay.view.shelf import shelve
    from assay.view.store import cache_folder, prune
    from assay.view.table import open_table
    from assay.view.viewer import Viewed, create_view

    del device, dtype, seed
    folder = cache or cache_folder()
    prune(folder)
    with progress_bar("reading scores", "rows") as update:
        table = open_table(scores, folder, update)
        other = None if against is None else open_table(against, folder, update)
    shelf = None
    if data is not None:
        with progress_bar("reading the data", "records") as update:
            shelf = shelve(data, folder, limit=limit, progress=update)
    sign = -1.0 if lower_is_better else 1.0
    add_derived(table, shelf=shelf, other=other, sign=sign)
    facts: dict[str, Any] = {"rows": table.rows, "records": table.records, "columns": list(table.columns)}
    problems = [] if shelf is None else list(shelf.problems)
    said = f"{counted(table.rows, 'row')} of {counted(table.records, 'record')}"
    lines = [f"{said}: {', '.join(table.columns)}", *(f"skipped: {each}" for each in problems[:10])]
    if dry_run or not as_json:
        show(facts | {"counts": table.counts(), "problems": problems}, as_json, lines)
    if not dry_run:
        serve(create_view(Viewed(table, shelf, other, sign), hosts_of(host)), host, port, announce)


def need_pages() -> None:
    """Raise what to install where what pages are served by is missing.

    Raises:
        UsageError: it is.
    """
    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"pages need {' and '.join(missing)}: pip install 'assay[serve]'")


def announce(address: object) -> None:
    """Say where the page is, on stderr, so that stdout stays for results."""
    print(f"open {address} (Ctrl-C ends it)", file=sys.stderr, flush=True)
