"""reward-bench: the files that its commands and its leaderboard write, from a run of ours, so that its tools read them.

The writers are rewardbench 0.1.4 (PyPI; allenai/reward-bench), ``rewardbench/rewardbench.py`` for the command, and
``scripts/run_rm.py``, ``scripts/run_v2.py`` with ``save_to_hub`` of ``rewardbench/utils.py`` for the leaderboard; the
readers ``analysis/utils.py`` and ``process_single_model``. Key for key, in its order and with its indentation.

    run(benchmark, reward, items) -> write_outputs(run, "results/", "my-reward")

Scores that exist already become a run by `assay.benchmarks.run.judged`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from assay.benchmarks.official.rewardbench import official_outputs, official_results
from assay.benchmarks.official.rewardbench2 import ties_score
from assay.benchmarks.run import Run
from assay.runs.files import write_whole

__all__ = ["write_leaderboard", "write_leaderboard2", "write_outputs"]


def write_outputs(run: Run, folder: str | Path, model: str) -> tuple[Path, Path, Path]:
    """What the ``rewardbench`` command leaves of the first benchmark: ``MODEL.json``, ``MODEL_outputs.jsonl`` and, as
    with ``--save_all``, ``MODEL_all.jsonl`` (both scores a row). A response without a score is null there, and its pair
    counts as wrong."""
    base = Path(folder)
    outputs = list(official_outputs(run))
    both = [{"chosen": row["scores_chosen"], "rejected": row["scores_rejected"]} for row in outputs]
    results = base / f"{model}.json"
    _write(results, json.dumps(official_results(run, model)))
    return (
        results,
        _write(base / f"{model}_outputs.jsonl", _lines(outputs)),
        _write(base / f"{model}_all.jsonl", _lines(both)),
    )


def write_leaderboard(
    run: Run, folder: str | Path, model: str, *, kind: str = "Seq. Classifier", template: str = "tokenizer"
) -> tuple[Path, Path]:
    """What ``scripts/run_rm.py`` sends to the leaderboard: ``eval-set/ORG/MODEL.json``, the accuracy of each subset,
    and ``eval-set-scores/ORG/MODEL.json``, columns by name. ``kind`` is its ``model_type``.

    Raises:
        ValueError: ``model`` is not ``ORG/MODEL``, by which its tools find the files.
    """
    rows = list(official_outputs(run))
    names = ("text_chosen", "text_rejected", "results", "subset", "id", "scores_chosen", "scores_rejected")
    columns = {name: [row[name] for row in rows] for name in names}
    return _leaderboard(folder, _by_subset(run, _accuracy), columns, _about(model, kind, template))


def write_leaderboard2(
    run: Run, folder: str | Path, model: str, *, kind: str = "Seq. Classifier", template: str = "tokenizer"
) -> tuple[Path, Path]:
    """`write_leaderboard` of RewardBench 2, as ``scripts/run_v2.py``: scores are a list a row, the right answers first
    (``num_correct`` of them), and the subset ``Ties`` is its own figure. A score is a list of one, as a head gives it.

    Raises:
        ValueError: ``model`` is not ``ORG/MODEL``.
    """
    columns: dict[str, list[Any]] = {
        "text": [[response.text for response in item.records[0].responses] for item in run.items],
        "scores": [[[_or_none(value)] for value in scores[0]] for scores in run.table.scores],
        "results": [float(value) for value in np.nan_to_num(run.table.value)],
        "subset": [item.groups["subset"] for item in run.items],
        "id": [item.id.removeprefix(f"{item.groups['subset']}-") for item in run.items],
        "num_correct": [len(item.gold) for item in run.items],
    }
    return _leaderboard(folder, _by_subset(run, _of_subset2), columns, _about(model, kind, template))


def _leaderboard(
    folder: str | Path, figures: Mapping[str, float], columns: Mapping[str, Sequence[Any]], about: Mapping[str, str]
) -> tuple[Path, Path]:
    def put(place: str, content: Mapping[str, Any]) -> Path:
        text = json.dumps({**content, **about}, indent=4, sort_keys=True)
        return _write(Path(folder) / place / f"{about['model']}.json", text)

    return put("eval-set", figures), put("eval-set-scores", columns)


def _about(model: str, kind: str, template: str) -> dict[str, str]:
    if model.count("/") != 1 or not all(model.split("/")):
        raise ValueError(f"the leaderboard's files lie by organisation: name the model ORG/MODEL, not {model!r}")
    return {"model": model, "model_type": kind, "chat_template": template}


def _by_subset(run: Run, figure: Callable[[Run, str], float]) -> dict[str, float]:
    return {str(name): figure(run, str(name)) for name in np.unique(run.table.groups["subset"])}


def _accuracy(run: Run, subset: str) -> float:
    return float(np.nan_to_num(run.table.where(subset=subset).value).mean())


def _of_subset2(run: Run, subset: str) -> float:
    return ties_score(run.table) if subset == "Ties" else _accuracy(run, subset)


def _or_none(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _write(path: Path, text: str) -> Path:
    def write(file: BinaryIO) -> None:
        file.write(text.encode("utf-8"))

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, write)
    return path
