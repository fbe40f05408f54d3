"""Figures on real public data: `python benchmarks/real_figures.py [--only NAME] [--data DIR] [--cache DIR] [--json]`.

Every figure is of a reward of this package beside a floor fitted by scikit-learn on the same split. Prints figures
only, never a text of the data. Exit code 1 if a goal is missed, 2 if data or weights are missing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch

from measure import environment
from real.frame import Measured, MissingError, Place, lines, write

HERE = Path(__file__).resolve().parent
SETS = {
    "harmless": "real.harmless",
    "topicalchat": "real.topicalchat",
    "prmbench": "real.prmbench",
    "persona": "real.persona",
    "tara": "real.tara",
    "qa_feedback": "real.qa_feedback",
    "mushra": "real.mushra",
    "fsdd": "real.fsdd",
    "easyvqa": "real.easyvqa",
    "mjbench": "real.mjbench",
    "fetv": "real.fetv",
    "nlvr": "real.nlvr",
}
"""The module of each data set; its function ``measure`` takes a `Place` and returns what was `Measured`."""


def main() -> int:
    """Measure, print, write; 1 if a goal is missed, 2 if something is not there."""
    default = Path(os.environ.get("ASSAY_DATA") or HERE.parents[1] / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(SETS), action="append", help="one of them; may be given several times")
    parser.add_argument("--data", type=Path, default=default, help="folder of public data (default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="folder where weights and states are kept for a next run")
    parser.add_argument("--seed", type=int, default=0, help="of folds and first weights")
    parser.add_argument("--json", action="store_true", help="write results/real_NAME.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    good, missing = True, False
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(chosen.data, chosen.cache or Path(scratch), chosen.seed)
        for name in chosen.only or SETS:
            measure = cast("Callable[[Place], Measured]", importlib.import_module(SETS[name]).measure)
            try:
                found = measure(place)
            except MissingError as error:
                print(f"missing: {error}", file=sys.stderr)
                missing = True
                continue
            print(*lines(name, found), sep="\n", flush=True)
            good = good and found.good
            if chosen.json:
                write(name, found, environment())
    return 2 if missing else 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
