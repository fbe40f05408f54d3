"""The covering set of the matrix: every pair of a head, a medium and a shape of feedback, in some minutes of CPU."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch

from assay.benchmarks.matrix import Verdict, covering_cells, measure
from assay.worlds.statements import MEDIA

FOLDER = Path(__file__).parents[2] / "benchmarks"
SECONDS = 600.0  # five minutes of a quiet machine; CPU seconds double when its caches are shared


@cache
def script() -> ModuleType:
    """benchmarks/matrix.py, which has the backbones."""
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("matrix_script", FOLDER / "matrix.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


def test_the_covering_set_has_at_least_sixty_cells() -> None:
    assert len(covering_cells()) >= 60


@pytest.mark.claims
@pytest.mark.parametrize("medium", MEDIA)
def test_every_cell_trains_saves_reloads_merges_and_beats_an_untrained_copy(medium: str) -> None:
    torch.set_num_threads(1)
    chosen = [cell for cell in covering_cells() if cell.medium == medium]
    assert len(chosen) >= 10
    rows = [measure(cell, script().backbone_of) for cell in chosen]
    failed = [f"{row.cell}: {row.verdict}: {row.reason}" for row in rows if row.verdict is not Verdict.HOLDS]
    assert not failed, "\n".join(failed)
    seconds = sum(row.cpu_seconds for row in rows)
    assert seconds <= SECONDS * len(chosen) / len(covering_cells())
