from __future__ import annotations

import pytest
import typer
from typer.core import TyperGroup, TyperOption

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
