"""The quickstart: a picture reward trained from nothing on real public pictures, audited, and used to choose."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay import metrics
from assay.benchmarks.audit import audit
from assay.benchmarks.base import clusters
from assay.benchmarks.card import Card
from assay.benchmarks.gates import DEFAULT_GATES, beats_nulls
from assay.benchmarks.panels import Choice, Curves, Line, Panel
from assay.benchmarks.report.pictures import thumbnail
from assay.metrics import Interval
from assay.models.placement import Placement
from assay.models.scratch import picture_backbone, picture_tokens, word_tokenizer
from assay.objectives.listwise import top_one
from assay.perturb.pictures import prompt_pictures
from assay.records import Record, read
from assay.records.formats.easyvqa import ANSWERS, same_type
from assay.rewards.learned import LearnedReward
from assay.search.best_of_n import Picks, pick
from assay.training.budgets import Budget, Minutes, Steps
from assay.training.loop import train
from assay.training.result import Report, Result, quiet
from assay.training.settings import Settings
from assay.training.supervision import supervise

STEPS = 1_500
QUESTIONS_A_STEP = 80
EVERY_ANSWER = 6
"""One training question in so many is asked with all 13 answers; the others with the answers of their type."""
AUDITED = 3_000
GATES = (beats_nulls(0.08), *DEFAULT_GATES[1:])

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Quickstart:
    """What came of it: the card, the share of questions answered right by best-of-13, and where everything lies."""

    card: Card
    picked: Interval
    training: Result
    seconds: dict[str, float]
    directory: Path
    report: Path


def quickstart(
    directory: Path,
    *,
    minutes: float | None = None,
    limit: int | None = None,
    audited: int = AUDITED,
    where: Placement | None = None,
    seed: int = 0,
    say: Say = lambda line: None,
    report: Report = quiet,
) -> Quickstart:
    """Train on easy-VQA's official training pictures, audit on its official test pictures, choose among 13 answers.

    ``minutes`` of training instead of 1,500 steps; ``limit`` uses only the first questions of each split; ``audited``
    test questions, drawn by ``seed``, are audited.

    Raises:
        FormatError: the easy-vqa package is not installed.
    """
    watch = _Watch()
    with watch("reading"):
        asked, held_out = list(read("easy-vqa:train", limit=limit)), list(read("easy-vqa:test", limit=limit))
        held_out = _drawn(held_out, audited, seed)
    say(f"{len(asked):,} questions about the training pictures, {len(held_out):,} about the test pictures")
    reward = fresh_reward(asked, seed, where)
    say(f"training {type(reward.backbone.module).__name__}, {_weights(reward):,} weights, from nothing")
    with watch("training"):
        budget: Budget = Steps(STEPS) if minutes is None else Minutes(minutes)
        result = train(
            reward, training_records(asked), supervise(top_one), settings(budget, seed),
            output=directory / "reward", resume=False, report=report,
        )  # fmt: skip
    say(f"trained in {watch.seconds['training']:.0f} s; auditing on {len(held_out):,} questions")
    test = [same_type(record) for record in held_out]
    with watch("audit"):
        card = audit(
            reward, test, gates=GATES, per_record=True, train_records=[same_type(r) for r in asked], seed=seed,
            title="Quickstart: does the answer fit the picture?", data_name="easy-VQA, official test pictures",
        )  # fmt: skip
    with watch("choosing"):
        picks = pick(reward, held_out)
    picked = right_share(held_out, picks, seed)
    card = replace(card, panels=_panels(reward, result, held_out, picks, picked, watch.seconds))
    page = card.save(directory / "report.html")
    return Quickstart(card, picked, result, watch.seconds, directory, page)


def fresh_reward(records: Sequence[Record], seed: int, where: Placement | None = None) -> LearnedReward:
    """An untrained reward whose words are those of the questions and answers."""
    texts = [message.text for record in records for message in record.prompt]
    tokenizer = word_tokenizer([*texts, *ANSWERS], special=picture_tokens())
    return LearnedReward.fresh(picture_backbone(tokenizer, seed=seed, where=where), seed=seed)


def training_records(records: Sequence[Record]) -> list[Record]:
    """Most questions with the answers of their type, some with all."""
    return [record if i % EVERY_ANSWER == 0 else same_type(record) for i, record in enumerate(records)]


def settings(budget: Budget, seed: int) -> Settings:
    """How a small model is trained from nothing: large steps, questions of one picture together."""
    return Settings(
        budget=budget,
        batch=QUESTIONS_A_STEP,
        by_picture=True,
        learning_rate=1.5e-3,
        betas=(0.9, 0.98),
        checkpoint_every=10**9,
        log_every=20,
        seed=seed,
    )


def right_share(records: Sequence[Record], picks: Picks, seed: int) -> Interval:
    """How often the chosen answer is the right one; the interval resamples pictures."""
    right = [
        float(chosen.index is not None and record.responses[chosen.index].text == record.context["answer"])
        for record, chosen in zip(records, picks, strict=True)
    ]
    return metrics.bootstrap_mean(metrics.floats(right), clusters(records), bounds=(0.0, 1.0), seed=seed)


def _drawn(records: list[Record], count: int, seed: int) -> list[Record]:
    import numpy as np

    if len(records) <= count:
        return records
    kept = np.random.default_rng(seed).choice(len(records), count, replace=False)
    return [records[index] for index in sorted(kept.tolist())]


def _weights(reward: LearnedReward) -> int:
    return sum(weight.numel() for weight in reward.parameters())


class _Watch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Generator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - started


def _panels(
    reward: LearnedReward,
    result: Result,
    records: Sequence[Record],
    picks: Picks,
    picked: Interval,
    seconds: dict[str, float],
) -> tuple[Panel, ...]:
    points = [(row["seconds"], row["accuracy"]) for row in result.history]
    learned = Panel(
        title="What this is",
        paragraphs=(
            "A vision-language reward: a picture, a question and a candidate answer go in, one number comes out. It "
            "was trained from random weights, just now, on this machine, and it is small: it knows these shapes and "
            "colours and nothing else. The code is the same that trains and scores a model of seven billion weights: "
            "give the command assay train another model and data of your own.",
        ),
        facts=(
            ("Model", f"{type(reward.backbone.module).__name__}, {_weights(reward):,} weights"),
            ("Objective", "top-one of each question's answers (ListNet)"),
            ("Steps", f"{result.steps:,}, {result.epochs:.1f} times through the training pictures"),
            *((stage.capitalize(), f"{spent:.0f} s") for stage, spent in seconds.items()),
        ),
        curves=Curves(
            "seconds of training", "accuracy", (Line("right over wrong, %, in training", tuple(points)),), True
        ),
    )
    shown = _shown(records, picks)
    chosen = Panel(
        title="Choosing with it",
        paragraphs=(
            f"Best of 13: for each test question the reward scores all 13 answers there are, and the best-scored one "
            f"is picked. It is the right one for {100 * picked.value:.1f} % of {len(records):,} questions "
            f"[{100 * picked.low:.1f}, {100 * picked.high:.1f}]; a blind guess would be for 7.7 %. The three "
            "best-scored answers of some questions, right ones in green:",
        ),
        choices=shown,
    )
    return (learned, chosen)


def _shown(records: Sequence[Record], picks: Picks, each: int = 4) -> list[Choice]:
    """The first right picks and the first wrong ones, no picture twice."""
    choices: dict[bool, list[Choice]] = {True: [], False: []}
    seen: set[Any] = set()
    for record, chosen in zip(records, picks, strict=True):
        picture = record.context["image_id"]
        if chosen.index is None or picture in seen:
            continue
        answers = zip(record.responses, chosen.values, strict=True)
        scored = sorted(((r.text, v) for r, v in answers if v is not None), key=lambda item: -item[1])
        uris = tuple(thumbnail(image) for image in prompt_pictures(record))
        made = Choice(record.prompt[0].text, tuple(scored[:3]), str(record.context["answer"]), uris)
        if len(choices[made.is_right]) < (each if not made.is_right else 2 * each):
            choices[made.is_right].append(made)
            seen.add(picture)
    return [*choices[True], *choices[False]]
