"""`assay refine`: answer, critique, answer again; the best answer by a reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

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
from assay.cli.labelled import Job, Resume, costed, endpoints_of, labelled, spent_by
from assay.cli.options import DataArgument, Device, DryRun, Dtype, Json, Limit, MaxErrors, RewardArgument, Seed

if TYPE_CHECKING:
    from assay.models.asking import Answerer
    from assay.records import Record
    from assay.rewards.critics import Critic

_MODEL = "a directory or hub id of a language model, NAME@URL of an endpoint, or file.py:name"


def refine(
    reward: RewardArgument,
    data: DataArgument,
    critic: Annotated[str, typer.Option("--critic", help=f"Who criticises: {_MODEL}.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The traces, .jsonl.")],
    reasoner: Annotated[
        str | None,
        typer.Option("--reasoner", "--generator", help="Who answers, named likewise; else the critic's model."),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", help="Critiques of one record at most.", min=1)] = 2,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", help="Longest answer and critique.", min=1)] = 512,
    temperature: Annotated[float, typer.Option("--temperature", help="Of sampling.", min=0.0)] = 0.0,
    key: Annotated[
        str | None, typer.Option("--key", help="The environment variable that holds an endpoint's key.")
    ] = None,
    limit: Limit = None,
    resume: Resume = True,
    retry: Annotated[bool, typer.Option("--retry", help="Again where a role failed or nothing was judged.")] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    max_errors: MaxErrors = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Refine answers: a critic says what is wrong, and a model answers again.

    The first response of a record is its first answer; without one the reasoner answers first. Each record becomes a
    trace: all its answers, what the critic said of them, and in the column `refine` why the loop ended, what it cost,
    REWARD's score of each answer and which is the best. A run that was stopped goes on.

    An endpoint is NAME@URL?key=VARIABLE&at_once=8&replay=DIRECTORY, and money, price_read and price_written: as many
    records are refined at once as it takes calls, replies in DIRECTORY are not asked for again, and the budget holds.

    Says what it was worth: the mean score of the first answer, of the last, and of the best of all.

    Exit code 1 when in more than --max-errors records a role failed, no answer could be judged, or a row could not be
    read.

    Example: assay refine out/my-reward questions.jsonl --critic Qwen/Qwen2.5-0.5B-Instruct -o traces.jsonl
    """
    from assay.rewards.base import fingerprint, name_of
    from assay.rewards.judges.identity import identity, named
    from assay.search import refine as loop

    refuse_overwriting(output, data)
    judge = open_reward(reward, device, dtype, seed)

    def model(reference: str) -> Any:
        return _model(reference, key, device, dtype, max_new_tokens, temperature)

    source = model(critic)
    writer = _answerer(critic, source) if reasoner is None else _answerer(reasoner, model(reasoner))
    said = _critic(critic, source, seed)
    rows = open_records(data, limit, keep_going)
    records = list(rows)
    bad = report_bad_rows(rows)
    facts: dict[str, Any] = {"records": len(records), "rounds": rounds, "bad_rows": bad, "output": None}
    if dry_run:
        calls = sum(2 * rounds + (not record.responses) for record in records)
        show(
            facts | {"calls": calls}, as_json, [f"{counted(len(records), 'record')}, at most {counted(calls, 'call')}"]
        )
        raise typer.Exit(int(bad > max_errors))

    def label(some: Sequence[Record]) -> list[Record]:
        return loop.judged(loop.refine(some, writer, said, rounds=rounds, seed=seed), judge)

    what = (fingerprint(judge), identity(said), identity(writer), rounds, seed, loop.REVISE)
    recipe = f"refine({name_of(judge)}, {named(said)}, {named(writer)}, {what})"
    roles = endpoints_of(source, writer)
    asked = endpoints_of(source, writer, judge, getattr(judge, "way", None))
    note = (lambda: costed(spent_by(asked))) if asked else None
    batch = max((each.at_once for each in roles), default=1)
    job = Job("refining", recipe, label, lambda trace: _is_whole(trace.context[loop.COLUMN]), batch, note)
    facts |= _worth(labelled(job, records, output, resume=resume, retry=retry), loop.COLUMN) | {"output": str(output)}
    show(facts, as_json, _lines(facts))
    raise typer.Exit(int(facts["failed"] + bad > max_errors))


def _is_whole(noted: Mapping[str, Any]) -> bool:
    return noted["status"] == "ok" and noted["best"] is not None


def _worth(traces: Sequence[Record], column: str) -> dict[str, Any]:
    noted = [dict(trace.context[column]) for trace in traces]
    stopped: dict[str, int] = {}
    for each in noted:
        stopped[each["stopped"]] = stopped.get(each["stopped"], 0) + 1
    full = [each for each in noted if each["scores"] and None not in (each["scores"][0], each["scores"][-1])]
    first, last = _mean([each["scores"][0] for each in full]), _mean([each["scores"][-1] for each in full])
    failed = [each for each in noted if not _is_whole(each)]
    spent = {name: sum(each[name] for each in noted) for name in ("calls", "tokens_read", "tokens_written", "money")}
    why = next((each["message"] or "the reward abstains" for each in failed), None)
    best = _mean([each["scores"][each["best"]] for each in full])
    return {"stopped": stopped, "first": first, "last": last, "best": best, "judged": len(full)} | {
        "failed": len(failed),
        "why": why,
        **spent,
    }


def _lines(facts: dict[str, Any]) -> list[str]:
    ends = ", ".join(f"{name} {count}" for name, count in sorted(facts["stopped"].items()))
    means = f"first answer {number(facts['first'])}, last {number(facts['last'])}, best {number(facts['best'])}"
    cost = (
        f"{counted(facts['calls'], 'call')}, {facts['tokens_read']:,} tokens read, {facts['tokens_written']:,} written"
    )
    money = f", {facts['money']:.4g} spent" if facts["money"] else ""
    failed = [f"failed: {counted(facts['failed'], 'record')}: {facts['why']}"] if facts["failed"] else []
    return [
        f"{counted(facts['records'], 'record')}; ended: {ends}",
        f"mean score over {facts['judged']}: {means}",
        cost + money,
        *failed,
        f"written to {facts['output']}",
    ]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _model(reference: str, key: str | None, device: str, dtype: str, longest: int, temperature: float) -> Any:
    """The model that a reference names; of a file, what it defines or what its function or class makes."""
    from assay.models.endpoints.written_out import endpoint_from, is_endpoint
    from assay.training.names import is_file, value_of

    if is_file(reference):
        found: Any = value_of(reference)
        makes = isinstance(found, type) or (callable(found) and not hasattr(found, "answer") and _takes_nothing(found))
        return found() if makes else found
    if is_endpoint(reference):
        return endpoint_from(reference, key=key, max_tokens=longest, temperature=temperature)
    from assay.models.answering import LocalModel
    from assay.models.generate import load_generator

    made = load_generator(reference, device=device, dtype=dtype, max_new_tokens=longest, temperature=temperature)
    return LocalModel(made)


def _takes_nothing(found: Any) -> bool:
    import inspect

    return not inspect.signature(found).parameters


def _answers(model: Any) -> bool:
    return callable(getattr(model, "answer", None))


def _answerer(reference: str, model: Any) -> Answerer:
    if _answers(model):
        return model
    raise UsageError(f"{reference} does not answer: it has no method answer(prompts, n, seed); name one as --reasoner")


def _critic(reference: str, model: Any, seed: int) -> Critic:
    from assay.rewards.critics import ModelCritic

    if _answers(model):
        return ModelCritic(model, seed=seed)
    if callable(model):
        return cast("Critic", model)
    raise UsageError(f"{reference} is no critic: neither answers (prompts, n, seed) nor takes records")
