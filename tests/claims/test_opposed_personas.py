"""On public statements of opposed people, a reward that knows who judges beats one that does not."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ASSAY_DATA") or ROOT.parent / "shared" / "data") / "text-persona-evals" / "persona"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("opposed_personas", ROOT / "benchmarks" / "opposed_personas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder() -> Path:
    if not DATA.exists():
        pytest.skip(f"no {DATA}; set ASSAY_DATA to the folder of public data")
    return DATA


def test_no_statement_is_learned_and_judged(bench: ModuleType, folder: Path) -> None:
    learned, held_out = bench.statements(folder, 0)
    for name, texts in learned.items():
        assert len(texts) > 300
        assert not set(texts) & set(held_out[name])


def test_both_people_judge_every_pair(bench: ModuleType) -> None:
    said = {"risk-averse": ["safe"], "risk-seeking": ["bold"], "yes": ["kind"], "no": ["rude"]}
    first, second = bench.opposed_pairs(said, 1, 0)
    assert [record.context["rater"] for record in (first, second)] == list(bench.PEOPLE)
    assert [record.responses[record.feedback[0].better].text for record in (first, second)] == ["safe", "bold"]
    assert [record.responses[record.feedback[0].better].text for record in bench.shared_pairs(said, 1, 0)] == [
        "kind"
    ] * 2


@pytest.mark.claims
def test_knowing_who_judges_gains_where_people_are_opposed(bench: ModuleType, folder: Path) -> None:
    found = bench.measure(folder)
    assert found.gain.low >= 0.2
    assert found.gain_ideal.low >= 0.2
    assert abs(found.opposed_without.value - 0.5) < 0.05
    assert found.good
