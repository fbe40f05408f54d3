"""Every published method: its row is sound, its claim holds, and its sabotage does not."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from torch import nn

from assay.claims import papers as papers_module
from assay.claims.compare import NotComparableError, training_of
from assay.claims.papers import Paper, PapersError, UnknownPaperError, kind_of, load, paper, papers, parse
from assay.claims.run import reproduce, sabotaged
from assay.training.plan import Training

SOURCE = Path(papers_module.__file__).parents[1]
SECONDS, SLOW_SECONDS = 15.0, 120.0
GOOD = """
[[paper]]
number = 1
name = "one"
title = "One"
year = 2020
kind = "Objective"
home = "assay.objectives.pairwise:bradley_terry"
claim = "assay.claims.one"
primitives = []
grade = "effect"
seeds = [100]
sabotage = "nothing"
effect = "something"
"""


def each(kind: str = "") -> list[ParameterSet]:
    marks = {True: [pytest.mark.slow], False: list[pytest.MarkDecorator]()}
    chosen = [found for found in papers() if kind in ("", found.kind)]
    return [pytest.param(found, id=found.name, marks=marks[found.slow]) for found in chosen]


@pytest.mark.claims
@pytest.mark.parametrize("found", each())
def test_the_claim_holds_in_time(found: Paper) -> None:
    done = reproduce(found)
    failed = [(check.name, check.interval, check.measured) for check in done.outcome.checks if not check.holds]
    assert not failed
    assert done.seconds <= (SLOW_SECONDS if found.slow else SECONDS)


@pytest.mark.claims
@pytest.mark.parametrize("found", each())
def test_the_claim_fails_under_sabotage(found: Paper) -> None:
    assert not sabotaged(found).holds


@pytest.mark.parametrize("found", each())
def test_every_name_in_a_row_imports(found: Paper) -> None:
    home = found.load_home()
    assert callable(found.load_claim())
    for primitive in found.primitives:
        assert load(primitive) is not None
    if found.is_recipe:
        module, name = found.home.removeprefix("assay.recipes.").split(":")
        assert module == name == found.name
        assert kind_of(home) == found.kind
        assert "Reference:" in (load(found.home.partition(":")[0] + ":__doc__") or "")


@pytest.mark.parametrize("found", each("Training"))
def test_a_training_is_made_without_arguments_or_says_which(found: Paper) -> None:
    given = inspect.signature(found.load_home()).parameters.values()
    if any(item.default is item.empty for item in given):
        with pytest.raises(NotComparableError, match="has to be told"):
            training_of(found)
        return
    made = training_of(found)
    assert isinstance(made, Training)
    assert made.stages
    assert isinstance(made.head(16), nn.Module)


def test_names_and_claims_occur_once() -> None:
    for values in ([found.name for found in papers()], [found.claim for found in papers()]):
        assert sorted(values) == sorted(set(values))


def modules(folder: str) -> Iterator[Path]:
    return (path for path in sorted((SOURCE / folder).rglob("*.py")) if path.name != "__init__.py")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_every_recipe_has_its_row_and_imports_no_other() -> None:
    homes = {found.home for found in papers()}
    for path in modules("recipes"):
        assert f"assay.recipes.{path.stem}:{path.stem}" in homes, f"{path.name} has no row in papers.toml"
        assert not [name for name in imported(path) if name.startswith("assay.recipes")]


def test_every_claim_has_its_row() -> None:
    machinery = {"base", "fit", "papers", "run", "compare"}
    claimed = {found.claim for found in papers()}
    for path in modules("claims"):
        if path.stem not in machinery and "def claim(" in path.read_text(encoding="utf-8"):
            assert f"assay.claims.{path.stem}" in claimed, f"{path.name} has no row in papers.toml"


def test_objectives_own_no_model() -> None:
    for path in modules("objectives"):
        classes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ClassDef)]
        bases = {ast.unparse(base).split(".")[-1] for found in classes for base in found.bases}
        assert not bases & {"Module", "Parameter"}
        assert not {name for name in imported(path) if name.startswith(("transformers", "torch.nn.Parameter"))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("year = 2020\n", ""), "one lacks year"),
        (GOOD + 'colour = "red"\n', "unknown keys colour"),
        (GOOD.replace('"effect"\n', '"strong"\n', 1), "grade is one of effect, identity, mechanism, not 'strong'"),
        (GOOD.replace("[100]", "[]"), "one has no seeds"),
        (GOOD + GOOD, "more than once: one"),
        (GOOD.replace("[[paper]]", "[[paper]"), "papers.toml"),
    ],
)
def test_a_wrong_row_is_refused_with_its_name_and_cause(text: str, said: str) -> None:
    assert [found.name for found in parse(GOOD)] == ["one"]
    with pytest.raises(PapersError, match=said):
        parse(text)


def test_a_row_that_cannot_be_imported_says_which() -> None:
    (found,) = parse(GOOD)
    with pytest.raises(PapersError, match=r"assay\.claims\.one"):
        found.load_claim()


def test_an_unknown_paper_names_those_near() -> None:
    with pytest.raises(UnknownPaperError, match="assay papers"):
        paper("no_such_paper_at_all")
