"""`assay papers`: the published methods that there are, or one of them in detail."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.inputs import show
from assay.cli.options import Json, NoDevice, NoDryRun, NoDtype, NoLimit, NoSeed

if TYPE_CHECKING:
    from assay.claims.papers import Paper


def papers(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One paper, by name or number; else all.", show_default=False)
    ] = None,
    limit: NoLimit = None,
    device: NoDevice = "auto",
    dtype: NoDtype = "auto",
    seed: NoSeed = 0,
    dry_run: NoDryRun = False,
    as_json: Json = False,
) -> None:
    """List the published methods: where each lives, what it gives, and what is claimed of it.

    The grade says how much is shown: effect, measured against a baseline; identity, a formula; mechanism, the logic of
    a loop whose roles are scripted. What is claimed is run by assay reproduce NAME.

    Example: assay papers summarize_feedback
    """
    from assay.claims.papers import paper
    from assay.claims.papers import papers as every

    del limit, device, dtype, seed, dry_run
    if name is not None:
        found = paper(name)
        show(asdict(found), as_json, _details(found))
        return
    if as_json:
        show({"papers": [asdict(found) for found in every()]}, as_json, [])
        return
    print("\n".join(_listing(every())))


def _listing(found: tuple[Paper, ...]) -> list[str]:
    """A line a paper, and under it what is claimed, as wide as the terminal."""
    from shutil import get_terminal_size
    from textwrap import wrap

    wide = max(60, get_terminal_size().columns)
    rows = [
        (str(p.number), p.name, p.kind, str(p.grade), p.home.partition(":")[0].removeprefix("assay.")) for p in found
    ]
    titles = ("no.", "name", "kind", "grade", "home")
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(titles, widths, strict=True)).rstrip()]
    for row, paper in zip(rows, found, strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        indent = " " * (widths[0] + 2)
        lines += wrap(paper.effect, wide, initial_indent=indent, subsequent_indent=indent)
    return [*lines, f"{len(found)} papers; `assay papers NAME` shows one, `assay reproduce NAME` runs its claim"]


def _details(paper: Paper) -> list[str]:
    lines = [
        f"{paper.number}  {paper.name}: {paper.title} ({paper.reference})",
        f"gives: {paper.kind}",
        f"home: {paper.home}",
        f"composed of: {', '.join(paper.primitives) or 'nothing else'}",
        f"claim ({paper.grade}): {paper.effect}",
        *([f"not claimed: {paper.notes}"] if paper.notes else []),
        f"sabotage: {paper.sabotage}",
        f"seeds: {', '.join(map(str, paper.seeds))}",
    ]
    return [*lines, f"run it: assay reproduce {paper.name}"]
