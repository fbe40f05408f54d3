"""The results as Markdown, printed or put between the markers of a file: `python benchmarks/table.py [README.md]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"
ORDER = (
    "sharing",
    "training_step",
    "step_scoring",
    "label_odds",
    "pictures",
    "packing",
    "choice",
    "exactness",
    "kept_prefix",
    "service",
    "overhead",
)


def table(folder: Path) -> str:
    """One line a row; the grid of the automatic choice is one line with its worst cell."""
    results = [json.loads(path.read_text()) for name in ORDER if (path := folder / f"{name}.json").exists()]
    lines = [
        "| what | against | times faster (lowest-highest) | goal | arithmetic | largest difference | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        rows = result["rows"]
        lines += [_grid(rows)] if result["benchmark"] == "choice" else [_line(row) for row in rows]
    if results:
        where = results[0]["environment"]
        quick = ", quick run" if results[0]["quick"] else ""
        lines += [
            "",
            f"{where['cpu']}, {where['threads']} thread, fp32, torch {where['torch']}, transformers "
            f"{where['transformers']}{quick}. CPU seconds, variants interleaved in one process, median of the ratios. "
            "*Arithmetic*: ratio of multiply-adds. *Difference*: of scores with deviation near 1, or relative error of "
            "the gradient. *Memory*: peak above rest, in units of the baseline's.",
        ]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    ratio = row["ratio"]
    speed = f"**{ratio['median']:.2f}** ({ratio['low']:.2f}-{ratio['high']:.2f})" if ratio else "-"
    cells = [
        row["cell"],
        row["baseline"],
        speed,
        _number(row["goal"], "{:g}"),
        _number(row["limit"], "{:.2f}"),
        _number(row["difference"], "{:.0e}"),
        _number(row["memory"], "{:.2f}x"),
    ]
    return f"| {' | '.join(cells)} |"


def _grid(rows: list[dict[str, Any]]) -> str:
    worst = min(rows, key=lambda row: row["ratio"]["median"])
    good = sum(row["ratio"]["median"] >= row["goal"] for row in rows)
    difference = max(row["difference"] for row in rows)
    cells = [
        f"automatic choice, {len(rows)} cells ({good} reach the goal)",
        "best of all layouts in each cell",
        f"**{worst['ratio']['median']:.2f}** in the worst cell ({worst['cell']})",
        f"{worst['goal']:g}",
        "-",
        f"{difference:.0e}",
        "-",
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def insert(text: str, made: str) -> str:
    """The text with everything from the first start marker to the last end marker replaced."""
    if START not in text or END not in text:
        raise SystemExit(f"the file has no {START} and {END}")
    before, rest = text.split(START, 1)
    return f"{before}{START}\n{made}\n{END}{rest.rsplit(END, 1)[1]}"


def main() -> None:
    """Print, or write into the given file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="a file with the two markers")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    chosen = parser.parse_args()
    made = table(chosen.results)
    if chosen.file is None:
        sys.stdout.write(f"{START}\n{made}\n{END}\n")
    else:
        chosen.file.write_text(insert(chosen.file.read_text(), made))


if __name__ == "__main__":
    main()
