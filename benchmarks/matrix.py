"""The matrix of heads, media and shapes of feedback: `python benchmarks/matrix.py [--cells covering|all] [--json]`.

Each cell is trained, tested, saved, reloaded and merged on tiny backbones of real classes. Results go to
results/matrix.json cell by cell, and a run that was stopped goes on where it was; `--again` measures what is there
once more. `docs/generate.py` makes docs/matrix.md of the file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

from assay.benchmarks.matrix import Cell, acquainted, cells, covering_cells, measure
from assay.models.frames import Frames
from assay.models.hf import Backbone
from assay.models.pictures import Pictures
from assay.testing import tiny_llava, tiny_qwen2_audio, tiny_text
from measure import environment

RESULTS = Path(__file__).parent / "results" / "matrix.json"


def looking() -> Backbone:
    """LLaVA that is shown two frames of a film."""
    backbone = tiny_llava(image_size=32)
    assert backbone.pictures is not None
    shown = Pictures(backbone.pictures.processor, backbone.pictures.layout, frames=Frames(count=2))
    return replace(backbone, pictures=shown)


def hearing() -> Backbone:
    """Qwen2-Audio that hears up to a second."""
    return tiny_qwen2_audio(seconds=1)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "text": tiny_text,
    "image": looking,
    "video": looking,
    "audio": hearing,
    "media that differ": looking,
}


@cache
def backbone_of(medium: str) -> Backbone:
    """The tiny backbone of a medium, initialised as its class does (from a wider normal), then acquainted with it."""
    return acquainted(initialised(BACKBONES[medium]()), medium)


def initialised(backbone: Backbone, spread: float = 0.1) -> Backbone:
    """Fresh weights from the initialisation of its class."""
    config = backbone.config
    for part in (config, *(getattr(config, name, config) for name in ("text_config", "vision_config", "audio_config"))):
        part.initializer_range = spread
    torch.manual_seed(0)
    return backbone.with_module(type(backbone.module)(config).eval())


def measured(cell: Cell) -> dict[str, Any]:
    """The row of a cell, with the day it was measured."""
    torch.set_num_threads(1)
    return {**measure(cell, backbone_of).to_dict(), "date": datetime.now(UTC).date().isoformat()}


def rows_of(todo: Sequence[Cell], jobs: int) -> Iterator[dict[str, Any]]:
    """Rows as they are done."""
    if jobs == 1:
        yield from map(measured, todo)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(measured, cell) for cell in todo]):
            yield done.result()


def write(rows: dict[Cell, dict[str, Any]], place: Path) -> None:
    """Every row there is, in the order of the matrix; the file is whole or as it was."""
    content = {"environment": environment(), "rows": [rows[cell] for cell in cells() if cell in rows]}
    partial = place.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(place)


def cell_of(row: dict[str, Any]) -> Cell:
    """Which cell a row of the file is of."""
    return Cell(row["head"], row["medium"], row["feedback"])


def main() -> int:
    """Measure, print, write; 1 if a cell does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", choices=("covering", "all"), default="covering", help="every pair of values, or all")
    parser.add_argument("--only", nargs="*", default=[], help="cells whose name has one of these in it")
    parser.add_argument("--again", action="store_true", help="also what the file has")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    wanted = cells() if chosen.cells == "all" else covering_cells()
    wanted = [cell for cell in wanted if not chosen.only or any(part in str(cell) for part in chosen.only)]
    wanted.sort(key=lambda cell: list(BACKBONES).index(cell.medium))
    known = json.loads(chosen.output.read_text())["rows"] if chosen.output.exists() else []
    rows = {cell_of(row): row for row in known if cell_of(row) in set(cells())}
    todo = [cell for cell in wanted if chosen.again or cell not in rows]
    for row in rows_of(todo, chosen.jobs):
        rows[cell_of(row)] = row
        write(rows, chosen.output)
        if not chosen.json:
            figure = "" if row["trained"] is None else f"{row['figure']} {row['untrained']:.2f} to {row['trained']:.2f}"
            print(f"{cell_of(row)!s:55} {row['verdict']:10} {figure} {row['reason']}", flush=True)
    if chosen.json:
        print(json.dumps([rows[cell] for cell in wanted], indent=1))
    failed = [cell for cell in wanted if rows[cell]["verdict"] != "holds"]
    print(f"{len(wanted) - len(failed)} of {len(wanted)} cells hold", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
