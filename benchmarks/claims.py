"""Run every claim and its sabotage: `python benchmarks/claims.py [NAME ...]`; results go to results/claims.json.

With names only those are run and renewed; papers that are gone go from the file too. Each claim runs in a process of
its own, on one thread, so that its CPU seconds are its own. `docs/generate.py` shows the figures of the file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src")]
RESULTS = HERE / "results" / "claims.json"


def measured(name: str) -> dict[str, Any]:
    """The claim of one paper, and whether its sabotage was caught."""
    found, sabotaged = (_run(name, *options) for options in ((), ("--sabotage",)))
    figures = {figure: _rounded(value) for figure, value in found["figures"].items()}
    checks = [
        {key: check[key] for key in ("name", "holds", "at_least", "at_most")} | _rounded(check)
        for check in found["checks"]
    ]
    kept = {key: found[key] for key in ("number", "grade", "seeds", "holds", "notes", "cpu_seconds")}
    return {"name": name, **kept, "sabotage_holds": sabotaged["holds"], "figures": figures, "checks": checks}


def _run(name: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "assay", "reproduce", name, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise SystemExit(f"{name}: {done.stderr.strip()}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _rounded(measure: dict[str, Any]) -> dict[str, Any]:
    return {key: None if measure[key] is None else float(f"{measure[key]:.4g}") for key in ("mean", "low", "high")}


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold or a sabotage does."""
    from assay.claims.papers import papers

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="papers; all without")
    names: list[str] = parser.parse_args().names or [paper.name for paper in papers()]
    known = json.loads(RESULTS.read_text())["claims"] if RESULTS.exists() else []
    by_name = {row["name"]: row for row in known}
    wrong: list[str] = []
    for name in names:
        row = by_name[name] = measured(name)
        good = row["holds"] and not row["sabotage_holds"]
        wrong += [] if good else [name]
        said = "ok  " if good else "FAIL"
        print(f"{said} {name}: holds {row['holds']}, with sabotage {row['sabotage_holds']}, {row['cpu_seconds']} s")
        ordered = [by_name[paper.name] for paper in papers() if paper.name in by_name]
        RESULTS.write_text(json.dumps({"benchmark": "claims", "claims": ordered}, indent=1) + "\n")
    print(f"{len(names)} claims, {len(wrong)} wrong{': ' + ', '.join(wrong) if wrong else ''}; {RESULTS}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
