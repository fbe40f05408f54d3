from __future__ import annotations

from itertools import pairwise

import pytest
import typer
from typer.core import TyperGroup, TyperOption
from typer.testing import CliRunner

from assay.cli.main import app

GROUP = typer.main.get_command(app)
assert isinstance(GROUP, TyperGroup)
COMMON = {"--limit", "--device", "--dtype", "--seed", "--dry-run"}


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_every_command_has_the_common_options_and_says_what_it_does_with_an_example(name: str) -> None:
    command = GROUP.commands[name]
    flags = {flag for item in command.params for flag in item.opts}
    assert flags >= COMMON, COMMON - flags
    assert f"assay {name}" in (command.help or "")
    undescribed = [item.name for item in command.params if isinstance(item, TyperOption) and not item.help]
    assert not undescribed


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_help_fills_any_width_and_keeps_its_example_on_one_line(name: str, width: int) -> None:
    page = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": str(width), "TERM": "dumb", "NO_COLOR": "1"})
    *paragraphs, example = (GROUP.commands[name].help or "").split("\n\n")
    lines = [line.rstrip() for line in page.stdout.splitlines()]
    assert lines[-1].strip() == example.strip()
    for paragraph in paragraphs:
        words, first = paragraph.split(), paragraph.split()[0]
        start = next(i for i, line in enumerate(lines) if line.strip().split(" ")[0] == first and line.startswith(" "))
        shown = lines[start : lines.index("", start)]
        assert " ".join(shown).split() == words
        for line, following in pairwise(shown):
            assert len(line) + 1 + len(following.split()[0]) > width - 1, (line, following)


def test_every_command_is_added_once() -> None:
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert len(names) == len(set(names)) == len(GROUP.commands)
    assert names[0] == "quickstart"
