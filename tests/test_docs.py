"""The documents' examples are run, in order, in an empty directory; what they print must be what the page shows.

A fence ``python`` is executed; a fence ``text`` right after it is its output. In a fence ``console`` each ``$ command``
is run by a shell and the lines under it are its output. ``...`` in an output stands for anything.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Example:
    kind: str
    body: str
    line: int


def examples(page: Path) -> list[Example]:
    text = page.read_text()
    return [Example(m[1], m[2], text[: m.start()].count("\n") + 1) for m in FENCE.finditer(text)]


RUNNABLE = [page for page in PAGES if any(e.kind in {"python", "console"} for e in examples(page))]


def same(expected: str, printed: str) -> bool:
    def tidy(text: str) -> str:
        return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"

    return doctest.OutputChecker().check_output(tidy(expected), tidy(printed), doctest.ELLIPSIS)


def run_python(body: str, names: dict[str, object]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(body, "example", "exec"), names)
    return printed.getvalue()


def run_console(body: str, environment: dict[str, str]) -> list[tuple[str, str, str]]:
    """(command, expected, printed) for each ``$`` line."""
    results: list[tuple[str, str, str]] = []
    for block in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = block.partition("\n")
        done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, timeout=300)
        results.append((command, expected, done.stdout if done.returncode == 0 else done.stdout + done.stderr))
    return results


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_print_what_the_page_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": tools, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
    names: dict[str, object] = {"__name__": "__example__"}
    found = examples(page)
    for position, example in enumerate(found):
        where = f"{page.relative_to(ROOT)}:{example.line}"
        if example.kind == "python":
            printed = run_python(example.body, names)
            follower = found[position + 1] if position + 1 < len(found) else None
            if follower is not None and follower.kind == "text":
                assert same(follower.body, printed), f"{where} printed\n{printed}"
        elif example.kind == "console":
            for command, expected, printed in run_console(example.body, environment):
                assert same(expected, printed), f"{where}: {command}\nprinted\n{printed}"


def test_every_page_is_linked_from_the_readme_or_another_page() -> None:
    texts = {page: page.read_text() for page in PAGES}
    for page in PAGES[1:]:
        others = (text for other, text in texts.items() if other != page)
        assert any(page.name in text for text in others), f"{page.relative_to(ROOT)} is linked from nowhere"
