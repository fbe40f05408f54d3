"""Several criteria in one call: a verdict for each, under a code of its own, on lines or in a JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast, final, runtime_checkable

from assay.media import Part, Text
from assay.models.asking import Answer, Prompt
from assay.records import Message
from assay.rewards.judges import parsing
from assay.rewards.judges.fencing import joined
from assay.rewards.judges.prompts import AT_ONCE, JudgePrompt
from assay.rewards.judges.verdicts import Scale, Verdict
from assay.scores import Status

Vote: TypeAlias = "float | parsing.Unread"
"""What one answer says of one criterion."""

_REASONS = "reasons"
_AS_JSON = "Answer with a JSON object of these keys and nothing else: {keys}. Put what it deserves in place of X."


@final
@dataclass(frozen=True, slots=True)
class Questions:
    """What is quoted, and the criteria it is judged by at once: the text and scale of each."""

    parts: tuple[Part, ...]
    code: str
    criteria: tuple[tuple[str, Scale], ...]
    prompt: JudgePrompt = AT_ONCE

    @property
    def codes(self) -> tuple[str, ...]:
        """The code under which each criterion's verdict counts."""
        return tuple([f"{self.code}-{number}" for number in range(1, len(self.criteria) + 1)])

    def on_lines(self) -> Prompt:
        """What the model is asked where it writes its verdicts on lines."""
        lines = "\n".join(f"Verdict {code}: X" for code in self.codes)
        return self._asked(self.prompt.by_text, lines)

    def as_json(self) -> Prompt:
        """What it is asked where it answers with a JSON object of `schema`."""
        keys = ", ".join([f'"{_REASONS}": a few sentences', *[f'"{code}": "X"' for code in self.codes]])
        return self._asked(_AS_JSON.replace("{keys}", keys), "")

    def schema(self) -> dict[str, Any]:
        """The JSON schema of an answer: reasons, then a label for each code."""
        labels = {
            code: {"type": "string", "enum": list(scale.labels)}
            for code, (_, scale) in zip(self.codes, self.criteria, strict=True)
        }
        properties = {_REASONS: {"type": "string"}, **labels}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def from_lines(self, answer: Answer) -> list[Vote]:
        """What an answer on lines says of each criterion."""
        return [
            parsing.verdict(answer, code, scale.read)
            for code, (_, scale) in zip(self.codes, self.criteria, strict=True)
        ]

    def from_json(self, answer: Answer) -> list[Vote]:
        """What a JSON object says of each criterion; a key that is missing or says nothing known is that criterion's
        own loss."""
        if answer.status is not Status.OK:
            return [parsing.Unread(answer.status, answer.message or f"no answer: {answer.status}")] * len(self.codes)
        try:
            found: object = json.loads(answer.text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            why = "it ended at the limit of tokens; allow more" if answer.cut else "it is no JSON object"
            return [parsing.unread(answer, why)] * len(self.codes)
        row = cast("dict[str, Any]", found)
        return [
            self._read(answer, row, code, scale) for code, (_, scale) in zip(self.codes, self.criteria, strict=True)
        ]

    def _read(self, answer: Answer, row: Mapping[str, Any], code: str, scale: Scale) -> Vote:
        if code not in row:
            return parsing.unread(answer, f"it has no key {code!r}")
        value = scale.read(str(row[code]).strip())
        return parsing.unread(answer, f"{row[code]!r} is none that was asked for") if value is None else value

    def _asked(self, ending: str, code: str) -> Prompt:
        listed = "\n".join(
            f"{own}. {text} From the worst to the best: {', '.join(scale.labels)}."
            for own, (text, scale) in zip(self.codes, self.criteria, strict=True)
        )
        asked = self.prompt.asked(ending, "what each criterion allows", code, listed, len(self.criteria))
        return (Message("user", joined((*self.parts, Text(asked)))),)


@runtime_checkable
class Together(Protocol):
    """A way to a verdict that can ask for several at once: `votes.by_votes`."""

    def together(self, asked: Sequence[Questions], /) -> list[list[Verdict]]:
        """The verdicts on each criterion of each; the first of each bears the cost and the text of the call."""
        ...


@runtime_checkable
class SchemaAnswerer(Protocol):
    """A model that is held to a JSON schema while it writes."""

    def answer_json(
        self, prompts: Sequence[Prompt], schemas: Sequence[Mapping[str, Any]], n: int = 1, seed: int = 0, /
    ) -> list[list[Answer]]:
        """``n`` answers to each prompt, each a JSON object of the prompt's schema."""
        ...
