"""Write the generated documents: the command reference, the formats table, the README's benchmark table.

`python docs/generate.py` writes them; `--check` writes nothing and exits 1 when one is stale.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

import assay.records.formats
from assay.cli.main import app

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- {name}:start -->", "<!-- {name}:end -->"


def commands() -> str:
    """One section a command: its help and its options."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    lines = ["# Commands", "", "Generated from the command line itself by `docs/generate.py`.", ""]
    for name in root.commands:
        command = root.commands[name]
        assert isinstance(command, TyperCommand)
        lines += command_section(name, command)
    return "\n".join(lines).rstrip() + "\n"


def command_section(name: str, command: TyperCommand) -> list[str]:
    """Heading, help, arguments and options of one command."""
    options = [item for item in command.params if isinstance(item, TyperOption) and not item.hidden]
    arguments = [item for item in command.params if isinstance(item, TyperArgument)]
    usage = " ".join(["assay", name, *(str(item.metavar or item.name).upper() for item in arguments)])
    rows = [
        f"| {', '.join(f'`{flag}`' for flag in item.opts)} | {item.help or ''} | {default_of(item)} |"
        for item in options
    ]
    table = ["| option | what it does | default |", "|---|---|---|", *rows, ""] if rows else []
    body = inspect.cleandoc(command.help or "").replace("\b\n", "")
    return [f"## {name}", "", f"`{usage}`", "", body, "", *table]


def default_of(option: TyperOption) -> str:
    """A default as it would be typed; empty where there is none."""
    value = option.default
    return "" if value is None or value is False or callable(value) or value == () else f"`{value}`"


def formats() -> str:
    """One row a file format, from the first paragraph of its module."""
    lines = ["# Formats", "", "Generated from `assay.records.formats` by `docs/generate.py`.", ""]
    lines += ["| format | what it is | recognised by | written |", "|---|---|---|---|"]
    for found in assay.records.formats.formats():
        module = importlib.import_module(found.to_record.__module__)
        summary = (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ")
        written = "" if found.writer is None else "yes"
        lines.append(f"| `{found.name}` | {summary} | {found.columns} | {written} |")
    return "\n".join(lines) + "\n"


def readme() -> str:
    """The README with its benchmark table renewed from benchmarks/results."""
    table = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "table.py"], capture_output=True, text=True, check=True
    ).stdout.strip()
    begin, end = BEGIN.format(name="benchmarks"), END.format(name="benchmarks")
    table = table.replace(begin, "").replace(end, "").strip()
    block = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text = (ROOT / "README.md").read_text()
    return block.sub(lambda _: f"{begin}\n{table}\n{end}", text)


DOCUMENTS: dict[str, Callable[[], str]] = {
    "docs/commands.md": commands,
    "docs/formats.md": formats,
    "README.md": readme,
}


def main() -> int:
    """Write or check every document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when a document is stale; write nothing")
    check: bool = parser.parse_args().check
    stale = 0
    for name, make in DOCUMENTS.items():
        path, text = ROOT / name, make()
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        if check:
            print(f"{name} is stale: run python docs/generate.py")
        else:
            path.write_text(text)
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
