"""`assay search`: generate towards a reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.inputs import (
    UsageError,
    counted,
    number,
    open_records,
    open_reward,
    refuse_overwriting,
    report_bad_rows,
    show,
)
from assay.cli.labelled import Job, Resume, costed, endpoints_of, in_threads, labelled, one_at_a_time, spent_by
from assay.cli.options import (
    DataArgument,
    Device,
    DryRun,
    Dtype,
    Json,
    Limit,
    MaxErrors,
    RewardArgument,
    Seed,
    SplitBy,
    StepsHow,
)

if TYPE_CHECKING:
    from assay.models.base import Generator
    from assay.records import Record
    from assay.records.steps import Split
    from assay.rewards.base import Reward
    from assay.search.growing import Found, Tokens


class How(StrEnum):
    """The searches there are."""

    BEST_OF = "best-of"
    BEAM = "beam"
    TREE = "tree"
    PARTICLES = "particles"


def search(
    reward: RewardArgument,
    data: DataArgument,
    generator: Annotated[
        str,
        typer.Option(
            "--generator", help="A directory or hub id of a language model, NAME@URL of an endpoint, or file.py:name."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The records with what was found, best first, .jsonl.")
    ],
    how: Annotated[How, typer.Option("--how", help="How to search.")] = How.BEST_OF,
    n: Annotated[
        int, typer.Option("--n", help="Responses (best-of), beam width, rollouts (tree), particles.", min=1)
    ] = 16,
    gain: Annotated[float, typer.Option("--gain", help="best-of: stop where more draws gain less.", min=0.0)] = 0.0,
    expand: Annotated[int, typer.Option("--expand", help="beam, tree: continuations of a beginning.", min=1)] = 4,
    strength: Annotated[
        float, typer.Option("--strength", help="particles: how much a unit of reward is worth.", min=0.0)
    ] = 1.0,
    compare: Annotated[bool, typer.Option("--compare", help="Also best of n that writes as many tokens.")] = False,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", help="Longest response.", min=1)] = 256,
    temperature: Annotated[float, typer.Option("--temperature", help="Of sampling.", min=0.0)] = 1.0,
    steps: StepsHow = None,
    split: SplitBy = None,
    limit: Limit = None,
    resume: Resume = True,
    retry: Annotated[
        bool, typer.Option("--retry", help="Search again where a draw or every judgement failed.")
    ] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    max_errors: MaxErrors = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Generate responses that REWARD scores high.

    best-of grows the responses that a record has to N; beam, tree and particles score beginnings, step by step (lines,
    or --split). The responses found are written best first; their scores, and tokens and reward calls spent, are in
    the column `search`. A run that was stopped goes on. --compare prints best of n at as many tokens beside it.

    An endpoint is NAME@URL?key=VARIABLE&at_once=8&replay=DIRECTORY, and money, price_read and price_written: as many
    records are searched at once as it takes calls, replies in DIRECTORY are not asked for again, and the budget holds.

    Exit code 1 when for more than --max-errors records nothing could be judged, or a row could not be read.

    Example: assay search out/my-reward questions.jsonl --generator Qwen/Qwen2.5-0.5B-Instruct --how beam -o found.jsonl
    """
    from assay.cli.inputs import split_by
    from assay.records.steps import lines
    from assay.rewards.base import fingerprint, name_of
    from assay.rewards.judges.identity import identity, named

    refuse_overwriting(output, data)
    judge = open_reward(reward, device, dtype, seed, steps=steps, split=split)
    rule = lines if split is None else split_by(split)
    rows = open_records(data, limit, keep_going)
    records = list(rows)
    bad = report_bad_rows(rows)
    facts: dict[str, Any] = {"records": len(records), "how": str(how), "n": n, "bad_rows": bad, "output": None}
    if dry_run:
        show(facts, as_json, [f"{counted(len(records), 'record')}, nothing generated (dry run)"])
        raise typer.Exit(int(bad > max_errors))
    model = _generator(generator, device, dtype, max_new_tokens, temperature)
    asked = endpoints_of(model, judge, getattr(judge, "way", None))
    at_once = max((each.at_once for each in endpoints_of(model)), default=1)
    held = judge if at_once == 1 else one_at_a_time(judge)
    tokens = _tokens(model)
    one = _searching(how, model, held, rule, tokens, (n, gain, expand, strength), seed)

    def label(record: Record) -> Record:
        found = one(record)
        return _compared(found, model, held, tokens, seed) if compare else found.trace()

    settings = (fingerprint(judge), identity(model), str(how), n, gain, expand, strength, compare, split, seed)
    recipe = f"search({name_of(judge)}, {named(model)}, {settings})"
    note = (lambda: costed(spent_by(asked))) if asked else None
    job = Job("searching", recipe, in_threads(label, at_once), _is_whole, at_once, note)
    done = labelled(job, records, output, resume=resume, retry=retry)
    facts |= _worth(done) | {"output": str(output)}
    facts |= {"cost": asdict(spent_by(asked))} if asked else {}
    show(facts, as_json, _lines(facts))
    raise typer.Exit(int(facts["failed"] + bad > max_errors))


def _searching(
    how: How,
    model: Generator,
    judge: Reward,
    split: Split,
    tokens: Tokens,
    numbers: tuple[int, float, int, float],
    seed: int,
) -> Callable[[Record], Found]:
    from functools import partial

    from assay.search.beam import step_beam
    from assay.search.growing import growing
    from assay.search.particles import particles
    from assay.search.tree import step_tree

    n, gain, expand, strength = numbers
    given: dict[str, Any] = {"generator": model, "reward": judge, "split": split, "tokens": tokens, "seed": seed}
    match how:
        case How.BEST_OF:
            return partial(growing, n=n, gain=gain, **given)
        case How.BEAM:
            return partial(step_beam, width=n, expand=expand, **given)
        case How.TREE:
            return partial(step_tree, budget=n, width=expand, **given)
        case How.PARTICLES:
            return partial(particles, count=n, strength=strength, **given)


def _compared(found: Found, model: Generator, judge: Reward, tokens: Tokens, seed: int) -> Record:
    from dataclasses import replace

    from assay.search.growing import COLUMN, at_equal_cost

    _, plain = at_equal_cost("search", [found], model, judge, tokens=tokens, seed=seed)
    trace = found.trace()
    spent = {"tokens": plain.spent.tokens, "responses": plain.spent.responses, "calls": plain.spent.calls}
    column = {**trace.context[COLUMN], "best_of_n": {"value": plain.value, **spent}}
    return replace(trace, context={**trace.context, COLUMN: column})


def _is_whole(trace: Record) -> bool:
    """Whether something was found, and nothing failed on the way."""
    noted = trace.context["search"]
    return bool(noted["values"]) and noted["values"][0] is not None and not noted.get("failed")


def _worth(traces: Sequence[Record]) -> dict[str, Any]:
    noted = [dict(trace.context["search"]) for trace in traces]
    best = [each["values"][0] for each in noted if each["values"] and each["values"][0] is not None]
    failed = [each["reason"] for each in noted if not each["values"] or each["values"][0] is None]
    facts: dict[str, Any] = {"best": _mean(best), "failed": len(failed), "why": failed[0] if failed else None}
    facts |= {name: sum(each[name] for each in noted) for name in ("tokens", "responses", "calls")}
    lost = [each for each in noted if each.get("failed")]
    facts |= {"lost": sum(each["failed"] for each in lost), "why_lost": lost[0]["why"] if lost else None}
    plain = [each["best_of_n"] for each in noted if "best_of_n" in each]
    if plain:
        values = [each["value"] for each in plain if each["value"] is not None]
        spent = {name: sum(each[name] for each in plain) for name in ("tokens", "responses", "calls")}
        facts["best_of_n"] = {"best": _mean(values), **spent}
    return facts


def _lines(facts: dict[str, Any]) -> list[str]:
    from assay.models.asking import Cost

    sides = [(facts["how"], facts)]
    sides += [("best of n at as many tokens", facts["best_of_n"])] if "best_of_n" in facts else []
    failed = [f"nothing for {counted(facts['failed'], 'record')}: {facts['why']}"] if facts["failed"] else []
    failed += [f"{counted(facts['lost'], 'draw')} failed: {facts['why_lost']}"] if facts["lost"] else []
    cost = [f"this run: {costed(Cost(**facts['cost']))}"] if "cost" in facts else []
    return [
        counted(facts["records"], "record"),
        *[
            f"{name}: mean best score {number(side['best'])}; {side['tokens']:,} tokens written in "
            f"{counted(side['responses'], 'response')}, {counted(side['calls'], 'reward call')}"
            for name, side in sides
        ],
        *failed,
        *cost,
        f"written to {facts['output']}",
    ]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _generator(reference: str, device: str, dtype: str, longest: int, temperature: float) -> Any:
    from assay.models.endpoints.written_out import endpoint_from, is_endpoint
    from assay.models.generate import load_generator
    from assay.training.names import is_file, value_of

    if is_endpoint(reference):
        from assay.models.endpoints import EndpointGenerator

        return EndpointGenerator(endpoint_from(reference, max_tokens=longest, temperature=temperature))
    if not is_file(reference):
        return load_generator(reference, device=device, dtype=dtype, max_new_tokens=longest, temperature=temperature)
    found: Any = value_of(reference)
    made = found() if isinstance(found, type) else found
    if callable(getattr(made, "generate", None)):
        return made
    raise UsageError(f"{reference} does not generate: it has no method generate(prefixes, n, seed)")


def _tokens(model: Any) -> Tokens:
    """Counts by the model's own tokeniser, else words."""
    from assay.search.growing import words

    tokenizer = getattr(getattr(model, "backbone", None), "tokenizer", None)
    if tokenizer is None:
        return words
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])
