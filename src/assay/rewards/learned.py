"""LearnedReward: a backbone with a head. The same object scores, trains, is saved and is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from assay.models.base import Batch, Encoder, TokenSequence
from assay.models.condition import Condition, with_condition
from assay.models.features import FeatureStore
from assay.models.heads import ScalarHead
from assay.models.heads.pooling import by_sequence
from assay.models.hf import Backbone
from assay.models.kept import PrefixStore
from assay.models.layout import TOKEN_BUDGET, Layout
from assay.models.named import written
from assay.models.outputs import Outputs, states_of
from assay.models.prepare import OnTooLong, Prepared, abstain
from assay.models.reading import Where, last
from assay.records import Record, Response
from assay.rewards.base import Spec, group_index, score
from assay.rewards.fingerprint import fingerprint
from assay.rewards.scored import Cells, scores_from, states_within
from assay.scores import Scores, Status

Progress = Callable[[int], None]
_RECORDS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Reference:
    """The distribution of a reward's scores on reference data: what turns a score into a unit.

    ``quantiles`` are the scores at 0, 1, ..., 100 % of ``rows`` reference responses.
    """

    mean: float
    std: float
    quantiles: tuple[float, ...]
    rows: int

    @staticmethod
    def of(values: Tensor) -> Reference:
        """The reference of scores ``[rows]``; abstentions (NaN) are left out.

        Raises:
            ValueError: fewer than two scores are left.
        """
        found = values.detach().double().flatten()
        found = found[torch.isfinite(found)]
        if found.numel() < 2:
            raise ValueError(f"a reference needs at least 2 scores, got {found.numel()}")
        quantiles = torch.quantile(found, torch.linspace(0, 1, 101, dtype=torch.float64))
        return Reference(float(found.mean()), float(found.std()), tuple(quantiles.tolist()), found.numel())


@final
class RewardModel(nn.Module):
    """The weights of a learned reward as one module, for optimisers and wrappers: batch to outputs."""

    def __init__(self, backbone: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = backbone.module
        self.head = head
        self.features = FeatureStore()
        self._backbone = backbone

    def states(
        self,
        batch: Batch,
        *,
        layout: Layout | None = None,
        token_budget: int = TOKEN_BUDGET,
        prefixes: PrefixStore | None = None,
    ) -> list[Tensor]:
        """The states ``[reads, hidden]`` of each sequence, in order over groups."""
        kept = {} if prefixes is None else {"prefixes": prefixes}
        return self._backbone.encode(batch, layout=layout, token_budget=token_budget, features=self.features, **kept)

    def judge(self, states: Sequence[Tensor], sequences: Sequence[TokenSequence], condition: Tensor | None) -> Outputs:
        """What the head makes of the states ``[reads, hidden]`` of each sequence."""
        return judged(self.head, states, sequences, condition)

    def forward(
        self,
        batch: Batch,
        condition: Tensor | None = None,
        *,
        layout: Layout | None = None,
        token_budget: int = TOKEN_BUDGET,
    ) -> Outputs:
        """Outputs of all sequences, in order over groups; differentiable in every weight that requires it."""
        sequences = [sequence for group in batch.groups for sequence in group]
        return self.judge(self.states(batch, layout=layout, token_budget=token_budget), sequences, condition)


def judged(
    head: nn.Module, states: Sequence[Tensor], sequences: Sequence[TokenSequence], condition: Tensor | None
) -> Outputs:
    """What a head makes of sequences, given the states ``[reads, hidden]`` of each."""
    if not states:
        return Outputs(torch.zeros(0))
    prompt_first = sequences[0].prompt
    if condition is not None:
        condition = condition.to(states[0].device)
    given = states_of(states, condition, prompt_first=prompt_first)
    if getattr(head, "needs_following", False):
        given = replace(given, following=_following(sequences).to(given.hidden.device))
    outputs = cast("Outputs", head(given))
    if outputs.steps is None or outputs.ends is not None or any(sequence.ends is None for sequence in sequences):
        return outputs
    ends = torch.cat([cast("Tensor", sequence.ends)[int(prompt_first) :] for sequence in sequences])
    return replace(outputs, ends=by_sequence(ends.to(outputs.values.device), given.counts, fill=-1))


def _following(sequences: Sequence[TokenSequence]) -> Tensor:
    """``[reads]``: the token after each read but the prompt's, -1 where the sequence ends."""
    none = torch.tensor([-1])
    return torch.cat([torch.cat([s.ids, none])[s.reads[int(s.prompt) :] + 1] for s in sequences])


@final
class LearnedReward:
    """A backbone and a head: what the head makes of the hidden states that it reads of the templated candidate.

    Equation: ``score(x, y) = head(h_read(template(x, y)))``, ``h`` float32 for the head whatever the backbone's dtype.
    ``read`` chooses the tokens (the true last one). ``condition`` is a column of the record's context that the head is
    given beside them. Attributes, spread and steps that the head gives are those of the scores.

    A response that cannot be scored abstains: unreadable media, a medium the backbone does not take, too long,
    refused by the template (``INVALID``), nothing to read, not finite, out of memory after the token budget was halved
    once. ``token_budget`` is how many tokens are computed at once; it changes speed and memory, never a score.
    ``layout`` forces a way of sharing (see `models.layout`). ``prefixes`` keeps what was read for later calls
    (see `keeping`). ``reference`` and ``card`` travel with the saved reward.
    """

    def __init__(
        self,
        backbone: Encoder,
        head: nn.Module,
        *,
        read: Where = last,
        condition: Condition | None = None,
        token_budget: int = TOKEN_BUDGET,
        max_length: int | None = None,
        on_too_long: OnTooLong = abstain,
        layout: Layout | None = None,
        prefixes: PrefixStore | None = None,
        reference: Reference | None = None,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        if token_budget < 1:
            raise ValueError(f"token_budget must be at least 1, got {token_budget}")
        self.backbone = backbone
        self.model = RewardModel(backbone, head.to(backbone.placement.device))
        self.read = read
        self.condition = condition
        self.token_budget = token_budget
        self.max_length = max_length or backbone.max_length
        self.on_too_long = on_too_long
        self.layout = layout
        self.prefixes = prefixes
        self.reference = reference
        self.card: Mapping[str, Any] = dict(card or {})
        self._hashed: tuple[object, str] | None = None

    @staticmethod
    def fresh(backbone: Encoder, seed: int = 0, **options: Any) -> LearnedReward:
        """The backbone with a new scalar head, initialised from ``seed``; further options as for the class."""
        return LearnedReward(backbone, ScalarHead(backbone.hidden_size, seed=seed), **options)

    def replace(self, **changes: Any) -> LearnedReward:
        """This reward with some arguments of the class changed: its backbone wrapped by peft, a copy of its head."""
        names = ("backbone", "head", "read", "condition", "token_budget", "max_length", "on_too_long", "layout")
        own = {name: getattr(self, name) for name in (*names, "prefixes", "reference", "card")}
        return LearnedReward(**{**own, **changes})

    def keeping(self, max_bytes: int = 256 * 2**20) -> LearnedReward:
        """This reward, the same weights, that keeps what it read of prompts for its later calls, ``max_bytes`` at most.

        Requests that come one after another share their beginning as the responses of one record do; scores stay what
        they are (fp32: 1e-5). A backbone that cannot share a prompt scores as before.

        Raises:
            TypeError: the backbone is no sequence model.
        """
        if not isinstance(self.backbone, Backbone):
            raise TypeError(f"{type(self.backbone).__name__} reads no prompt token by token: there is nothing to keep")
        return self.replace(prefixes=PrefixStore(max_bytes))

    def session(self, record: Record, *, max_bytes: int = 256 * 2**20) -> Session:
        """Responses to one prompt that come bit by bit: see `Session`."""
        return Session(self if self.prefixes is not None else self.keeping(max_bytes), record)

    @property
    def head(self) -> nn.Module:
        """What turns hidden states into numbers."""
        return self.model.head

    @property
    def spec(self) -> Spec:
        """What it takes, and its memory at rest in bytes."""
        weights = (*self.model.parameters(), *self.model.buffers())
        return Spec(
            modalities=self.backbone.modalities,
            differentiable=True,
            needs=(self.condition.column,) if self.condition is not None else (),
            memory_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
        )

    def parameters(self) -> Iterator[nn.Parameter]:
        """Every weight, backbone and head."""
        return self.model.parameters()

    def prepare(self, records: Sequence[Record]) -> Prepared:
        """Token sequences and pictures of every response, under this reward's reading, length policy and condition."""
        prepared = self.backbone.prepare(
            records,
            max_length=self.max_length,
            on_too_long=self.on_too_long,
            read=self.read,
            prompt=bool(getattr(self.head, "needs_prompt", False)),
        )
        return prepared if self.condition is None else with_condition(prepared, records, self.condition)

    def conditions(self, records: Sequence[Record]) -> Tensor | None:
        """``[records, width]``, NaN where it is unknown or malformed; None for a reward that has none."""
        return None if self.condition is None else self.condition.rows(records)

    def outputs(self, batch: Batch, condition: Tensor | None = None) -> Outputs:
        """What the head says of each sequence, in order over the groups of the batch, differentiable."""
        return self.model(batch, condition, layout=self.layout, token_budget=self.token_budget)

    def values(self, batch: Batch, condition: Tensor | None = None) -> Tensor:
        """``[sequences]`` float32 in order over the groups of the batch, differentiable."""
        return self.outputs(batch, condition).values

    @torch.no_grad()
    def __call__(self, records: Sequence[Record], /, *, progress: Progress | None = None) -> Scores:
        """The score of every response. ``progress`` is called with the number of responses just finished."""
        was_training = self.model.training
        if was_training:
            self.model.eval()
        try:
            budget = self.token_budget
            parts: list[Scores] = []
            for first in range(0, len(records), _RECORDS_AT_ONCE):
                part, budget = self._window(records[first : first + _RECORDS_AT_ONCE], budget)
                parts.append(part)
                if progress is not None:
                    progress(len(part))
        finally:
            if was_training:
                self.model.train()
        if len(parts) == 1:
            return parts[0]
        joined = Scores.concatenate(parts)
        return joined.replace(group=group_index(records))

    def _window(self, records: Sequence[Record], budget: int) -> tuple[Scores, int]:
        prepared = self.prepare(records)
        found, budget = states_within(prepared.batch, self._run, budget)
        sequences = [sequence for group in prepared.batch.groups for sequence in group]
        held = [place for place, states in enumerate(found) if isinstance(states, Tensor)]
        rows = [prepared.rows[place] for place in held]
        condition = self.conditions(records)
        if condition is not None:
            condition = condition[group_index(records)[rows]]
        outputs = self.model.judge(
            [cast("Tensor", found[place]) for place in held], [sequences[place] for place in held], condition
        )
        cells = Cells(list(prepared.status), list(prepared.messages), self.backbone.gaps)
        for row, states in zip(prepared.rows, found, strict=True):
            if isinstance(states, Status):
                cells.status[row] = states
                cells.messages[row] = f"out of memory, also with a token budget of {budget}"
        return scores_from(records, outputs, rows, cells), budget

    def _run(self, batch: Batch, budget: int) -> list[Tensor]:
        return self.model.states(batch, layout=self.layout, token_budget=budget, prefixes=self.prefixes)

    def fingerprint(self) -> str:
        """sha256 over weights, head, reading, condition, model configuration, template, tokenizer, preprocessing, dtype
        and length policy."""
        stamp = tuple((weight.data_ptr(), weight._version) for weight in self.model.state_dict(keep_vars=True).values())
        if self._hashed is None or self._hashed[0] != stamp:
            self._hashed = (stamp, weights_fingerprint(self.model))
        described = {
            "weights": self._hashed[1],
            "length": [self.max_length, getattr(self.on_too_long, "__qualname__", repr(self.on_too_long))],
            "head": _told_head(self.head),
            "read": _told(self.read),
            "condition": None if self.condition is None else asdict(self.condition),
            **self.backbone.fingerprints(),
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def save(self, directory: str | Path, *, adapter: bool = False) -> Path:
        """Write it to a directory that appears whole or not at all (see `rewards.saving.save`)."""
        from assay.rewards.saving import save

        return save(self, directory, adapter=adapter)

    @staticmethod
    def load(directory: str | Path, **options: Any) -> LearnedReward:
        """A saved reward; a directory that no longer fits itself is refused (see `rewards.saving.load`)."""
        from assay.rewards.saving import load

        return load(directory, **options)

    def __repr__(self) -> str:
        return f"LearnedReward({type(self.backbone.module).__name__} from {self.backbone.source})"


@final
@dataclass(frozen=True, slots=True)
class Session:
    """One prompt whose responses come bit by bit, as a search makes them: what was read is not computed again.

    ``extend`` scores further responses, or longer beginnings of earlier ones, as the reward would in one call (fp32:
    1e-5). ``fork`` is a session of another prompt, say one with more turns, over the same kept states.
    """

    reward: LearnedReward
    record: Record

    def extend(self, responses: Sequence[Response]) -> Scores:
        """The scores of these responses to the prompt."""
        return score(self.reward, [replace(self.record, responses=tuple(responses), feedback=())])

    def fork(self, record: Record) -> Session:
        """A session for another record."""
        return replace(self, record=record)

    def close(self) -> None:
        """Let go of the memory, also that of its forks; a later call starts anew."""
        if self.reward.prefixes is not None:
            self.reward.prefixes.clear()


def _told_head(head: nn.Module) -> list[Any]:
    options = cast("Callable[[], dict[str, Any]] | None", getattr(head, "options", None))
    told = {} if options is None else {name: _told(value) for name, value in options().items()}
    return [type(head).__qualname__, told]


def _told(value: object) -> Any:
    """An option as JSON: functions of this package by their path, others by their code."""
    try:
        return written(value)
    except ValueError:
        return fingerprint(value)


def weights_fingerprint(model: nn.Module) -> str:
    """sha256 of the names, dtypes, shapes and bytes of every weight and buffer."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        stored = weight.detach().contiguous().cpu()
        digest.update(f"{name} {stored.dtype} {list(stored.shape)}".encode())
        digest.update(memoryview(stored.flatten().view(torch.uint8).numpy()))
    return digest.hexdigest()
