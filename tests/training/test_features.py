from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from assay.records import Preference, Record
from assay.rewards.base import Reward, combine, score, scores_of, spec_of
from assay.rewards.fingerprint import fingerprint
from assay.scores import Scores, Status
from assay.training.features import fit_network
from assay.transforms.network import network


def reading(place: int) -> Reward:
    """The number at a place of the response's text; one that is no number is abstained on."""

    def reward(records: Sequence[Record], /) -> Scores:
        cells = [response.text.split()[place] for record in records for response in record.responses]
        status = [Status.UNPARSABLE if cell == "?" else Status.OK for cell in cells]
        return scores_of(records, [float("nan") if cell == "?" else float(cell) for cell in cells], status)

    return reward


def pairs(count: int, seed: int) -> list[Record]:
    """The difference of the first two numbers decides; the third is noise."""
    drawn = torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(seed))
    better = [int(row[1, 0] - row[1, 1] > row[0, 0] - row[0, 1]) for row in drawn]
    texts = [[" ".join(f"{cell:.4f}" for cell in side) for side in row.tolist()] for row in drawn]
    return [
        Record.of("", text, id=str(i), feedback=[Preference(won, 1 - won)])
        for i, (text, won) in enumerate(zip(texts, better, strict=True))
    ]


FEATURES = [reading(0), reading(1), reading(2)]


def right(reward: Reward, records: Sequence[Record]) -> float:
    values = score(reward, records).values.unflatten(0, (-1, 2))
    won = [record.feedback[0].better for record in records if isinstance(record.feedback[0], Preference)]
    return float((values.argmax(1) == torch.tensor(won)).float().mean())


def test_a_network_over_features_learns_from_a_hundred_pairs_and_is_a_reward() -> None:
    records = pairs(100, 0)
    learned = combine(*FEATURES, by=fit_network([score(each, records) for each in FEATURES], records))
    assert right(learned, pairs(400, 1)) > 0.9
    assert spec_of(learned).unit == "score"
    assert "network(" in repr(learned)
    again = combine(*FEATURES, by=fit_network([score(each, records) for each in FEATURES], records))
    other = combine(*FEATURES, by=fit_network([score(each, records) for each in FEATURES], records, seed=1))
    assert fingerprint(learned) == fingerprint(again) != fingerprint(other)


def test_a_pair_without_a_feature_is_left_out_and_its_response_abstains() -> None:
    records = pairs(60, 2)
    broken = [*records, Record.of("", ["? 0 0", "1 0 0"], id="broken", feedback=[Preference(0, 1)])]
    whole = fit_network([score(each, records) for each in FEATURES], records)
    learned = combine(*FEATURES, by=whole)
    kept = combine(*FEATURES, by=fit_network([score(each, broken) for each in FEATURES], broken))
    scores = score(kept, broken)
    assert scores.status[-2:] == (Status.UNPARSABLE, Status.OK)
    assert torch.isfinite(scores.values[:-2]).all()
    assert right(kept, records) == pytest.approx(right(learned, records), abs=0.05)


def test_what_cannot_be_fitted_is_refused() -> None:
    records = pairs(5, 3)
    with pytest.raises(ValueError, match="at least one reward"):
        fit_network([], records)
    flat = score(FEATURES[0], records).with_values(torch.ones(10))
    with pytest.raises(ValueError, match="never varies"):
        fit_network([flat], records)
    silent = [Record.of("", ["? 0 0", "? 0 0"], id="a", feedback=[Preference(0, 1)])]
    with pytest.raises(ValueError, match="none of the 1 pairs"):
        fit_network([score(FEATURES[0], silent)], silent)
    with pytest.raises(ValueError, match="of 2 features; got 1"):
        network(nn.Linear(2, 1), torch.zeros(2), torch.ones(2))([score(FEATURES[0], records)])
