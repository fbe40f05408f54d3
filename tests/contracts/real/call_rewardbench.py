"""reward-bench's own readers and formulas on the files that the adapter writes."""

import json
import os
import sys
from pathlib import Path
from types import ModuleType

# Its package imports code of its reward models, written for other versions of transformers and TRL; nothing here
# builds one.
models = ModuleType("rewardbench.models")
models.__path__ = []
models.REWARD_MODEL_CONFIG = models.DPO_MODEL_CONFIG = {}
sys.modules["rewardbench.models"] = models

from analysis.utils import load_results, load_scores  # noqa: E402
from datasets import Dataset  # noqa: E402
from rewardbench.constants import EXAMPLE_COUNTS, SUBSET_MAPPING  # noqa: E402
from rewardbench.utils import calculate_scores_per_section, process_single_model, save_to_hub  # noqa: E402

folder = Path(sys.argv[1])
results = json.loads((folder / "cli" / "toy.json").read_text())
one = load_results(folder / "board", "eval-set", remove_ref_free=False)
scores = load_scores(folder / "board", "eval-set-scores")
os.chdir(folder)
board = json.loads((folder / "board" / "eval-set" / "org" / "toy.json").read_text())
save_to_hub(board, "org/toy", "eval-set/", False, local_only=True)

two = json.loads((folder / "board2" / "eval-set-scores" / "org" / "toy.json").read_text())
count = len(two["id"])
lines = [{name: two[name][row] for name in ("id", "scores", "num_correct", "subset")} for row in range(count)]
_, ties = process_single_model(Dataset.from_list([line for line in lines if line["subset"] == "Ties"]))
print(
    json.dumps(
        {
            "sections": calculate_scores_per_section(EXAMPLE_COUNTS, SUBSET_MAPPING, results["extra_results"]),
            "columns": list(one.columns),
            "average": float(one["average"].iloc[0]),
            "margin": float((scores["scores_chosen"] - scores["scores_rejected"]).iloc[0]),
            "same_board": (folder / "results" / "eval-set" / "org" / "toy.json").read_bytes()
            == (folder / "board" / "eval-set" / "org" / "toy.json").read_bytes(),
            "ties": ties,
        }
    )
)
