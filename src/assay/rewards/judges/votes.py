"""Verdicts that are written: k answers to each question, read under its code, and made one."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from assay.models.asking import Answer, Answerer
from assay.rewards.base import fingerprint, name_of
from assay.rewards.judges import parsing
from assay.rewards.judges.identity import identity, named
from assay.rewards.judges.together import Questions, SchemaAnswerer
from assay.rewards.judges.verdicts import Question, Verdict, modalities_of, total
from assay.scores import Status

Vote: TypeAlias = Callable[[Sequence[float]], float]
"""The values of the votes that could be read, at least one, to the value of all."""


def mean(votes: Sequence[float]) -> float:
    """Their mean."""
    return math.fsum(votes) / len(votes)


def majority(votes: Sequence[float]) -> float:
    """The value that most gave; the mean of several that as many gave."""
    counts = Counter(votes)
    most = max(counts.values())
    return mean([value for value, count in counts.items() if count == most])


def median(votes: Sequence[float]) -> float:
    """Their median."""
    return float(statistics.median(votes))


@final
@dataclass(frozen=True)
class _ByVotes:
    model: Answerer
    k: int
    vote: Vote
    quorum: float
    seed: int
    schema: bool = False

    @property
    def deterministic(self) -> bool:
        return bool(getattr(self.model, "deterministic", False))

    @property
    def modalities(self) -> frozenset[str]:
        return modalities_of(self.model)

    def __call__(self, questions: Sequence[Question], /) -> list[Verdict]:
        if not questions:
            return []
        answers = self.model.answer([each.with_ending(each.prompt.by_text) for each in questions], self.k, self.seed)
        return [
            self._verdict([parsing.verdict(answer, question.code, question.scale.read) for answer in given], given)
            for question, given in zip(questions, answers, strict=True)
        ]

    def together(self, asked: Sequence[Questions], /) -> list[list[Verdict]]:
        """See `together.Together`."""
        if not asked:
            return []
        if self.schema and isinstance(self.model, SchemaAnswerer):
            prompts, schemas = [each.as_json() for each in asked], [each.schema() for each in asked]
            given = self.model.answer_json(prompts, schemas, self.k, self.seed)
            votes = [[each.from_json(answer) for answer in row] for each, row in zip(asked, given, strict=True)]
        else:
            given = self.model.answer([each.on_lines() for each in asked], self.k, self.seed)
            votes = [[each.from_lines(answer) for answer in row] for each, row in zip(asked, given, strict=True)]
        return [
            [
                self._verdict([said[place] for said in row], bare(answers) if place else answers)
                for place in range(len(each.criteria))
            ]
            for each, row, answers in zip(asked, votes, given, strict=True)
        ]

    def _verdict(self, votes: Sequence[float | parsing.Unread], answers: Sequence[Answer]) -> Verdict:
        return counted(votes, answers, self.vote, self.quorum)

    def fingerprint(self) -> str:
        """sha256 of the model, the settings, and how verdicts are read and counted."""
        read = (parsing.verdict, parsing.label, parsing.number, counted)
        held = (Questions.from_json, Questions.schema) if self.schema else ()
        return fingerprint((identity(self.model), self.k, self.vote, self.quorum, self.seed, read, *held))

    def __repr__(self) -> str:
        rest = f"k={self.k}, vote={name_of(self.vote)}, quorum={self.quorum:g}, seed={self.seed}"
        return f"by_votes({named(self.model)}, {rest}{', schema=True' if self.schema else ''})"


def by_votes(
    model: Answerer, k: int = 1, *, vote: Vote = mean, quorum: float = 0.5, seed: int = 0, schema: bool = False
) -> _ByVotes:
    """The value that ``k`` written verdicts make together, by `mean`, `majority` or `median`.

    A vote that declines or cannot be read is an abstention and no vote; where fewer than ``quorum`` of the k can be
    read the row abstains, for the reason that most had. The score's ``std`` is that of the votes, ``votes_read`` how
    many counted, and the critique all that was written. With ``schema`` several criteria asked about at once
    (``rubric(..., together=True)``) are answered as a JSON object that the endpoint holds to its schema; without, on
    lines.

    Raises:
        ValueError: k is below 1, quorum lies outside 0..1, or ``schema`` with a model that cannot be held to one.
    """
    if k < 1 or not 0 <= quorum <= 1:
        raise ValueError(f"k is at least 1 and quorum in 0..1, got {k} and {quorum}")
    if schema and not isinstance(model, SchemaAnswerer):
        raise ValueError(f"{named(model)} cannot be held to a JSON schema: leave schema out, or take an Endpoint")
    return _ByVotes(model, k, vote, quorum, seed, schema)


def counted(
    votes: Sequence[float | parsing.Unread], answers: Sequence[Answer], vote: Vote = mean, quorum: float = 0.5
) -> Verdict:
    """One verdict of several votes."""
    read = [each for each in votes if not isinstance(each, parsing.Unread)]
    unread = [each for each in votes if isinstance(each, parsing.Unread)]
    cost = total([answer.cost for answer in answers])
    if not read or len(read) < quorum * len(votes):
        status = most_frequent([each.status for each in unread])
        why = next(each.message for each in unread if each.status is status)
        said = f"{len(read)} of {len(votes)} votes could be read; " if len(votes) > 1 else ""
        return Verdict.missing(status, said + why, cost)
    text = "\n\n".join(answer.text for answer in answers if answer.text)
    std = statistics.stdev(read) if len(read) > 1 else math.nan
    return Verdict(float(vote(read)), text=text, std=std, read=float(len(read)), cost=cost)


def bare(answers: Sequence[Answer]) -> list[Answer]:
    """Answers without text and cost, where those are told already."""
    return [Answer() for _ in answers]


def most_frequent(statuses: Sequence[Status]) -> Status:
    """The status that most have, the first of several."""
    return Counter(statuses).most_common(1)[0][0]
