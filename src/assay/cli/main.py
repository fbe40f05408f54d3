"""The `assay` command: one file a command, each imported by name; heavy imports happen inside the commands."""

from __future__ import annotations

import copy
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, final

import typer
from typer.core import TyperCommand

from assay import __version__
from assay.cli import (
    annotate,
    audit,
    bench,
    compare,
    convert,
    doctor,
    filter,
    lab,
    label,
    new,
    papers,
    pick,
    probe,
    quickstart,
    refine,
    reproduce,
    score,
    search,
    serve,
    train,
    verify,
    view,
    watch,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_EXAMPLE = "Example: "


@final
class Command(TyperCommand):
    """A command whose help fills the width of the terminal, and ends with its example on one line, to be copied."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        body, _, example = (self.help or "").rpartition(_EXAMPLE)
        page = copy.copy(self)
        page.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in body.strip().split("\n\n"))
        super(Command, page).format_help(ctx, formatter)
        formatter.write(f" {_EXAMPLE}{example.strip()}\n")


app = typer.Typer(
    name="assay",
    help="Build, audit, use and serve multimodal reward models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(function: Callable[..., None]) -> None:
    app.command(cls=Command)(function)


# Each command: `from assay.cli import score` above and `_add(score.score)` here, in the help page's order.
_add(quickstart.quickstart)
_add(new.new)
_add(train.train)
_add(score.score)
_add(view.view)
_add(audit.audit)
_add(bench.bench)
_add(compare.compare)
_add(lab.lab)
_add(watch.watch)
_add(probe.probe)
_add(verify.verify)
_add(pick.pick)
_add(search.search)
_add(refine.refine)
_add(serve.serve)
_add(filter.filter)
_add(label.label)
_add(annotate.annotate)
_add(convert.convert)
_add(papers.papers)
_add(reproduce.reproduce)
_add(doctor.doctor)

_PACKAGE = str(Path(__file__).resolve().parents[1])


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"assay {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Build, audit, use and serve multimodal reward models."""


def main() -> None:
    """Run the command line. An error of use or input is one message and exit code 2; ASSAY_DEBUG=1 shows where."""
    try:
        app()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if os.environ.get("ASSAY_DEBUG") or not is_expected(error):
            raise
        print(f"error: {message_of(error)}", file=sys.stderr)
        sys.exit(2)


def is_expected(error: BaseException) -> bool:
    """Whether an error is about what was asked or given: of assay's own kinds, of the file system, or raised by assay.

    Anything else is a defect and keeps its traceback.
    """
    if type(error).__module__.split(".")[0] == "assay" or isinstance(error, OSError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    raised_here = bool(frames) and frames[-1].filename.startswith(_PACKAGE)
    return raised_here and isinstance(error, ValueError | TypeError | ImportError | LookupError)


def message_of(error: BaseException) -> str:
    """The message of an error; for those of the file system, with the file that it is about."""
    if type(error).__module__ == "builtins" and isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
