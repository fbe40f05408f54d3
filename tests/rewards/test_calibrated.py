"""Calibrated rewards: each slice by its own fit, saved and loaded to the same scores."""

import json
import math
from pathlib import Path

import pytest
import torch

from assay import transforms
from assay.models.checkpoint import CheckpointError
from assay.records import Record
from assay.rewards.base import chain, fingerprint, score, scores_of, spec_of
from assay.rewards.calibrated import Calibrated, per_slice
from assay.rewards.learned import Reference
from assay.rewards.load import load
from assay.scores import Status
from assay.testing import learned_reward

RECORDS = [
    Record.of("p", ["one", "two words"], id="a", kind="easy"),
    Record.of("q", ["three whole words"], id="b", kind="hard"),
    Record.of("r", ["x"], id="c", kind="new"),
    Record.of("s", ["y y"], id="d", kind="easy"),
]


def length(records):
    values = [float(len(r.text.split())) if r.text != "x" else math.nan for record in records for r in record.responses]
    return scores_of(records, values, std=torch.ones(len(values)))


FITS = {"easy": transforms.temperature(2.0), "hard": transforms.temperature(0.5)}


def test_each_record_goes_through_the_fit_of_its_slice_in_place() -> None:
    reward = per_slice(length, "kind", FITS, otherwise=transforms.negate())
    found = score(reward, RECORDS)
    assert found.ids == ("a/0", "a/1", "b/0", "c/0", "d/0")
    assert found.group.tolist() == [0, 0, 1, 2, 3]
    assert found.values[found.ok].tolist() == [0.5, 1.0, 6.0, 1.0]
    assert found.std[found.ok].tolist() == [0.5, 0.5, 2.0, 0.5]
    assert found.status[3] is Status.NON_FINITE
    assert spec_of(reward).needs == ("kind",)
    assert len(score(reward, [])) == 0


def test_a_slice_without_a_fit_abstains_with_what_there_is() -> None:
    found = score(per_slice(length, "kind", {"easy": FITS["easy"]}), RECORDS)
    assert found.status == (Status.OK, Status.OK, Status.MISSING_CONTEXT, Status.NON_FINITE, Status.OK)
    assert "'hard'; there are easy" in found.messages[2]
    missing = score(per_slice(length, "kind", FITS), [Record.of("p", ["a"])])
    assert missing.status == (Status.MISSING_CONTEXT,)
    with pytest.raises(ValueError, match="at least one slice"):
        per_slice(length, "kind", {})


def test_the_declared_range_covers_every_slice() -> None:
    reward = per_slice(chain(length, transforms.clip(0, 1)), "kind", FITS)
    assert (spec_of(reward).low, spec_of(reward).high) == (0.0, 2.0)
    assert spec_of(per_slice(length, "kind", {"a": lambda scores: scores})).unit == "score"


def test_a_calibrated_reward_is_saved_and_loaded_to_the_bit(tmp_path: Path) -> None:
    learned = learned_reward()
    values = learned(RECORDS).values
    learned.reference = Reference.of(values)
    steps = (transforms.standardised(learned.reference), transforms.temperature(1 / 3))
    plain = Calibrated(learned, steps)
    place = plain.save(tmp_path / "plain")
    again = load(place, device="cpu")
    assert isinstance(again, Calibrated)
    assert again.reward.reference == learned.reference
    assert torch.equal(score(again, RECORDS).values, score(plain, RECORDS).values)
    assert torch.equal(score(plain, RECORDS).values, score(chain(learned, *steps), RECORDS).values)
    assert fingerprint(again) == fingerprint(plain)

    sliced = Calibrated(
        learned, column="kind", slices=FITS, otherwise=transforms.percentile(learned.reference.quantiles)
    )
    found = Calibrated.load(sliced.save(tmp_path / "sliced"), device="cpu")
    assert torch.equal(score(found, RECORDS).values, score(sliced, RECORDS).values)
    assert spec_of(found).needs == ("kind",)
    sliced.save(tmp_path / "sliced")


def test_what_is_damaged_hostile_or_not_ours_is_refused(tmp_path: Path) -> None:
    place = Calibrated(learned_reward(), (transforms.temperature(2.0),)).save(tmp_path / "rm")
    form = json.loads((place / "calibrated.json").read_text())
    for broken in ({**form, "format": 9}, {**form, "transforms": [{"transform": "eval"}]}, {"format": 1}, []):
        (place / "calibrated.json").write_text(json.dumps(broken))
        with pytest.raises(CheckpointError, match=r"calibrated\.json"):
            load(place, device="cpu")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="left alone"):
        Calibrated(learned_reward()).save(tmp_path / "other")
    with pytest.raises(ValueError, match="no written form"):
        Calibrated(learned_reward(), (lambda scores: scores,)).save(tmp_path / "own")
    assert not (tmp_path / "own").exists()
