"""The `assay` command: one file a command, each imported by name; heavy imports happen inside the commands."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="assay",
    help="Build, audit, use and serve multimodal reward models.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


# Each command: `from assay.cli import score` above and `app.command()(score.score)` here, in the help page's order.


def main() -> None:
    """Run the command line."""
    app()
