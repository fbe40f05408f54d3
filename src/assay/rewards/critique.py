"""A reward that writes a critique of a response and then scores it: of what it reads, its own critique is the last.

``score(x, y) = w . h_last(x, y, c)`` with ``c`` greedy from the language-model head of the same backbone. It is trained
on critiques that people wrote, which then stand in place of its own (`with_critiques`, `training.critiques`).

Sources: Zhang et al. (MM-RLHF), 2025, arXiv 2502.10391; Ankner et al., "Critique-out-Loud Reward Models", 2024, arXiv
2408.11791.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor

from assay.media import Text
from assay.models.base import Batch, TokenSequence
from assay.models.checkpoint import CheckpointError
from assay.models.control import control_ids
from assay.models.heads.critique import CritiqueHead
from assay.models.hf import Backbone, load_backbone, load_module, located
from assay.models.reading import from_first_step, last
from assay.records import Critique, Message, Record, Response, StepEnd
from assay.rewards.learned import LearnedReward
from assay.scores import Scores, Status
from assay.spec import Spec

HEADING = "Critique:"
LONGEST = 64


def with_critique(response: Response, text: str | None) -> Response:
    """The response followed by ``Critique: text``, its only step ending where the critique begins; with None as it is
    and without steps. The critique goes on in the last message, or, after media or a tool, in one of its own."""
    if text is None:
        return replace(response, step_ends=())
    *before, turn = response.messages or (Message("assistant", ()),)
    ends = bool(turn.parts) and isinstance(turn.parts[-1], Text) and turn.role == "assistant"
    said = turn.parts[-1].text if ends and isinstance(turn.parts[-1], Text) else ""
    opening = f"{said}\n\n{HEADING}" if said else HEADING
    part = Text(f"{opening} {text}" if text else opening)
    messages = (*before, replace(turn, parts=(*turn.parts[:-1], part))) if ends else (*response.messages, _own(part))
    place = StepEnd(len(messages) - 1, len(messages[-1].parts) - 1, len(opening))
    return Response(messages, (place,))


def _own(part: Text) -> Message:
    return Message("assistant", (part,))


def with_critiques(records: Sequence[Record]) -> list[Record]:
    """Records as they are learned from: each response followed by the first critique that its feedback has of it."""
    return [replace(record, responses=_criticised(record)) for record in records]


def _criticised(record: Record) -> tuple[Response, ...]:
    said: dict[int, str] = {}
    for item in record.feedback:
        if isinstance(item, Critique):
            said.setdefault(item.response, item.text)
    return tuple(with_critique(response, said.get(i)) for i, response in enumerate(record.responses))


def language_head(path_or_id: str | Path) -> Tensor:
    """``[vocabulary, hidden]``: the output layer of a checkpoint with a language-model head, in its own format.

    Raises:
        CheckpointError: the checkpoint has none.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    from assay.models.placement import placement

    place = located(path_or_id)
    config = cast("Any", AutoConfig).from_pretrained(place, local_files_only=True, trust_remote_code=False)
    takes_pictures = getattr(config, "vision_config", None) is not None
    kind = AutoModelForImageTextToText if takes_pictures else AutoModelForCausalLM
    model = cast("Any", load_module(place, placement("cpu", "auto"), kind=kind))
    layer = model.get_output_embeddings()
    if layer is None:
        raise CheckpointError(f"{path_or_id}: {type(model).__name__} has no language-model head to write with")
    return cast("Tensor", layer.weight.detach().clone())


def critique_reward(
    backbone: Backbone | str | Path, words: Tensor | None = None, *, seed: int = 0, **options: Any
) -> LearnedReward:
    """The untrained reward on a backbone, or on a checkpoint with its own output layer; ``words`` is another one's
    ``[vocabulary, hidden]``. Options are those of `LearnedReward`. Train it on `with_critiques` records.

    Raises:
        ValueError: a backbone in memory without ``words``.
    """
    if not isinstance(backbone, Backbone):
        words = language_head(backbone) if words is None else words
        backbone = load_backbone(backbone)
    if words is None:
        raise ValueError("a backbone has no output layer of its own: give words=language_head(checkpoint)")
    softcap = float(getattr(backbone.config.get_text_config(), "final_logit_softcapping", None) or 0.0)
    head = CritiqueHead.of_words(words, softcap=softcap, seed=seed)
    card = {"critique": {"longest": LONGEST}, **options.pop("card", {})}
    return LearnedReward(backbone, head, read=from_first_step, card=card, **options)


@final
class CritiqueReward:
    """Critique, then score. ``reward`` has a `CritiqueHead`; a critique has at most ``longest`` tokens.

    The critique is greedy, so that scores repeat; it ends at the token that the template puts after an answer, at the
    end of sequence, or at ``longest``. ``Scores.critiques`` hold what was written, and the score is that of this text,
    tokenised as any other. A response that is too long with its critique abstains as ``TOO_LONG``. Writing costs a
    forward a token, over all responses at once, the prompt of a record once.
    """

    def __init__(self, reward: LearnedReward, *, longest: int = LONGEST) -> None:
        if not isinstance(reward.head, CritiqueHead) or not isinstance(reward.backbone, Backbone):
            raise ValueError(f"{reward!r} writes no critiques: critique_reward makes one that does")
        if longest < 1:
            raise ValueError(f"longest is {longest}; a critique has at least 1 token")
        self.reward, self.longest = reward, longest
        self.head, self.backbone = reward.head, reward.backbone
        self._scored = reward.replace(read=last)

    @property
    def spec(self) -> Spec:
        """That of the reward; what is written has no gradient."""
        return replace(self.reward.spec, differentiable=False)

    @torch.no_grad()
    def __call__(self, records: Sequence[Record], /) -> Scores:
        texts = self.write(records)
        rows = iter(texts)
        read = [
            replace(record, responses=tuple(with_critique(response, next(rows) or "") for response in record.responses))
            for record in records
        ]
        scores = self._scored(read)
        kept = (text if status is Status.OK else None for text, status in zip(texts, scores.status, strict=True))
        return scores.replace(critiques=tuple(kept))

    @torch.no_grad()
    def write(self, records: Sequence[Record]) -> list[str | None]:
        """The critique of every response, in order; None of one that cannot be read."""
        opened = [replace(r, responses=tuple(with_critique(each, "") for each in r.responses)) for r in records]
        prepared = self.reward.prepare(opened)
        sequences = [sequence for group in prepared.batch.groups for sequence in group]
        said: list[list[int]] = [[] for _ in sequences]
        starts = [_until(sequence, int(sequence.reads[0]) + 1) for sequence in sequences]
        stops = [
            {int(sequence.ids[start.ids.numel()])} if sequence.ids.numel() > start.ids.numel() else set[int]()
            for sequence, start in zip(sequences, starts, strict=True)
        ]
        was_training = self.reward.model.training
        self.reward.model.eval()
        try:
            self._extend(starts, stops, said, prepared.batch)
        finally:
            self.reward.model.train(was_training)
        texts: list[str | None] = [None] * len(prepared.status)
        for row, tokens in zip(prepared.rows, said, strict=True):
            decoded = cast("str", self.backbone.tokenizer.decode(tokens, skip_special_tokens=True))
            texts[row] = decoded.strip()
        return texts

    def _extend(
        self, starts: Sequence[TokenSequence], stops: Sequence[set[int]], said: list[list[int]], batch: Batch
    ) -> None:
        """One greedy token after another for every sequence that has not ended."""
        eos = self.backbone.tokenizer.eos_token_id
        never = self._never({eos}.union(*stops))
        record = [number for number, group in enumerate(batch.groups) for _ in group]
        going = [place for place, start in enumerate(starts) if start.ids.numel() < self.reward.max_length]
        for _ in range(self.longest):
            if not going:
                return
            longer = [_with(starts[place], said[place]) for place in going]
            states = self.reward.model.states(
                Batch(_grouped(longer, [record[place] for place in going]), batch.pixels),
                layout=self.reward.layout,
                token_budget=self.reward.token_budget,
            )
            chosen = self.head.logits(torch.cat(states)).index_fill(-1, never, -torch.inf).argmax(-1).tolist()
            still: list[int] = []
            for place, token, sequence in zip(going, chosen, longer, strict=True):
                if token == eos or token in stops[place]:
                    continue
                said[place].append(token)
                if sequence.ids.numel() + 1 < self.reward.max_length:
                    still.append(place)
            going = still

    def _never(self, ends: set[int | None]) -> Tensor:
        """The control tokens that end nothing: a critique is text, and the mark of a picture stands for a picture."""
        vocabulary = self.head.words.out_features
        control = control_ids(self.backbone.tokenizer, self.backbone.layout).values()
        banned = sorted({token for token in control if token < vocabulary} - ends)
        return torch.tensor(banned, dtype=torch.long, device=self.backbone.placement.device)

    def fingerprint(self) -> str:
        """sha256 over the reward's fingerprint and the length of critiques."""
        return hashlib.sha256(f"critique {self.longest} {self.reward.fingerprint()}".encode()).hexdigest()

    def save(self, directory: str | Path) -> Path:
        """Write it as `LearnedReward.save` does."""
        card = {**self.reward.card, "critique": {"longest": self.longest}}
        return self.reward.replace(card=card).save(directory)

    @staticmethod
    def load(directory: str | Path, **options: Any) -> CritiqueReward:
        """A saved reward, also one that training left (critiques of at most `LONGEST` tokens); options as there.

        Raises:
            CheckpointError: the directory is no saved reward, or its head writes no critiques.
        """
        reward = LearnedReward.load(directory, **options)
        if not isinstance(reward.head, CritiqueHead):
            raise CheckpointError(f"{directory}: its head is a {type(reward.head).__name__}, which writes no critiques")
        return as_critic(reward)

    def __repr__(self) -> str:
        return f"CritiqueReward({self.reward!r}, longest={self.longest})"


def as_critic(reward: LearnedReward) -> CritiqueReward:
    """The reward whose head writes critiques as one that does so before it scores."""
    settings = cast("dict[str, Any]", reward.card.get("critique", {}))
    return CritiqueReward(reward, longest=int(settings.get("longest", LONGEST)))


def _grouped(sequences: Sequence[TokenSequence], record: Sequence[int]) -> list[list[TokenSequence]]:
    """Neighbours of one record together, so that they share its prompt."""
    groups: dict[int, list[TokenSequence]] = {}
    for sequence, number in zip(sequences, record, strict=True):
        groups.setdefault(number, []).append(sequence)
    return list(groups.values())


def _until(sequence: TokenSequence, end: int) -> TokenSequence:
    types = None if sequence.types is None else sequence.types[:end]
    return replace(sequence, ids=sequence.ids[:end], types=types, reads=torch.tensor([end - 1]), ends=None)


def _with(start: TokenSequence, tokens: Sequence[int]) -> TokenSequence:
    if not tokens:
        return start
    ids = torch.cat([start.ids, torch.tensor(tokens, dtype=start.ids.dtype)])
    types = None
    if start.types is not None:
        types = torch.cat([start.types, start.types[-1:].expand(len(tokens))])
    return replace(start, ids=ids, types=types, reads=torch.tensor([ids.numel() - 1]))
