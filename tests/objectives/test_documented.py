"""The table of docs/choose.md has what it needs from every objective that a reward can be trained with."""

import importlib.util
import sys
from pathlib import Path

import pytest

from assay.training.names import objectives

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate_documents", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", objectives())
def test_an_objective_says_what_it_is_in_which_unit_and_from_where(generate, name: str) -> None:
    row = generate.objective_row(name, objectives()[name])
    cells = [cell.strip() for cell in row.replace("\\|", "").strip("|").split("|")]
    assert cells[0] == f"`{name}`"
    assert len(cells) == 6
    assert len(cells[1]) > 20
    assert cells[2], "a docstring names the unit of the loss in its first paragraph: in nats, in squared ..."
    assert "Head" in cells[4]
    assert cells[5], "a docstring has a Source"


def test_every_objective_is_in_the_table_once(generate) -> None:
    text = generate.choose()
    for name in objectives():
        assert text.count(f"| `{name}` |") == 1


def test_the_table_in_the_documents_is_the_one_of_the_code(generate) -> None:
    assert (DOCS / "choose.md").read_text() == generate.choose(), "run python docs/generate.py"
