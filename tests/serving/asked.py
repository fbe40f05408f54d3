"""A reward that shows what it was given, and a client of a server of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from fastapi.testclient import TestClient

from assay.media import Image
from assay.records import Record
from assay.rewards.base import score, scores_of
from assay.scores import Scores, Status
from assay.serving.app import create_app
from assay.serving.policy import MediaPolicy
from assay.serving.service import Entry, Service
from assay.spec import Spec


@dataclass(frozen=True)
class Told:
    """Counts characters and pictures: 100 each of the prompt's turns, 10 a picture, 1 a character, plus ``more``.

    ``abstain`` in a response makes it abstain. Steps are the lengths of the response's lines.
    """

    more: float = 0.0
    better: str = "higher"
    needs: tuple[str, ...] = ("label",)

    @property
    def spec(self) -> Spec:
        return Spec(modalities=frozenset({"text", "image", "video"}), better=self.better, needs=self.needs)  # type: ignore[arg-type]

    def __call__(self, records: Sequence[Record], /) -> Scores:
        values, status, attributes, steps = [], [], [], []
        for record in records:
            prompt = 100 * len(record.prompt) + sum(len(message.text) for message in record.prompt)
            for response in record.responses:
                parts = [part for message in (*record.prompt, *response.messages) for part in message.parts]
                pictures = sum(isinstance(part, Image) for part in parts)
                quiet = "abstain" in response.text
                values.append(torch.nan if quiet else prompt + 10.0 * pictures + len(response.text) + self.more)
                status.append(Status.REFUSED if quiet else Status.OK)
                attributes.append(float(str(record.context.get("label", "")) in response.text))
                steps.append(torch.tensor([float(len(line)) for line in response.text.split("\n")]))
        messages = ["it would rather not" if each is Status.REFUSED else "" for each in status]
        return scores_of(
            records,
            values,
            status,
            messages,
            attributes={"holds_label": torch.tensor(attributes)},
            steps=tuple(steps),
        )


def offline(records: Sequence[Record], reward: Told | None = None) -> list[float]:
    return score(reward or Told(), records).values.tolist()


@contextlib.contextmanager
def client(*entries: Entry, headers: dict[str, str] | None = None, **options) -> Generator[TestClient]:
    """A client of a server of these rewards, by default one `Told`, ready."""
    service = Service(list(entries) or [Entry("told", Told)])
    options.setdefault("policy", MediaPolicy())
    with TestClient(create_app(service, **options), headers=headers, raise_server_exceptions=False) as asked:
        ends = time.monotonic() + 30
        while asked.get("/ready").status_code != 200:
            assert time.monotonic() < ends
            time.sleep(0.01)
        yield asked


def told(name: str, **changes) -> Entry:
    return Entry(name, partial(Told, **changes))
