"""The house: imports point to a lower floor, to a folder listed above on the same floor, or within a folder."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "assay"

FLOORS = (
    ("media", "spec", "scores", "metrics", "objectives"),
    ("records", "transforms", "perturb"),
    ("models", "worlds"),
    ("rewards",),
    ("curation", "search", "runs", "training", "benchmarks", "adapters", "serving", "view"),
    ("testing", "recipes", "claims", "quickstart", "cli", "__main__"),
)
PLACE = {name: (floor, place) for floor, names in enumerate(FLOORS) for place, name in enumerate(names)}


def home(module):
    """The folder or file of `assay` that a dotted name lies in; None outside of it, or for the package itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "assay" and len(parts) > 1 else None


def imported(path):
    """(line, dotted name) of every import of assay in a file, those for type checking and in functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the full name"
            if node.module == "assay":
                yield from ((node.lineno, f"assay.{alias.name}") for alias in node.names if alias.name != "__version__")
            else:
                yield node.lineno, node.module


def files():
    return [path for path in sorted(SOURCE.rglob("*.py")) if path != SOURCE / "__init__.py"]


def folder(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def allowed(importer, imported_home):
    return importer == imported_home or PLACE[imported_home] < PLACE[importer]


def test_every_folder_and_file_has_a_floor():
    assert {folder(path) for path in files()} <= set(PLACE)


def test_imports_point_down():
    wrong = [
        f"{path.relative_to(SOURCE)}:{line}: {folder(path)} may not import {target}"
        for path in files()
        for line, target in imported(path)
        if home(target) is not None and not allowed(folder(path), home(target))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rule_itself_can_tell_up_from_down():
    assert allowed("rewards", "models")
    assert allowed("runs", "curation")
    assert allowed("cli", "cli")
    assert not allowed("models", "rewards")
    assert allowed("search", "curation")
    assert not allowed("curation", "search")
    assert not allowed("scores", "records")


def test_nothing_imports_a_recipe_but_the_command_line():
    importers = {folder(path) for path in files() for _, target in imported(path) if home(target) == "recipes"}
    assert importers <= {"recipes", "claims", "cli"}


HELP = "sys.argv = ['assay', '--help']; from assay.cli.main import main; main()"
HEAVY = ("torch", "transformers", "pandas", "numpy", "pyarrow", "sklearn")
START = """
import sys
try:
    {what}
except SystemExit:
    pass
import json, time
print(json.dumps([time.process_time(), [name for name in {heavy} if name in sys.modules]]))
"""


@pytest.mark.parametrize("what", ["import assay", HELP], ids=["import assay", "assay --help"])
def test_starting_is_quick_and_imports_no_torch(what):
    command = [sys.executable, "-c", START.format(what=what, heavy=HEAVY)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    seconds, heavy = min(json.loads(run.stdout.splitlines()[-1]) for run in runs)
    assert heavy == []
    assert seconds < 0.5
