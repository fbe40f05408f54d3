"""What the commands that score have in common: loading what they were given, and saying what was wrong with it."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.records import Record, Records
    from assay.records.steps import Split
    from assay.rewards.base import Reward


_ADDRESS = re.compile(r"https?://")


class UsageError(ValueError):
    """The command was asked for something that makes no sense; the message says what to change."""


def open_reward(
    reference: str, device: str, dtype: str, seed: int, *, steps: str | None = None, split: str | None = None
) -> Reward:
    """The reward a command was given, on its device, after seeding Python, numpy and torch; with ``split`` of responses
    whose steps are marked by that rule, and with ``steps`` by that aggregate of their scores. An address,
    ``http(s)://host:port/NAME``, is that of a reward on a server, whose loss ends the command;
    ``recipe:NAME?argument=value`` what a recipe makes (`assay.cli.recipe_rewards.recipe_reward`), and
    ``classify:MODEL@URL?local=DIR`` that of a model behind vLLM or SGLang (`assay.adapters.served_model`).

    Raises:
        UsageError: there is no such rule, aggregate or recipe.
    """
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    judge = _opened(reference, device, dtype)
    if split is not None:
        judge = _split(judge, split_by(split))
    if steps is None:
        return judge
    from assay.rewards.base import chain
    from assay.transforms.steps import AGGREGATES, aggregate_steps

    if steps not in AGGREGATES:
        raise UsageError(f"--steps {steps}: give one of {', '.join(AGGREGATES)}")
    return chain(judge, aggregate_steps(AGGREGATES[steps]))


def _opened(reference: str, device: str, dtype: str) -> Reward:
    from assay.rewards.load import load

    if _ADDRESS.match(reference):
        return _remote(reference)
    if reference.startswith("classify:"):
        return _served_model(reference, device, dtype)
    if reference.startswith("recipe:"):
        from assay.cli.recipe_rewards import recipe_reward

        return recipe_reward(reference, lambda member: _opened(member, device, dtype))
    return load(reference, device=device, dtype=dtype)


def _served_model(reference: str, device: str, dtype: str) -> Reward:
    """``classify:MODEL@URL?local=DIR``: a reward model behind vLLM or SGLang, the same model being here too. With
    ``&tolerance=0.1`` values may differ so much from those here, as of a model in bfloat16 whose values are large.

    Raises:
        UsageError: it is not written so, or DIR holds no learned reward.
    """
    from assay.adapters.served_model import TOLERANCE, served_model
    from assay.rewards.learned import LearnedReward
    from assay.rewards.load import load

    model, at, rest = reference.removeprefix("classify:").partition("@")
    url, mark, rest = rest.partition("?local=")
    local, _, tolerance = rest.partition("&tolerance=")
    if not (model and at and url and mark and local):
        raise UsageError(f"{reference}: write classify:MODEL@URL?local=DIR, DIR being the same model here")
    here = load(local, device=device, dtype=dtype)
    if not isinstance(here, LearnedReward):
        raise UsageError(f"{local}: is no learned reward, so what is served cannot be held against it")
    try:
        return served_model(url, model, here, tolerance=float(tolerance or TOLERANCE))
    except ValueError as error:
        raise UsageError(f"{reference}: {error}") from error


def _remote(reference: str) -> Reward:
    from assay.models.endpoints.patience import Patience
    from assay.serving.client import from_reference

    return from_reference(reference, insist=True, batch=16, patience=Patience(attempts=9))


def split_by(rule: str) -> Split:
    """The rule of `assay.records.steps` by which responses are split: its name, or ``separator:TEXT``.

    Raises:
        UsageError: there is none.
    """
    from assay.records.steps import lines, sentences, separator, turns

    known = {"lines": lines, "sentences": sentences, "turns": turns}
    name, mark, text = rule.partition(":")
    if name == "separator" and mark and text:
        return separator(text.encode().decode("unicode_escape"))
    if rule not in known:
        raise UsageError(f"--split {rule}: give {', '.join(known)}, or separator:TEXT")
    return known[rule]


def _split(reward: Reward, rule: Split) -> Reward:
    from functools import partial

    from assay.records.steps import split_steps
    from assay.rewards.augmented import augmented

    return augmented(reward, partial(split_steps, split=rule))


def open_records(data: Path, limit: int | None, keep_going: bool) -> Records:
    """The records of the data a command was given; with ``keep_going`` bad rows are collected instead of raised."""
    from assay.records import read

    return read(data, limit=limit, on_error="collect" if keep_going else "raise")


def split_prompts(records: Sequence[Record], fraction: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Records to learn from and records held out: some prompts, chosen by content and seed, with all their records.

    Raises:
        UsageError: no prompt, or every one, would be held out.
    """
    import hashlib

    from assay.records.record import content_id

    def place(record: Record) -> float:
        text = f"{seed}:{content_id(record.prompt, ())}"
        return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32

    held = [record for record in records if place(record) < fraction]
    if not held or len(held) == len(records):
        raise UsageError(
            f"--hold-out {fraction}: {'all' if held else 'none'} of the {len(records)} records' prompts fall into it; "
            "give more data, or held-out records of their own"
        )
    return [record for record in records if place(record) >= fraction], held


def refuse_overwriting(output: Path, data: Path) -> None:
    """The output must not be the input.

    Raises:
        UsageError: it is.
    """
    if output.resolve() == data.resolve():
        raise UsageError(f"-o {output} is the data itself; choose another name")


def report_bad_rows(records: Records, most: int = 10) -> int:
    """Print the first bad rows of the data to stderr; returns how many there were."""
    for problem in records.problems[:most]:
        print(f"skipped: {problem}", file=sys.stderr)
    if records.failed > most:
        print(f"skipped: {records.failed} bad rows in all", file=sys.stderr)
    return records.failed


def show(facts: dict[str, Any], as_json: bool, lines: Sequence[str]) -> None:
    """One JSON object for machines, or lines for people, on stdout."""
    import json

    print(json.dumps(facts, default=str) if as_json else "\n".join(lines))


def counted(count: int, noun: str) -> str:
    """A count and what is counted: ``1 record``, ``2,000 records``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def number(value: float | None) -> str:
    """A number for people; a dash for none."""
    return "-" if value is None else f"{value:.4g}"
