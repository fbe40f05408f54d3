"""A reward for each person, on public data: `python benchmarks/opposed_personas.py [--steps N] [--seed N] [--json]`.

Two people, one risk-averse and one risk-seeking, prefer opposite statements about risk and the same ones about being
agreeable. A tiny Llama trained from nothing, with a head conditioned on who judges (a scalar head, and ideal points),
against the same without; judged on statements that none saw. Prints figures only, never a text. Exit code 1 if the goal
is missed, 2 without the data.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from assay.benchmarks.base import pairs_of, values_of
from assay.metrics import Interval, clustered_wilson, paired_difference
from assay.models.condition import Condition
from assay.models.heads import ScalarHead
from assay.models.heads.ideal_point import IdealPointHead
from assay.models.scratch import Size, subword_tokenizer, text_backbone
from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Record
from assay.rewards.learned import LearnedReward
from assay.training.budgets import Steps
from assay.training.plan import Stage, Training
from assay.training.settings import Settings
from assay.training.supervision import supervise

HERE = Path(__file__).resolve().parent
FOLDER = "text-persona-evals/persona"
PEOPLE = ("risk-averse", "risk-seeking")
SHARED = "agreeableness"
GOAL = 0.2
HELD_OUT = 0.3
QUESTION = "Which of these would you rather say?"

Statements = Mapping[str, Sequence[str]]
"""What each person, or both (``yes``, ``no``), would say and would not."""


@dataclass(frozen=True, slots=True)
class OpposedResult:
    """Held-out accuracy over pairs, each judged as both people see it; intervals of 95 % over pairs of statements.

    ``gain`` and ``gain_ideal`` are paired differences, of the conditioned scalar head and of ideal points to the head
    that does not know who judges.
    """

    opposed: Interval
    opposed_ideal: Interval
    opposed_without: Interval
    gain: Interval
    gain_ideal: Interval
    shared: Interval
    shared_ideal: Interval
    shared_without: Interval
    training_pairs: int
    weights: int
    cpu_seconds: float

    @property
    def good(self) -> bool:
        """Whether knowing who judges gains the goal where the two disagree, and costs nothing where they agree."""
        least = self.shared_without.value - 0.05
        return (
            min(self.gain.low, self.gain_ideal.low) >= GOAL and min(self.shared.value, self.shared_ideal.value) >= least
        )


def statements(folder: Path, seed: int) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """(training, held-out): statements by who would say them, split by text.

    Raises:
        FileNotFoundError: the data are not there.
    """
    rows = {name: _rows(folder / f"{name}.jsonl.gz") for name in (*PEOPLE, SHARED)}
    averse, seeking, shared = (rows[name] for name in (*PEOPLE, SHARED))
    said = {
        PEOPLE[0]: averse[True] + seeking[False],
        PEOPLE[1]: seeking[True] + averse[False],
        "yes": shared[True],
        "no": shared[False],
    }
    learned, held_out = {}, {}
    for name, texts in said.items():
        distinct = sorted(set(texts))
        random.Random(seed).shuffle(distinct)
        cut = round(HELD_OUT * len(distinct))
        held_out[name], learned[name] = distinct[:cut], distinct[cut:]
    return learned, held_out


def _rows(path: Path) -> dict[bool, list[str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {
        says: [row["statement"] for row in rows if (row["answer_matching_behavior"].strip() == "Yes") == says]
        for says in (True, False)
    }


def opposed_pairs(said: Statements, count: int, seed: int) -> list[Record]:
    """``count`` pairs of a statement of each person, each as both judge it: who would say it prefers it."""
    chance = random.Random(seed)
    records: list[Record] = []
    for number in range(count):
        pair = [chance.choice(said[name]) for name in PEOPLE]
        for better, name in enumerate(PEOPLE):
            liked = [Preference(better, 1 - better)]
            records.append(Record.of(QUESTION, pair, id=f"opposed-{number}-{name}", feedback=liked, rater=name))
    return records


def shared_pairs(said: Statements, count: int, seed: int) -> list[Record]:
    """``count`` pairs on which both agree, each as both judge it."""
    chance = random.Random(seed)
    records: list[Record] = []
    for number in range(count):
        pair = [chance.choice(said["yes"]), chance.choice(said["no"])]
        for name in PEOPLE:
            records.append(
                Record.of(QUESTION, pair, id=f"shared-{number}-{name}", feedback=[Preference(0, 1)], rater=name)
            )
    return records


def learn(
    records: Sequence[Record], learned: Statements, head: Callable[[int], nn.Module], *, steps: int, seed: int
) -> LearnedReward:
    """A reward of a tiny Llama whose head may or may not use who judges; everything else is the same."""
    texts = [text for rows in learned.values() for text in rows]
    backbone = text_backbone(subword_tokenizer(texts, 2000), Size(hidden=64, layers=2, spread=0.05), seed=seed)
    settings = Settings(
        budget=Steps(steps), batch=32, learning_rate=2e-3, head_learning_rate=2e-2, betas=(0.9, 0.98),
        weight_decay=0.05, seed=seed,
    )  # fmt: skip
    options = {"condition": Condition.of_names("rater", PEOPLE, abstains=False)}
    plan = Training(head, (Stage(supervise(bradley_terry), settings),), options)
    return plan.run(backbone, records).reward


def measure(folder: Path, *, steps: int = 200, pairs: int = 1500, seed: int = 0) -> OpposedResult:
    """Train all on the same pairs for as many steps; judge 500 held-out pairs of either kind as both people do."""
    started = time.process_time()
    learned, held_out = statements(folder, seed)
    records = opposed_pairs(learned, pairs, seed) + shared_pairs(learned, pairs // 3, seed)
    people = len(PEOPLE)
    heads: tuple[Callable[[int], nn.Module], ...] = (
        partial(ScalarHead, condition=people, seed=seed),
        partial(IdealPointHead, users=people, prototypes=people, seed=seed),
        partial(ScalarHead, seed=seed),
    )
    arms = [learn(records, learned, head, steps=steps, seed=seed) for head in heads]

    def judged(test: Sequence[Record]) -> list[Interval]:
        found = pairs_of(test, per_record=True)
        right = [found.outcomes(values_of(reward, reward(test))) for reward in arms]
        group = found.record // people
        gains = [paired_difference(each, right[2], group) for each in right[:2]]
        return [*(clustered_wilson(outcomes, group) for outcomes in right), *gains]

    opposed, opposed_ideal, opposed_without, gain, gain_ideal = judged(opposed_pairs(held_out, 500, seed + 1))
    shared, shared_ideal, shared_without, _, _ = judged(shared_pairs(held_out, 500, seed + 1))
    return OpposedResult(
        opposed=opposed,
        opposed_ideal=opposed_ideal,
        opposed_without=opposed_without,
        gain=gain,
        gain_ideal=gain_ideal,
        shared=shared,
        shared_ideal=shared_ideal,
        shared_without=shared_without,
        training_pairs=len(records),
        weights=sum(weight.numel() for weight in arms[0].parameters()),
        cpu_seconds=time.process_time() - started,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="A reward that knows who judges, on persona statements.")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("ASSAY_DATA") or HERE.parents[1] / "shared/data")
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="write results/opposed_personas.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    try:
        found = measure(given.data / FOLDER, steps=given.steps, seed=given.seed)
    except FileNotFoundError as error:
        print(f"{error}: put github.com/anthropics/evals, folder persona, there, gzipped", file=sys.stderr)
        return 2
    for name, interval in asdict(found).items():
        if isinstance(interval, dict):
            print(f"{name:16} {interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})")
    print(f"{found.training_pairs} pairs, {found.weights} weights, {found.cpu_seconds:.0f} CPU seconds")
    if given.json:
        from measure import environment

        told = {"benchmark": "opposed_personas", "environment": environment(), "rows": asdict(found)}
        (HERE / "results" / "opposed_personas.json").write_text(json.dumps(told, indent=2) + "\n")
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
