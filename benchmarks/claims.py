"""Run every claim and its sabotage: `python benchmarks/claims.py [NAME ...]`; results go to results/claims.json.

With names only those are run and renewed; papers that are gone go from the file too. The CPU seconds are those of the
claim on one thread, without the imports. `docs/generate.py` shows the figures of the file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src")]
RESULTS = HERE / "results" / "claims.json"

from assay.claims.papers import Paper, paper, papers  # noqa: E402
from assay.claims.run import reproduce, sabotaged  # noqa: E402


def measured(paper: Paper) -> dict[str, Any]:
    """The claim of one paper, and whether its sabotage was caught."""
    found, caught = reproduce(paper).facts(), not sabotaged(paper).holds
    figures = {figure: _rounded(value) for figure, value in found["figures"].items()}
    checks = [
        {key: check[key] for key in ("name", "holds", "at_least", "at_most")} | _rounded(check)
        for check in found["checks"]
    ]
    kept = {key: found[key] for key in ("number", "grade", "seeds", "holds", "notes", "cpu_seconds")}
    return {"name": paper.name, **kept, "sabotage_holds": not caught, "figures": figures, "checks": checks}


def write(row: dict[str, Any]) -> None:
    """Put one paper's row where it belongs among those of the file, which is read again each time."""
    known = json.loads(RESULTS.read_text())["claims"] if RESULTS.exists() else []
    by_name = {found["name"]: found for found in known} | {row["name"]: row}
    ordered = [by_name[paper.name] for paper in papers() if paper.name in by_name]
    RESULTS.write_text(json.dumps({"benchmark": "claims", "claims": ordered}, indent=1) + "\n")


def _rounded(measure: dict[str, Any]) -> dict[str, Any]:
    return {key: None if measure[key] is None else float(f"{measure[key]:.4g}") for key in ("mean", "low", "high")}


def main() -> int:
    """Measure, print, write; 1 if a claim does not hold or a sabotage does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="papers; all without")
    names: list[str] = parser.parse_args().names or [found.name for found in papers()]
    wrong: list[str] = []
    for name in names:
        row = measured(paper(name))
        good = row["holds"] and not row["sabotage_holds"]
        wrong += [] if good else [name]
        said = "ok  " if good else "FAIL"
        print(f"{said} {name}: holds {row['holds']}, with sabotage {row['sabotage_holds']}, {row['cpu_seconds']} s")
        write(row)
    print(f"{len(names)} claims, {len(wrong)} wrong{': ' + ', '.join(wrong) if wrong else ''}; {RESULTS}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
