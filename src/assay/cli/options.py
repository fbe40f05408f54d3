"""Options that every command has, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RewardArgument = Annotated[
    str,
    typer.Argument(
        metavar="REWARD",
        help="A saved directory, a hub id, file.py:name, judge:MODEL@URL, program:FILE.py:name, recipe:NAME, "
        "classify:MODEL@URL?local=DIR or http://host:port/NAME.",
        show_default=False,
    ),
]
DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="A data file or directory; the format is recognised.", show_default=False)
]
StepsHow = Annotated[
    str | None,
    typer.Option("--steps", help="Score by its steps: product, minimum, last, mean, maximum or total of them."),
]
SplitBy = Annotated[
    str | None,
    typer.Option("--split", help="Where steps are not marked: lines, sentences, turns, separator:TEXT."),
]
Limit = Annotated[int | None, typer.Option("--limit", help="Use only the first N records.", min=1)]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16, float16.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check input, say what would be done, write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines instead of text.")]
NoLimit = Annotated[int | None, typer.Option("--limit", help="As for every command; nothing is read here.", min=1)]
NoDevice = Annotated[str, typer.Option("--device", help="As for every command; nothing is computed here.")]
NoDtype = Annotated[str, typer.Option("--dtype", help="As for every command; nothing is computed here.")]
NoSeed = Annotated[int, typer.Option("--seed", help="As for every command; nothing is random here.")]
NoDryRun = Annotated[bool, typer.Option("--dry-run", help="As for every command; nothing is written here.")]
MaxErrors = Annotated[int, typer.Option("--max-errors", help="Rows that may fail before the exit code is 1.", min=0)]
