"""Attributes and spread on a reward card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from assay.benchmarks.attribute_scores import attributes_panel
from assay.benchmarks.audit import audit
from assay.records import Preference, Rating, Record
from assay.rewards.base import scores_of
from assay.rewards.rules import length
from assay.scores import Scores

RECORDS = [
    Record.of(
        f"question {n}",
        ["short", "a longer answer", "an answer that is much longer " * (n + 1)],
        id=str(n),
        feedback=[Preference(1, 0), *(Rating(i, float(i), criterion="length") for i in range(3))],
    )
    for n in range(6)
]


def measured(records: Sequence[Record], /) -> Scores:
    texts = [response.text for record in records for response in record.responses]
    longest = torch.tensor([float(len(text)) for text in texts])
    return scores_of(
        records, longest, attributes={"length": longest, "brevity": -longest}, std=torch.full((len(texts),), 0.5)
    )


def test_an_attribute_is_shown_with_what_was_said_of_it() -> None:
    panel = attributes_panel(measured(RECORDS), RECORDS)
    assert panel is not None
    facts = dict(panel.facts)
    assert "right on 100.0 % of 18 pairs about it" in facts["length"]
    assert "rank correlation with the score -1.00" in facts["brevity"]
    assert "pairs" not in facts["brevity"]
    assert facts["standard deviation of a score"] == "mean 0.5, sd 0"


def test_a_reward_of_values_alone_has_no_panel() -> None:
    assert attributes_panel(length(per_words=1)(RECORDS), RECORDS) is None


def test_the_card_and_its_page_show_the_attributes(tmp_path: Path) -> None:
    card = audit(measured, RECORDS)
    assert [panel.title for panel in card.panels] == ["Attributes"]
    page = card.save(tmp_path / "card.html")
    assert "right on 100.0 % of 18 pairs about it" in page.read_text()
    assert json.loads(page.with_suffix(".json").read_text())["panels"][0]["title"] == "Attributes"


def test_abstentions_are_left_out() -> None:
    records = RECORDS[:1]
    scores = scores_of(
        records, torch.tensor([1.0, 2.0, 3.0]), attributes={"length": torch.tensor([1.0, torch.nan, 3.0])}
    )
    panel = attributes_panel(scores, records)
    assert panel is not None
    assert dict(panel.facts)["length"].startswith("mean 2, sd 1")
    assert "of 1 pairs" in dict(panel.facts)["length"]
    assert pytest.approx(1.0) == float(scores.attributes["length"][0])
