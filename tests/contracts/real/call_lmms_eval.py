"""lmms-eval finds the task that the adapter wrote, evaluates a model on it, and writes samples that we read again."""

import json
import sys
from pathlib import Path

from lmms_eval.api.model import lmms
from lmms_eval.evaluator import evaluate
from lmms_eval.loggers.evaluation_tracker import EvaluationTracker
from lmms_eval.tasks import TaskManager, get_task_dict

from assay.adapters.lmms_eval import read_samples

folder = Path(sys.argv[1])


class SaysA(lmms):
    """Chooses the first answer, and says nothing that can be read of the last question."""

    def generate_until(self, requests):
        seen.extend(request.args[2](docs[request.args[3]]) for request in requests)
        return ["[[A]]" if request.args[3] != len(docs) - 1 else "neither, really" for request in requests]

    def generate_until_multi_round(self, requests):
        raise NotImplementedError

    def loglikelihood(self, requests):
        raise NotImplementedError


manager = TaskManager("ERROR", include_path=str(folder / "task"), include_defaults=False)
tasks = get_task_dict(["toy_preferences"], manager)
task = tasks["toy_preferences"]
docs = list(task.test_docs())
seen = []
found = evaluate(lm=SaysA(), task_dict=tasks, limit=None, log_samples=True, bootstrap_iters=0)
tracker = EvaluationTracker(output_path=str(folder / "logs"))
tracker.general_config_tracker.model_name_sanitized = "toy"
tracker.date_id = "now"
tracker.save_results_samples("toy_preferences", found["samples"]["toy_preferences"])
records, scores = read_samples(folder / "logs" / "toy" / "now_samples_toy_preferences.jsonl", "accuracy")
print(
    json.dumps(
        {
            "task": type(task).__name__,
            "docs": docs,
            "sizes": [[list(picture.size) for picture in pictures] for pictures in seen],
            "figures": found["results"]["toy_preferences"],
            "scores": scores.values.tolist(),
            "responses": [record.responses[0].text for record in records],
        },
        default=str,
    )
)
