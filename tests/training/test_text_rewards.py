"""The benchmark of text rewards: its splits, its folds, its nulls, and small runs of the paths that it measures."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from assay.models.hf import Backbone
from assay.models.scratch import Size, text_backbone, word_tokenizer
from assay.records import Preference, Record, read
from assay.training.budgets import Steps
from assay.training.states import StateStore

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ASSAY_DATA") or ROOT.parent / "shared" / "data")
WORDS = ("red", "blue", "green", "grey", "warm", "cold", "kind", "rude")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("text_rewards", ROOT / "benchmarks" / "text_rewards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def needed(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"no {DATA / name}; set ASSAY_DATA to the folder of public data")
    return DATA / name


def tiny() -> Backbone:
    return text_backbone(word_tokenizer(WORDS), Size(hidden=16, layers=2, heads=2), seed=0)


def planted(count: int, better: str, worse: str, extra: int = 0) -> list[Record]:
    """Pairs that end in two words; the worse one is ``extra`` words longer."""
    chance = random.Random(0)
    records: list[Record] = []
    for number in range(count):
        prompt = " ".join(chance.choices(WORDS[:4], k=6))
        said = " ".join(chance.choices(WORDS[4:6], k=2))
        answers = [f"{said} {better}", " ".join([said, *["warm"] * extra, worse])]
        records.append(Record.of(prompt, answers, id=str(number), feedback=[Preference(0, 1)]))
    return records


def test_a_statement_that_two_personas_share_is_on_one_side(bench: ModuleType) -> None:
    statements = {name: [(f"{name} {n}", n % 2 == 0) for n in range(50)] for name in ("a", "b")}
    statements = {name: [*rows, *((f"both {n}", name == "a") for n in range(50))] for name, rows in statements.items()}
    learned, held_out = bench.split(statements, seed=0)

    def texts(side: dict[str, list[tuple[str, bool]]]) -> set[str]:
        return {text for rows in side.values() for text, _ in rows}

    assert not texts(learned) & texts(held_out)
    assert len(texts(held_out)) == 45
    assert sum(map(len, learned.values())) + sum(map(len, held_out.values())) == 200


def test_pairs_and_rankings_put_matching_statements_first(bench: ModuleType) -> None:
    statements = {"a": [("yes 1", True), ("no 1", False), ("yes 2", True)], "b": [("no 2", False), ("yes 3", True)]}
    records = bench.paired(statements, rounds=2, seed=0)
    assert len(records) == 6
    assert len({record.id for record in records}) == 6
    for record in records:
        better, worse = (response.text for response in record.responses)
        said = dict(statements[record.prompt[0].text])
        assert said[better]
        assert not said[worse]
    assert [record.feedback[0].ranks for record in bench.ranked(statements)] == [(0, 1, 0), (1, 0)]


def test_a_persona_reward_learns_real_statements(bench: ModuleType, tmp_path: Path) -> None:
    source = needed("text-persona-evals/persona")
    for name in ("interest-in-math", "extraversion"):
        (tmp_path / f"{name}.jsonl.gz").symlink_to(source / f"{name}.jsonl.gz")
    result = bench.persona(tmp_path, steps=60, rounds=3)
    assert set(result.personas) == {"interest-in-math", "extraversion"}
    assert result.statements == 600
    assert result.accuracy.value > 0.85
    assert result.accuracy.value == pytest.approx(np.mean(list(result.personas.values())))


def test_records_with_one_prompt_share_their_fold(bench: ModuleType) -> None:
    records = [Record.of(f"prompt {n % 20}", ["a", "b"], id=str(n), feedback=[Preference(0, 1)]) for n in range(60)]
    folds = bench.folds_of(records, seed=0)
    assert all(len(set(folds[n::20])) == 1 for n in range(20))
    assert np.bincount(folds).tolist() == [12] * 5


def test_a_head_on_stored_states_beats_a_null_that_knows_nothing(bench: ModuleType, tmp_path: Path) -> None:
    records = planted(200, "kind", "rude")
    store = StateStore(tmp_path)
    backbone = tiny()
    before = [weight.clone() for weight in backbone.module.parameters()]
    quick = replace(bench.head_settings(0), budget=Steps(60), learning_rate=0.05, weight_decay=0.1)
    result = bench.harmless(records, backbone, store, quick)
    assert result.accuracy.value > 0.95
    assert result.null.value == 0.5
    assert result.good
    assert sum(row["pairs"] for row in result.folds) == 200
    assert result.abstained == 0
    assert all(torch.equal(a, b) for a, b in zip(before, backbone.module.parameters(), strict=True))

    distinct = {(r.prompt[0].text, response.text) for r in records for response in r.responses}
    assert store.computed == len(distinct)
    again = StateStore(tmp_path)
    assert bench.harmless(records, tiny(), again, quick).accuracy == result.accuracy
    assert again.computed == 0


def test_the_length_null_is_oriented_and_hard_to_beat(bench: ModuleType) -> None:
    result = bench.harmless(planted(60, "kind", "kind", extra=2), tiny(), StateStore())
    assert result.null.value == 1.0
    assert not result.good


def test_scores_by_states_are_the_scores_of_the_reward(bench: ModuleType) -> None:
    records: Sequence[Record] = planted(20, "kind", "rude", extra=1)
    reward = bench.judge(tiny(), seed=3)
    found = bench.values_by_states(reward, records, StateStore())
    np.testing.assert_allclose(found, reward(records).values.double().numpy(), atol=1e-5)


def test_what_is_missing_is_said(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for only, name in (("persona", bench.PERSONA), ("harmless", bench.HARMLESS)):
        monkeypatch.setattr(sys, "argv", ["text_rewards.py", "--only", only, "--data", str(tmp_path)])
        assert bench.main() == 2
        assert f"missing: {tmp_path / name}" in capsys.readouterr().err


@pytest.mark.claims
def test_a_persona_reward_ranks_95_percent_of_held_out_pairs_right(bench: ModuleType) -> None:
    assert bench.persona(needed(bench.PERSONA)).accuracy.low >= bench.PERSONA_GOAL


@pytest.mark.claims
def test_a_frozen_backbone_beats_the_oriented_length_on_real_pairs(bench: ModuleType, tmp_path: Path) -> None:
    records = list(read(needed(bench.HARMLESS)))
    try:
        place = bench.checkpoint(tmp_path, bench.LAYERS)
    except bench.MissingError as error:
        pytest.skip(str(error))
    backbone = bench.load_backbone(place, dtype=bench.ARITHMETIC)
    assert bench.harmless(records, backbone, StateStore()).difference.low > 0
