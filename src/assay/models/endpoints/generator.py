"""A model behind an endpoint as a generator: responses that go on from what was said, whole or up to a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, final

from assay.models.asking import Answer
from assay.models.base import Continuation
from assay.models.endpoints.endpoint import Ask, Endpoint, seed_of
from assay.models.endpoints.replay import key_of
from assay.records import Record, Response
from assay.records.steps import Split, begun, cut_at, gone_on
from assay.scores import Status

PREFILL: Mapping[str, Any] = MappingProxyType({"continue_final_message": True, "add_generation_prompt": False})
"""How vLLM and SGLang are told to go on with the last message; llama.cpp's server does so without being told."""


class GenerationError(RuntimeError):
    """An endpoint gave no response; the message says why."""


@final
@dataclass(frozen=True, eq=False)
class EndpointGenerator:
    """A `Generator` and `StepGenerator` that asks an endpoint, each response a call with a seed of its own.

    A prefix is sent as the assistant's last message, with the parameters ``continues``, by which the endpoint goes on
    with it instead of answering anew. Not every endpoint can: OpenAI's own refuses them (`Status.INVALID`, with what it
    says); without step searches no prefix is sent. Steps are read from the stream of the answer: once the next one has
    begun the connection is closed, which ends the work there.
    """

    endpoint: Endpoint
    continues: Mapping[str, Any] = field(default_factory=lambda: dict(PREFILL))

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.endpoint.name

    @property
    def fingerprint(self) -> str:
        """sha256 of what a response depends on beside the prompt."""
        return key_of({"endpoint": self.endpoint.fingerprint, "continues": dict(self.continues)})

    def generate(self, prefixes: Sequence[Record], n: int, seed: int = 0, /) -> list[list[Response]]:
        """See `assay.models.base.Generator`.

        Raises:
            GenerationError: a response could not be had.
            ValueError: ``n`` is below 1, or a prefix has several responses.
        """
        found: list[list[Response]] = []
        for record, row in zip(prefixes, self.generate_steps(prefixes, n, seed), strict=True):
            made = [each.response for each in row if each.response is not None]
            if len(made) < n:
                lost = next(each for each in row if each.response is None)
                raise GenerationError(f"{self.name}, record {record.id}: {lost.status}: {lost.message}")
            found.append(made)
        return found

    def generate_steps(
        self, prefixes: Sequence[Record], n: int, seed: int = 0, /, *, split: Split | None = None, step: int = 0
    ) -> list[list[Continuation]]:
        """See `assay.models.base.StepGenerator`; as exact as the endpoint keeps its seeds.

        Raises:
            ValueError: ``n`` is below 1, or a prefix has several responses.
        """
        if n < 1:
            raise ValueError(f"need at least 1 response, got {n}")
        said = [begun(record) for record in prefixes]
        asks = [
            self._ask(record, prefix, seed_of(seed, copy), _beyond(prefix, split, step))
            for record, prefix in zip(prefixes, said, strict=True)
            for copy in range(n)
        ]
        answers = iter(self.endpoint.ask(asks))
        return [[_continuation(prefix, next(answers), split, step) for _ in range(n)] for prefix in said]

    def _ask(self, record: Record, said: Response, seed: int, enough: Callable[[str], bool] | None) -> Ask:
        if said.text:
            return Ask((*record.prompt, *said.messages), {"seed": seed, **self.continues}, enough)
        return Ask((*record.prompt, *said.messages[:-1]), {"seed": seed}, enough)


def _beyond(said: Response, split: Split | None, step: int) -> Callable[[str], bool] | None:
    """Whether a further step has begun behind step ``step`` with a text behind what was said."""
    return None if split is None else partial(_has_begun, said, split, step)


def _has_begun(said: Response, split: Split, step: int, text: str) -> bool:
    return len(split(gone_on(said, text))) > step + 1


def _continuation(said: Response, answer: Answer, split: Split | None, step: int) -> Continuation:
    ended = answer.status is Status.EMPTY and said.text and not answer.cut
    if answer.status is not Status.OK and not ended:
        return Continuation(None, status=answer.status, message=answer.message, cost=answer.cost)
    whole = gone_on(said, answer.text)
    if split is None:
        return Continuation(whole, cost=answer.cost)
    return Continuation(*cut_at(whole, split, step), cost=answer.cost)
