"""Run the speed benchmarks: `python benchmarks/run.py [--quick] [--only NAME]`; results go to benchmarks/results."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

NAMES = (
    "sharing",
    "choice",
    "training_step",
    "step_scoring",
    "label_odds",
    "packing",
    "pictures",
    "exactness",
    "overhead",
    "service",
    "kept_prefix",
)


def work(name: str) -> object:
    """The function that measures a benchmark; its module is imported only when it is wanted."""
    import kept_prefix
    import label_odds
    import overhead
    import packing
    import pictures
    import service
    import sharing
    import step_scoring
    import training_step

    return {
        "sharing": sharing.speed,
        "choice": sharing.choice,
        "exactness": sharing.exactness,
        "training_step": training_step.rows,
        "step_scoring": step_scoring.rows,
        "label_odds": label_odds.rows,
        "packing": packing.rows,
        "pictures": pictures.rows,
        "overhead": overhead.rows,
        "kept_prefix": kept_prefix.speed,
        "service": service.rows,
    }[name]


def main() -> int:
    """Measure, print, write one JSON file a benchmark; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer layers, cells and repeats: a minute or two")
    parser.add_argument("--only", choices=NAMES, action="append", help="one benchmark; may be repeated")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the JSON files")
    chosen = parser.parse_args()

    import torch

    from measure import Row, environment

    torch.set_num_threads(1)
    folder: Path = chosen.out / "quick" if chosen.quick else chosen.out
    folder.mkdir(parents=True, exist_ok=True)
    good = True
    for name in chosen.only or NAMES:
        start = time.process_time()
        rows: list[Row] = work(name)(chosen.quick)
        spent = time.process_time() - start
        for row in rows:
            print(line(row), flush=True)
        good &= all(row.good for row in rows)
        result = {
            "benchmark": name,
            "quick": chosen.quick,
            "cpu_seconds": round(spent, 1),
            "environment": environment(),
            "rows": [row.as_json() for row in rows],
        }
        (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(f"{name}: {spent:.0f} CPU seconds, {folder / f'{name}.json'}", flush=True)
    return 0 if good else 1


def line(row: object) -> str:
    """One row for a terminal."""
    from measure import Row

    assert isinstance(row, Row)
    parts = [f"{'ok  ' if row.good else 'MISS'} {row.benchmark}: {row.cell} vs {row.baseline}:"]
    if row.ratio is not None:
        parts.append(f"{row.ratio.median:.2f}x ({row.ratio.low:.2f}-{row.ratio.high:.2f})")
    parts += [f"goal {row.goal:g}x"] if row.goal is not None else []
    parts += [f"limit {row.limit:.2f}x"] if row.limit is not None else []
    parts += [f"difference {row.difference:.1e}"] if row.difference is not None else []
    parts += [f"memory {row.memory:.2f}x"] if row.memory is not None else []
    return " ".join([*parts, f"[{row.note}]" if row.note else ""])


if __name__ == "__main__":
    sys.exit(main())
