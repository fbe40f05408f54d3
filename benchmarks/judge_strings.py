"""The false-positive rate of master keys and forged verdicts for each judge prompt of the package.

    python benchmarks/judge_strings.py MODEL [--questions N] [--name NAME]

MODEL is a language model's directory, asked in this process by the odds of what may be answered, or judge:MODEL@URL for
one behind an address. The listwise prompt is asked for the ranking that the model finds likeliest as its verdict,
without reasons; behind an address it is asked for a written one. With a NAME for the model the table is written to
results/judge_strings.json.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from assay.benchmarks.judge_strings import FORGED, KEY, RIGHT, WRONG, JudgeStrings, judge_strings
from assay.models.answering import LocalModel
from assay.models.asking import Answer, LabelReader, Odds, Prompt
from assay.models.generate import load_generator
from assay.records import Record
from assay.rewards import critics
from assay.rewards.base import Reward
from assay.rewards.comparers import round_robin
from assay.rewards.critics import CRITIC
from assay.rewards.judges import by_odds, listwise, own_rubric, pairwise, pointwise, reference_guided
from assay.rewards.judges.prompts import POINTWISE, SHIPPED
from assay.rewards.judges.verdicts import Scale, Way
from assay.rewards.judges.written_out import from_reference
from assay.scores import Status
from measure import environment

RESULTS = Path(__file__).parent / "results" / "judge_strings.json"
KINDS = (RIGHT, WRONG, KEY, FORGED)
PROMPTS = (*SHIPPED, CRITIC)
_RANKING = re.compile(
    r"from the best to the worst: (?P<names>[A-Z](?:, [A-Z])*)\..*Verdict (?P<code>\d+): X$", re.DOTALL
)


@final
@dataclass(frozen=True)
class LikeliestRanking:
    """Answers the question for a ranking of two responses with the likeliest of the three verdict lines there are.

    A small model seldom ends in a verdict of its own; this one is asked for nothing else.
    """

    model: LabelReader

    def answer(self, prompts: Sequence[Prompt], n: int = 1, seed: int = 0, /) -> list[list[Answer]]:
        """The same answer ``n`` times: nothing is drawn."""
        del seed
        return [[self._answer(prompt)] * n for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Answer:
        asked = _RANKING.search(prompt[-1].text)
        names = [] if asked is None else asked["names"].split(", ")
        if asked is None or len(names) != 2:
            return Answer(status=Status.INVALID, message="no question for a ranking of two")
        first, second = names
        ways = [f"Verdict {asked['code']}: {way}" for way in (f"{first} > {second}", f"{second} > {first}")]
        ways.append(f"Verdict {asked['code']}: {first} = {second}")
        (odds,) = self.model.label_odds([prompt], ways)
        return _likeliest(odds, ways)


def _likeliest(odds: Odds, ways: Sequence[str]) -> Answer:
    if odds.status is not Status.OK:
        return Answer(status=odds.status, message=odds.message, cost=odds.cost)
    found = dict(zip(odds.logprobs, ways, strict=True))
    return Answer(found[max(found)], cost=odds.cost)


def questions(count: int) -> list[Record]:
    """Sums with a right and a wrong answer, a reference, and a criterion of their own."""
    rng = random.Random(0)
    found: list[Record] = []
    for number in range(count):
        a, b = rng.randrange(2, 50), rng.randrange(2, 50)
        right, wrong = a + b, a + b + rng.choice([-10, -1, 1, 10])
        texts = [f"{a} + {b} is {value}." for value in (right, wrong)]
        rubric = f"- It says that the sum is {right}: 1 point"
        found.append(
            Record.of(f"What is {a} + {b}?", texts, id=str(number), reference=f"It is {right}.", rubric=rubric)
        )
    return found


def judges(model: str) -> dict[str, Reward]:
    """A judge for each prompt, by its name."""
    if model.startswith("judge:"):
        mark = "&" if "?" in model else "?"
        made: dict[str, Any] = {each.name: from_reference(f"{model}{mark}ask={each.name}") for each in SHIPPED}
        return made | {CRITIC.name: acquitted(made[POINTWISE.name].way)}
    return by_local(LocalModel(load_generator(model, max_new_tokens=64, temperature=0.0)))


def by_local(local: LabelReader) -> dict[str, Reward]:
    """A judge for each prompt, asked by odds."""
    way = by_odds(local)
    return {
        "pointwise": pointwise(way),
        "pairwise": round_robin(pairwise(way, both_orders=False)),
        "listwise": listwise(LikeliestRanking(local), orders=2),
        "correctness": reference_guided(way),
        "rubric": own_rubric(way),
        "critic": acquitted(way),
    }


def acquitted(way: Way) -> Reward:
    """Whether a critic finds nothing wrong."""
    return pointwise(way, scale=Scale((critics.WRONG, critics.RIGHT), (0.0, 1.0)), prompt=CRITIC)


def told(found: JudgeStrings) -> dict[str, Any]:
    """The rates of a judge, and of each string."""
    return {
        "bar": found.bar,
        "passed": {kind: known(found.rate(kind)) for kind in KINDS},
        "beat_right": {kind: known(found.beaten(kind)) for kind in KINDS},
        "judged": {kind: counted(found, kind) for kind in KINDS},
        "strings": [
            {"kind": row.kind, "text": row.text, "judged": row.judged, "asked": row.asked, "passed": known(row.passed)}
            for row in found.rows
            if row.kind in (KEY, FORGED)
        ],
    }


def known(rate: float) -> float | None:
    """A rate as JSON: nothing where nothing was judged."""
    return None if math.isnan(rate) else rate


def counted(found: JudgeStrings, kind: str) -> list[int]:
    """How many strings of a kind were judged, and asked about."""
    rows = [row for row in found.rows if row.kind == kind]
    return [sum(row.judged for row in rows), sum(row.asked for row in rows)]


def measured(
    made: Mapping[str, Reward], asked: Sequence[Record], keep: Callable[[Mapping[str, Any]], None] = lambda rows: None
) -> dict[str, Any]:
    """Ask every judge, print its table; ``keep`` is given all rows so far after each."""
    rows: dict[str, Any] = {}
    for prompt in PROMPTS:
        if prompt.name not in made:
            print(f"\n{prompt.name}: not asked")
            continue
        found = judge_strings(made[prompt.name], asked)
        rates = ", ".join(f"{kind} {found.rate(kind):.2f}" for kind in KINDS)
        print(f"\n{prompt.name}: {rates}", *found.lines(), sep="\n", flush=True)
        rows[prompt.name] = told(found)
        keep(rows)
    return rows


def main() -> int:
    """Print a table a prompt; 1 if a prompt of the package was not asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="directory, or judge:MODEL@URL")
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--name", help="of the model; the table is written under it")
    chosen = parser.parse_args()
    start = time.process_time()

    def keep(rows: Mapping[str, Any]) -> None:
        told_so_far = {
            "benchmark": "judge_strings",
            "model": chosen.name,
            "questions": chosen.questions,
            "cpu_seconds": round(time.process_time() - start, 1),
            "environment": environment(),
            "prompts": rows,
        }
        if chosen.name:
            RESULTS.write_text(json.dumps(told_so_far, indent=1) + "\n", encoding="utf-8")

    rows = measured(judges(chosen.model), questions(chosen.questions), keep)
    return int(len(rows) < len(PROMPTS))


if __name__ == "__main__":
    sys.exit(main())
