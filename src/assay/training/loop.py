"""The training loop: one for every objective and backbone, over accelerate, exactly resumable."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from assay.models.base import Batch
from assay.models.heads.conditioned import observe
from assay.models.outputs import Outputs
from assay.records import Record
from assay.rewards.learned import LearnedReward, Reference
from assay.scores import Status
from assay.training.budgets import Position
from assay.training.evaluation import tallied
from assay.training.explain import nothing_learned
from assay.training.identity import chance, run_key, set_chance
from assay.training.inputs import Inputs, OutputsOf, picture_key
from assay.training.keeper import Keeper
from assay.training.lora import merged, without_adapters
from assay.training.order import batches, batches_balanced, batches_by_key
from assay.training.result import Event, Report, Result, State, TrainingError, quiet
from assay.training.settings import Settings
from assay.training.states import StateStore
from assay.training.step import NOTHING, OVERFLOW, Outcome, Processes, Stepper, autocast
from assay.training.supervision import Supervision
from assay.training.tally import Tally
from assay.training.trainable import release, train_mode, trainable

__all__ = ["Event", "Report", "Result", "TrainingError", "quiet", "train", "workplace"]

_REFERENCE_RECORDS = 512


def workplace(output: Path) -> Path:
    """Where a run keeps its checkpoints: beside the directory that the finished reward will have."""
    return output.with_name(f"{output.name}.training")


def train(
    reward: LearnedReward,
    records: Sequence[Record],
    supervision: Supervision,
    settings: Settings | None = None,
    *,
    evaluate: Sequence[Record] = (),
    output: Path | None = None,
    checkpoints: Path | None = None,
    resume: bool = True,
    states: StateStore | None = None,
    report: Report = quiet,
) -> Result:
    """Train a reward in place and, with ``output``, save it there: a directory that is whole or absent.

    Checkpoints lie in ``checkpoints``, by default ``<output>.training``. A run that was stopped goes on from the newest
    whole one and ends with the weights it would have had (bit-equal on one CPU thread; not with a budget of `Minutes`).
    ``resume=False`` starts over. ``states`` keeps the hidden states of a frozen backbone for several runs (of folds).

    Responses that abstain (unreadable, too long) take no part and are counted. A step whose loss is not finite changes
    nothing and is counted; ``max_skipped`` in a row end the run.

    Raises:
        TrainingError: no record has usable feedback; the loss stays not finite; the checkpoint is of another run.
        CheckpointError: a checkpoint could not be written; the last whole one is intact.
    """
    chosen = settings or Settings()
    place = checkpoints or (workplace(output) if output is not None else None)
    run = _Run(reward, records, supervision, chosen, evaluate, output, place, states, report)
    try:
        run.begin(resume)
        run.learn()
        return run.finish()
    finally:
        run.release()


@final
class _Run:
    def __init__(
        self,
        reward: LearnedReward,
        records: Sequence[Record],
        supervision: Supervision,
        settings: Settings,
        evaluate: Sequence[Record],
        output: Path | None,
        place: Path | None,
        states: StateStore | None,
        report: Report,
    ) -> None:
        if not records:
            raise TrainingError("there are no records to train on")
        self.given, self.supervision, self.settings = reward, supervision, settings
        self.records, self.output, self.report = records, output, report
        self.processes = Processes(reward.backbone.placement.device)
        self.formats = {weight: weight.dtype for weight in reward.model.parameters()}
        self.flags = {weight: weight.requires_grad for weight in reward.model.parameters()}
        key = run_key(reward, records, evaluate, supervision, settings, self.processes.count)
        loaded = reward.backbone.placement.dtype
        self.lower = settings.autocast or (loaded if loaded in (torch.bfloat16, torch.float16) else None)
        torch.manual_seed(settings.seed)
        self.reward = trainable(reward, settings)
        torch.manual_seed(settings.seed + self.processes.index)
        named = {name: w for name, w in self.reward.model.named_parameters() if w.requires_grad}
        if not named:
            raise TrainingError("every weight is frozen; there is nothing to train")
        self.keeper = Keeper(place, key, named, self.processes, settings)
        conditions = self.reward.conditions(records)
        if conditions is not None:
            observe(self.reward.head, conditions)
        outputs_of = self._outputs_of(states)
        self.inputs = Inputs(self.reward, records, outputs_of)
        self.held_out = Inputs(self.reward, evaluate, outputs_of)
        self.keys = [picture_key(record) for record in records] if settings.by_picture else []
        self.stepper = Stepper(self.reward, self.inputs, supervision, settings, self.processes, self.lower)
        self.state, self.window = State(), Tally()
        self.settled = False

    def _outputs_of(self, states: StateStore | None) -> OutputsOf | None:
        """A frozen backbone is read through a store of its hidden states."""
        if any(weight.requires_grad for weight in self.reward.backbone.module.parameters()):
            return None
        place = self.keeper.place
        store = states or StateStore(place / "states" if place is not None else None)
        read = store.open(self.reward, self.lower)
        judge = self.reward.model.judge

        def outputs_of(batch: Batch, condition: Tensor | None) -> Outputs:
            return judge(read(batch), [sequence for group in batch.groups for sequence in group], condition)

        return outputs_of

    # -- beginning and end --------------------------------------------------------------------------------------

    def begin(self, resume: bool) -> None:
        tree = self.keeper.begin(resume)
        if tree is None:
            return
        self.stepper.optimizer.load_state_dict(tree["optimizer"])
        if tree["scaler"]:
            self.stepper.scaler.load_state_dict(tree["scaler"])
        self.stepper.supervision_state(tree["supervision"])
        self.state = State(**tree["state"])
        self.window = Tally.from_state(tree["window"])
        set_chance(tree["chance"][self.processes.index])
        self._recount(*tree["counts"][self.processes.index])

    def learn(self) -> None:
        train_mode(self.reward.model)
        while not self.state.done:
            plan = self._plan(self.state.epoch)
            while self.state.cursor < len(plan) and not self.state.done:
                self._one(plan[self.state.cursor], len(plan))
            if self.state.cursor >= len(plan):
                self.state.epoch, self.state.cursor = self.state.epoch + 1, 0

    def finish(self) -> Result:
        if self.state.best_step is not None:
            self.keeper.restore_best()
        reference = self._reference()
        trained = self._settled()
        trained.reference = reference or trained.reference
        result = self._result(trained)
        if self.output is not None and self.processes.is_main:
            trained.card = {**trained.card, "training": result.summary()}
            lora = self.settings.lora
            trained.save(self.output, adapter=lora is not None and not lora.merge)
        self.processes.wait()
        return result

    def release(self) -> None:
        """Leave the weights of the given reward in the formats and with the flags they had."""
        release(self.reward, self.settings)
        if self.settings.lora is not None and not self.settled:
            without_adapters(self.reward)
        for weight, flag in self.flags.items():
            weight.requires_grad_(flag)
            weight.data = weight.data.to(self.formats[weight])
            weight.grad = None
        self.given.model.eval()

    def _settled(self) -> LearnedReward:
        lora = self.settings.lora
        settled = self.given if lora is None else merged(self.reward) if lora.merge else self.reward
        for weight, dtype in self.formats.items():
            weight.data = weight.data.to(dtype)
        settled.model.eval()
        self.settled = True
        return settled

    def _reference(self) -> Reference | None:
        """The distribution of scores on held-out records, or on training records without any."""
        inputs = self.held_out if len(self.held_out) else self.inputs
        self.reward.model.eval()
        with torch.no_grad(), autocast(self.stepper.device, self.lower):
            parts = inputs.split(range(min(len(inputs), _REFERENCE_RECORDS)), self.settings.token_budget)
            values = torch.cat([inputs.outputs(part, finite=False).values for part in parts])
        return Reference.of(values) if int(values.isfinite().sum()) > 1 else None

    def _result(self, trained: LearnedReward) -> Result:
        state = self.state
        return Result(
            reward=trained,
            history=tuple(state.history),
            evaluations=tuple(state.evaluations),
            best_step=state.best_step,
            steps=state.step,
            epochs=state.epoch + state.cursor / max(1, len(self._plan(state.epoch))),
            seconds=state.seconds,
            stopped=state.done,
            skipped=state.skipped,
            status=_total(self.processes.gather(self.inputs.status)),
            evaluation_status=_total(self.processes.gather(self.held_out.status)),
            excluded=state.excluded,
            silent=state.silent,
            resumed_from=self.keeper.resumed,
            ignored_checkpoints=self.keeper.ignored,
        )

    # -- one step -----------------------------------------------------------------------------------------------

    def _plan(self, epoch: int) -> list[list[int]]:
        """The records of each step of an epoch."""
        size, seed, balance = self.settings.batch, self.settings.seed, self.settings.balance
        if self.settings.by_picture:
            made = batches_by_key(self.keys, size, seed=seed, epoch=epoch)
        elif balance is not None:
            made = batches_balanced([balance(record) for record in self.records], size, seed=seed, epoch=epoch)
        else:
            made = batches(len(self.records), size, seed=seed, epoch=epoch)
        joined = self.settings.gradient_accumulation
        return [list(chain(*made[first : first + joined])) for first in range(0, len(made), joined)]

    def _progress(self, steps_per_epoch: int) -> float:
        state = self.state
        return min(1.0, self.settings.budget.progress(Position(state.step, steps_per_epoch, state.seconds)))

    def _one(self, batch: list[int], steps: int) -> None:
        state = self.state
        clock = getattr(self.settings.budget, "clock", time.monotonic)
        started = clock()
        outcome = self.stepper.step(batch, self.settings.schedule(self._progress(steps)))
        spent = torch.tensor([clock() - started], dtype=torch.float64, device=self.stepper.device)
        state.seconds += float(self.processes.sum(spent)) / self.processes.count
        state.step, state.cursor = state.step + 1, state.cursor + 1
        self._count(outcome, batch)
        progress = self._progress(steps)
        ended = progress >= 1.0
        if state.step % self.settings.log_every == 0 or ended:
            self._log(outcome, progress)
        every = self.settings.evaluate_every
        if ended or (state.step % every == 0 if every else state.cursor == steps):
            self._evaluate(progress)
        state.done = state.done or ("budget" if ended else "")
        if state.cursor == steps or state.done:
            self._check_learned()
        if self.keeper.is_due(state):
            self.keeper.save(state, self._tree())

    def _count(self, outcome: Outcome, batch: Sequence[int]) -> None:
        state = self.state
        self.window.merge([outcome.tally])
        state.learned += outcome.tally.items
        if state.epoch == 0:
            state.excluded += outcome.tally.excluded
            state.silent += outcome.tally.silent
        if not outcome.skipped:
            state.in_a_row = 0
            return
        state.skipped[outcome.skipped] = state.skipped.get(outcome.skipped, 0) + 1
        if outcome.skipped in (NOTHING, OVERFLOW):
            return
        state.in_a_row += 1
        if state.in_a_row >= self.settings.max_skipped:
            ids = ", ".join(record.id for record in self.inputs.at(batch[:5]))
            raise TrainingError(
                f"{state.in_a_row} steps in a row were skipped ({outcome.skipped}), the last at step {state.step} with "
                f"records {ids}, ...; no weight was changed by them. Lower the learning rate "
                f"({self.settings.learning_rate}), look at these records, or train without autocast"
            )

    def _log(self, outcome: Outcome, progress: float) -> None:
        together = Tally().merge(self.processes.gather(self.window))
        figures = together.figures()
        self.window = Tally()
        if not figures:
            return
        entry = {
            "step": float(self.state.step),
            **figures,
            **({"gradient_norm": outcome.gradient_norm} if math.isfinite(outcome.gradient_norm) else {}),
            "learning_rate": float(self.stepper.optimizer.param_groups[0]["lr"]),
            "seconds": self.state.seconds,
        }
        self.state.history.append(entry)
        self.report(Event(progress, self.state.step, entry))

    def _check_learned(self) -> None:
        learned = self.processes.sum(torch.tensor(float(self.state.learned), device=self.stepper.device))
        if float(learned) == 0 and set(self.state.skipped) <= {NOTHING}:
            raise TrainingError(nothing_learned(self.inputs, self.state))

    # -- evaluation ---------------------------------------------------------------------------------------------

    def _evaluate(self, progress: float) -> None:
        if not len(self.held_out):
            return
        state = self.state
        if state.evaluations and state.evaluations[-1]["step"] == state.step:
            return
        self.report(Event(progress, state.step, {}, "evaluating"))
        tally = tallied(self.held_out, self.supervision, self.processes, self.settings.token_budget, self.lower)
        figures = tally.figures()
        if not figures:
            raise TrainingError("no evaluation record has feedback of the objective's shape and can be scored")
        state.evaluations.append({"step": float(state.step), **figures})
        self.report(Event(progress, state.step, figures, "evaluated"))
        quality = self.settings.watch(figures)
        if state.best is None or quality > state.best:
            state.best, state.best_step, state.since_best = quality, state.step, 0
            self.keeper.keep_best(state.step)
        else:
            state.since_best += 1
            if self.settings.patience is not None and state.since_best >= self.settings.patience:
                state.done = "patience"

    # -- checkpoints --------------------------------------------------------------------------------------------

    def _tree(self) -> dict[str, Any]:
        """What a checkpoint holds beside weights and state."""
        return {
            "optimizer": self.stepper.optimizer.state_dict(),
            "scaler": self.stepper.scaler.state_dict(),
            "supervision": self.stepper.supervision_state(),
            "window": self.window.state_dict(),
            "chance": self.processes.gather(chance()),
            "counts": self.processes.gather((_names(self.inputs.status), _names(self.held_out.status))),
        }

    def _recount(self, status: Mapping[str, int], evaluation_status: Mapping[str, int]) -> None:
        done = self._plan(0) if self.state.epoch else self._plan(0)[: self.state.cursor]
        mine = slice(self.processes.index, None, self.processes.count)
        self.inputs.counted([index for batch in done for index in batch[mine]], status)
        self.held_out.counted(range(len(self.held_out)) if self.state.evaluations else (), evaluation_status)


def _names(counts: Counter[Status]) -> dict[str, int]:
    return {str(status): count for status, count in counts.items()}


def _total(counters: Sequence[Counter[Status]]) -> dict[Status, int]:
    return {status: count for status, count in sum(counters, Counter[Status]()).items() if count}
