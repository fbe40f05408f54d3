"""lmms-eval: its logged samples as records and scores, and our preferences as one of its tasks.

The other side is lmms-eval 0.7.3 (PyPI; EvolvingLMMs-Lab/lmms-eval): ``lmms_eval/loggers/evaluation_tracker.py``
(``save_results_samples``) writes the samples, ``lmms_eval/tasks/__init__.py`` (``TaskManager``) and ``api/task.py``
(``ConfigurableTask``) read the task:

    write_task(records, "tasks/ours", "our_preferences")
    lmms-eval --include_path tasks/ours --tasks our_preferences --model ... --log_samples --output_path logs
    records, scores = read_samples("logs/.../..._samples_our_preferences.jsonl", "accuracy")
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from assay.adapters.files import lmms_utils
from assay.media import Audio, Image, Part, Text, Video
from assay.media.source import read_source
from assay.records import Message, Record
from assay.records.attachments import Kind, kind_of
from assay.records.pairs import ordered_pairs
from assay.records.problems import BadRowError, Problem
from assay.records.sources import rows_of
from assay.rewards.base import scores_of
from assay.scores import Scores, Status

__all__ = ["number_in", "read_samples", "write_task"]

_YAML = """\
# {count} preferences; a reply names the better answer. Written by Assay.
task: "{name}"
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.doc_to_visual
doc_to_text: !function utils.doc_to_text
doc_to_target: "target"
generation_kwargs:
  max_new_tokens: 512
  temperature: 0
  do_sample: false
process_results: !function utils.process_results
metric_list:
  - metric: accuracy
    aggregation: !function utils.mean
    higher_is_better: true
  - metric: no_verdict
    aggregation: !function utils.mean
    higher_is_better: false
metadata:
  - version: 1.0
"""
_SUFFIX: Mapping[Kind, str] = {"image": ".png", "video": ".mp4", "audio": ".wav"}


def write_task(records: Iterable[Record], folder: str | Path, name: str) -> Path:
    """A task of pairwise preferences for generative models: ``NAME.yaml``, ``utils.py``, ``data.jsonl`` and ``media/``
    in ``folder``, which ``--include_path`` takes. Returns the path of the yaml.

    Each preference of a record is a row (`assay.records.pairs.ordered_pairs`; ties have none). Which answer is shown
    first is drawn from the row's id, so it is the same each time and right as often as not. ``accuracy`` counts a reply
    without a verdict as wrong; ``no_verdict`` says how many there were.

    Raises:
        ValueError: no preference at all, or a name that is no word.
        BadRowError: a record in which nothing orders two responses, or a medium that cannot be written.
    """
    if not name.replace("_", "").isalnum():
        raise ValueError(f"a task is called by letters, digits and underscores, not {name!r}")
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    rows = [
        _row(record, own, preference.better, preference.worse, base)
        for record in records
        for own, preference in ordered_pairs(record)
    ]
    if not rows:
        raise ValueError("no preferences; a task needs one at least")
    data = base / "data.jsonl"
    data.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    shutil.copyfile(lmms_utils.__file__, base / "utils.py")
    task = base / f"{name}.yaml"
    told = _YAML.format(count=len(rows), name=name, data=json.dumps(str(data.resolve())))
    task.write_text(told, encoding="utf-8")
    return task


def read_samples(
    path: str | Path, metric: str, value_of: Callable[[Any], float | None] | None = None
) -> tuple[list[Record], Scores]:
    """A ``..._samples_TASK.jsonl`` as records and what lmms-eval scored them with ``metric``.

    The prompt is the row's ``input``, the responses its ``filtered_resps``; ``doc_id``, ``doc_hash`` and ``target`` are
    context. Where a row has several responses each has the row's score. ``value_of`` reads the cell of the metric
    (`number_in`); a row without a number there is ``unparsable``.

    Raises:
        ValueError: a line that is no JSON, or rows none of which has the metric.
        FileNotFoundError: there is no such file.
    """
    read = value_of or number_in
    records: list[Record] = []
    cells: list[float | None] = []
    known: dict[str, None] = {}
    for item in rows_of(Path(path)):
        if isinstance(item, Problem):
            raise ValueError(str(item))
        row = cast("Mapping[str, Any]", item[1])
        said: Any = row.get("filtered_resps", row.get("resps"))
        responses = [str(one) for one in cast("Sequence[Any]", said)] if isinstance(said, list) else [str(said)]
        asked = Record.of(str(row.get("input", "")), responses, id=f"{row.get('doc_id')}")
        records.append(replace(asked, context={name: row.get(name) for name in ("doc_id", "doc_hash", "target")}))
        cells += [read(row[metric]) if metric in row else None] * len(responses)
        known |= dict.fromkeys(row)
    if records and metric not in known:
        raise ValueError(f"{path}: no row has {metric!r}; the rows have {', '.join(known)}")
    status = [Status.UNPARSABLE if cell is None else Status.OK for cell in cells]
    values = torch.tensor([torch.nan if cell is None else cell for cell in cells], dtype=torch.float32)
    return records, scores_of(records, values, status, [f"no number in {metric}" if c is None else "" for c in cells])


def number_in(cell: Any) -> float | None:
    """The number of a metric's cell: itself, or ``score`` or ``acc`` of an object; None where there is none."""
    if isinstance(cell, Mapping):
        fields = cast("Mapping[str, Any]", cell)
        return next((number_in(fields[name]) for name in ("score", "acc", "accuracy") if name in fields), None)
    if isinstance(cell, bool | int | float) and cell == cell and abs(cell) != float("inf"):
        return float(cell)
    return None


def _row(record: Record, own: str, better: int, worse: int, base: Path) -> dict[str, Any]:
    first_better = hashlib.sha256(own.encode()).digest()[0] % 2 == 0
    shown = (better, worse) if first_better else (worse, better)
    media: list[dict[str, str]] = []
    question = _told(record.prompt, media, base)
    answers = [_told(record.responses[place].messages, media, base) for place in shown]
    return {
        "id": own,
        "question": question,
        "answer_a": answers[0],
        "answer_b": answers[1],
        "target": "A" if first_better else "B",
        "media": media,
    }


def _told(messages: Sequence[Message], media: list[dict[str, str]], base: Path) -> str:
    """The text of messages with a name for each medium, which is written beside the task."""
    turns = [f"{message.role}: " if len(messages) > 1 else "" for message in messages]
    return "\n".join(
        turn + "".join(part.text if isinstance(part, Text) else _named(part, media, base) for part in message.parts)
        for turn, message in zip(turns, messages, strict=True)
    )


def _named(part: Part, media: list[dict[str, str]], base: Path) -> str:
    kind = kind_of(part)
    assert kind is not None
    assert not isinstance(part, Text)
    data, suffix = _file_of(part, kind)
    place = Path("media") / f"{hashlib.sha256(data).hexdigest()[:20]}{suffix}"
    (base / place).parent.mkdir(exist_ok=True)
    (base / place).write_bytes(data)
    media.append({"kind": kind, "path": place.as_posix()})
    return f"[{kind} {len(media)}]"


def _file_of(part: Image | Video | Audio, kind: Kind) -> tuple[bytes, str]:
    if isinstance(part, Video) and part.frames:
        raise BadRowError("unsupported_media", "a video of frames, without a file", "write it to a file first")
    data = read_source(part.path, part.data, part.limits) if isinstance(part, Video) else part.read()
    return data, _SUFFIX[kind] if part.path is None else part.path.suffix
