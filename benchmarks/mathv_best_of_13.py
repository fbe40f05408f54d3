"""Best of 13 on MATH-V by a reward trained on other questions: `python benchmarks/mathv_best_of_13.py [--cache DIR]`.

Needs mm-mathv-answers in ASSAY_DATA: questions with an answer of each of 13 models, at least one of them right and one
wrong. A linear Bradley-Terry head on a frozen language model is fitted on four fifths of the questions and picks one of
the 13 answers to each other question. It reads question, options and answer, no picture, and is not told which model
answered; the answers stand in an order drawn for each question. Their style tells it something of that all the same, so
what the style alone is worth is printed too. With --json the figures go to results/mathv_best_of_13.json. Exit code 1
where the interval is not above the mean answer, 2 if data or weights are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from assay.metrics import Floats, Interval, Ints, bootstrap_mean, paired_difference
from assay.models.heads import ScalarHead
from assay.models.heads.pooling import mean_of_reads
from assay.models.hf import Backbone
from assay.models.reading import every_response_token
from assay.objectives.pairwise import bradley_terry
from assay.records import Ranking, Record
from assay.rewards.base import score, scores_of
from assay.rewards.learned import LearnedReward
from assay.rewards.rules.choice import LETTERS, chosen
from assay.scores import Scores
from assay.search.best_of_n import pick
from assay.search.voting import majority_vote, plain_answer
from assay.spec import Spec
from assay.training.probe import DECAYS, Reads, fit_head, scores_of_reads
from assay.training.stacking import fit_stack
from assay.training.supervision import supervise
from mathv_rule import read
from measure import environment
from real.backbone import frozen, read_all
from real.frame import MissingError, Place, Split, crossed, timed

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "mathv_best_of_13.json"
FOLDER = "mm-mathv-answers"
LAYERS = 6
INNER = 3
MEAN, MAJORITY, BEST, ORACLE = "mean answer", "majority vote", "always the best model", "oracle"
TEXT, AGREEING = "reward", "reward and agreement"


# -- questions --------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Questions:
    """Records of questions with their answers; ``right`` and ``model`` ``[questions, answers]`` of each in the order
    in which the record has them, and ``said``, what the official evaluation took for each model's answer."""

    records: Sequence[Record]
    right: Floats
    model: Ints
    models: Sequence[str]
    said: Sequence[Record]

    @staticmethod
    def of(rows: Sequence[Mapping[str, Any]]) -> Questions:
        """Those of the rows of answers.jsonl."""
        models = [str(each["model"]) for each in rows[0]["responses"]]
        orders = [_order(str(row["id"]), len(models)) for row in rows]
        return Questions(
            records=[_record(row, order) for row, order in zip(rows, orders, strict=True)],
            right=np.array(
                [[float(row["responses"][n]["correct"]) for n in o] for row, o in zip(rows, orders, strict=True)]
            ),
            model=np.array(
                [[models.index(row["responses"][n]["model"]) for n in o] for row, o in zip(rows, orders, strict=True)]
            ),
            models=models,
            said=[Record.of("", [str(each["model_answer"]) for each in row["responses"]]) for row in rows],
        )

    @property
    def accuracy(self) -> Floats:
        """``[models]``: how often each model is right."""
        return np.array([self.right[self.model == number].mean() for number in range(len(self.models))])


def _order(name: str, count: int) -> list[int]:
    order = list(range(count))
    random.Random(name).shuffle(order)
    return order


def _record(row: Mapping[str, Any], order: Sequence[int]) -> Record:
    """A question with its answers in an order; no name of a model is in it."""
    options = [str(each) for each in row["options"]]
    told = "".join(f"\n({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))
    given = [row["responses"][number] for number in order]
    return Record.of(
        str(row["question"]).replace("<image1>", "").strip() + told,
        [str(each["response"]) for each in given],
        id=str(row["id"]),
        feedback=[Ranking(tuple(0 if each["correct"] else 1 for each in given))],
        options=options,
    )


# -- rewards ----------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Agreement:
    """The share of a record's other responses that end in the same answer, 0..1: no judgement of a response, but of
    what stands beside it. One without an answer agrees with none."""

    spec = Spec(low=0.0, high=1.0, unit="share of the others", needs=("options",), scale="within_group")

    def __call__(self, records: Sequence[Record], /) -> Scores:
        """A share a response."""
        values: list[float] = []
        for record in records:
            said = [answer_of(record, each.text) for each in record.responses]
            values += [(said.count(each) - 1) / max(1, len(said) - 1) if each else 0.0 for each in said]
        return scores_of(records, values)


def answer_of(record: Record, text: str) -> str | None:
    """The letter that a response chooses or whose option it names, else its final answer."""
    given: Any = record.context.get("options")
    letters = dict(zip(LETTERS, [plain_answer(each) for each in given], strict=False))
    found = chosen(text, "".join(letters))
    if len(found) == 1:
        return found[0]
    answer = plain_answer(text)
    return next((letter for letter, option in letters.items() if option and option == answer), answer)


def fresh(backbone: Backbone, seed: int) -> LearnedReward:
    """A new head on the mean state of an answer's tokens."""
    head = ScalarHead(backbone.hidden_size, pool=mean_of_reads, seed=seed)
    return LearnedReward(backbone, head, read=every_response_token, token_budget=8_192)


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """Scores of the questions of a fold by rewards that were fitted without them."""

    rows: Ints
    text: Scores
    agreeing: Scores
    decay: float


def asked(reads: Reads, split: Split, number: int, make: Callable[[], LearnedReward], decays: Sequence[float]) -> Asked:
    """Fit on the other folds: the reward, and a stack of it and agreement on scores that each question had from a
    reward without it (inner folds)."""
    learned, held = np.flatnonzero(split.fold != number), np.flatnonzero(split.fold == number)
    by, others, training = supervise(bradley_terry), reads.only(held), reads.only(learned)
    reward = make()
    fitted = fit_head(reward, training, by, decay=decays, fold=split.unit[learned] % INNER)
    parts: list[Scores] = []
    records: list[Record] = []
    for turn in range(INNER):
        inner = split.unit[learned] % INNER == turn
        part = make()
        fit_head(part, training.only(np.flatnonzero(~inner)), by, decay=fitted.decay)
        left = training.only(np.flatnonzero(inner))
        parts.append(scores_of_reads(part, left))
        records += left.records
    agreement = Agreement()
    members = {"text": reward, "agreement": agreement}
    stack = fit_stack(members, records, by, scores=[Scores.concatenate(parts), score(agreement, records)])
    text = scores_of_reads(reward, others)
    return Asked(held, text, stack.of([text, score(agreement, others.records)]), fitted.decay)


def picked(records: Sequence[Record], scores: Scores) -> Ints:
    """``[questions]``: the place of the best answer of each."""
    place = {record.id: number for number, record in enumerate(records)}
    values = scores.values.reshape(len(records), -1)

    def known(some: Sequence[Record]) -> Scores:
        return scores_of(some, values[[place[record.id] for record in some]].flatten())

    return np.array([0 if each.index is None else each.index for each in pick(known, records)])


# -- figures ----------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Row:
    """How often a way of choosing is right, and how much more often than the mean answer, majority, best model."""

    name: str
    accuracy: Interval
    over_mean: Interval
    over_majority: Interval
    over_best: Interval

    def line(self) -> str:
        """For a terminal."""
        gaps = {MEAN: self.over_mean, MAJORITY: self.over_majority, BEST: self.over_best}
        shown = ["-" if name == self.name else points(gap) for name, gap in gaps.items()]
        return f"  {self.name:<24}{percent(self.accuracy):>22}" + "".join([f"{each:>22}" for each in shown])


@final
@dataclass(frozen=True, slots=True)
class Picked:
    """The answers of a model among the reward's picks: how many, how often these are right, and all of the model's."""

    model: str
    picks: int
    accuracy: float
    mean: float


@final
@dataclass(frozen=True, slots=True)
class Result:
    """All ways of choosing; ``models`` of the reward's picks; ``style`` is how often they would be right if each were
    an answer of the same model to any other question: what it is worth to know who answers."""

    rows: Sequence[Row]
    models: Sequence[Picked]
    style: float
    decays: Sequence[float]
    answers: int
    cpu_seconds: Mapping[str, float]

    @property
    def of(self) -> Mapping[str, Row]:
        """The rows by name."""
        return {row.name: row for row in self.rows}

    @property
    def good(self) -> bool:
        """Whether the reward's interval lies above the mean answer, and so does that of their difference."""
        row = self.of[TEXT]
        return row.accuracy.low > self.of[MEAN].accuracy.value and row.over_mean.low > 0

    def lines(self) -> list[str]:
        """Tables for people."""
        within = self.of[TEXT].accuracy.value - self.style
        head = "".join([f"{f'over {name}':>22}" for name in ("mean answer", "majority", "best model")])
        return [
            f"  {'per cent right':<24}{'':>22}{head}",
            *(row.line() for row in self.rows),
            f"  the same models on other questions: {100 * self.style:.1f}; which of their answers: "
            f"{100 * within:+.1f} points",
            f"  {'picked by the reward':<32}{'picks':>8}{'right':>8}{'of all':>8}",
            *(
                f"  {each.model:<32}{each.picks:>8}{100 * each.accuracy:>8.1f}{100 * each.mean:>8.1f}"
                for each in self.models
            ),
        ]


def percent(interval: Interval) -> str:
    """An interval in per cent."""
    return f"{100 * interval.value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def points(interval: Interval) -> str:
    """A difference in points."""
    return f"{100 * interval.value:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def best_of(
    questions: Questions,
    backbone: Backbone,
    reader: Callable[[LearnedReward, Sequence[Record]], Reads],
    *,
    decays: Sequence[float] = DECAYS,
    seed: int = 0,
) -> tuple[Result, Split]:
    """Choose an answer to every question, by rewards fitted on other questions, and by what is beside them."""
    spent: dict[str, float] = {}
    records = questions.records
    prompts = [record.prompt[0].text for record in records]
    split = crossed("five folds by question", [record.id for record in records], prompts, seed=seed)
    make = partial(fresh, backbone, seed)
    with timed(spent, "states"):
        reads = reader(make(), records)
    text, agreeing = np.zeros(len(records), dtype=np.int64), np.zeros(len(records), dtype=np.int64)
    decay: list[float] = []
    for number in range(split.folds):
        with timed(spent, "rewards"):
            found = asked(reads, split, number, make, decays)
        held = [records[place] for place in found.rows.tolist()]
        text[found.rows], agreeing[found.rows] = picked(held, found.text), picked(held, found.agreeing)
        decay.append(found.decay)
    every = np.arange(len(records))
    outcomes = _beside(questions)
    outcomes |= {TEXT: questions.right[every, text], AGREEING: questions.right[every, agreeing]}
    outcomes[ORACLE] = questions.right.max(1)
    rows = [_row(name, found, outcomes, split.unit) for name, found in outcomes.items()]
    models, style = _models(questions, text)
    return Result(rows, models, style, decay, questions.right.size, spent), split


def _beside(questions: Questions) -> dict[str, Floats]:
    """``[questions]`` of ways of choosing that need no reward: the mean of all answers; the majority of what the
    official evaluation took for the answers, the first of equals in the order of the file; the model that is best over
    all of these questions."""
    best = int(questions.accuracy.argmax())
    voted: list[float] = []
    for said, right, model in zip(questions.said, questions.right, questions.model, strict=True):
        index = majority_vote(said, lambda text: text or None).index
        voted.append(float(right.mean() if index is None else right[model == index][0]))
    return {MEAN: questions.right.mean(1), MAJORITY: np.array(voted), BEST: questions.right[questions.model == best]}


def _row(name: str, found: Floats, outcomes: Mapping[str, Floats], unit: Ints) -> Row:
    over = [paired_difference(found, outcomes[other], unit) for other in (MEAN, MAJORITY, BEST)]
    return Row(name, bootstrap_mean(found, unit, bounds=(0.0, 1.0)), *over)


def _models(questions: Questions, place: Ints) -> tuple[list[Picked], float]:
    every = np.arange(len(place))
    model, right = questions.model[every, place], questions.right[every, place]
    count = len(place)
    elsewhere = (questions.accuracy[model] * count - right) / max(1, count - 1)
    rows = [
        Picked(name, int((model == n).sum()), float(right[model == n].mean()), float(questions.accuracy[n]))
        for n, name in enumerate(questions.models)
        if (model == n).any()
    ]
    return sorted(rows, key=lambda each: -each.picks), float(elsewhere.mean())


# -- the command ------------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("ASSAY_DATA") or HERE.parents[1] / "shared" / "data")
    parser.add_argument("--data", type=Path, default=default, help="folder of public data (default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="folder where weights and states are kept for a next run")
    parser.add_argument("--seed", type=int, default=0, help="of folds and first weights")
    parser.add_argument("--json", action="store_true", help="write results/mathv_best_of_13.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(given.data, given.cache or Path(scratch), given.seed)
        try:
            folder = place.folder(FOLDER, "answers.jsonl.gz of the answers released with github.com/mathllm/MATH-V")
            backbone = frozen(place, LAYERS)
        except MissingError as error:
            print(f"missing: {error}", file=sys.stderr)
            return 2
        questions = Questions.of(read(folder / "answers.jsonl.gz"))
        reader = partial(_read_all, place)
        result, split = best_of(questions, backbone, reader, seed=given.seed)
    print(f"best of {len(questions.models)} on {len(questions.records):,} questions, {split.how}")
    print(*result.lines(), sep="\n")
    if given.json:
        write(result, split)
    return int(not result.good)


def _read_all(place: Place, reward: LearnedReward, records: Sequence[Record]) -> Reads:
    return read_all(place, reward, records, "mathv")


def write(result: Result, split: Split) -> None:
    """The figures as JSON."""
    told = {
        "benchmark": "mathv_best_of_13",
        "environment": environment(),
        "reward": f"a linear Bradley-Terry head on the mean state of the answer's tokens, {LAYERS} frozen layers of "
        "SmolLM2-135M, its decay chosen in inner folds",
        "split": split.told(),
        **asdict(replace(result, rows=list(result.rows), models=list(result.models))),
        "good": result.good,
    }
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
