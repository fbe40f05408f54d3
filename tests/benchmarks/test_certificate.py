from __future__ import annotations

import json
import math
from pathlib import Path

import planted
import pytest
import torch

from assay.benchmarks.specimens import specimens
from assay.benchmarks.variations import Variation, in_batches, variations_of
from assay.benchmarks.verify import Certificate, verify
from assay.models.layout import padded
from assay.records import Record
from assay.rewards.base import Spec, fingerprint, scores_of
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.testing import learned_reward, tiny_llava


def failed(found: Certificate) -> set[str]:
    return {item.name for item in found.findings if item.gated and not item.passed}


def length(records):
    return scores_of(records, [float(len(r.text)) for record in records for r in record.responses])


@pytest.fixture(scope="module")
def text_certificate() -> Certificate:
    return verify(learned_reward())


def test_a_learned_text_reward_passes_in_every_layout_and_after_reload(text_certificate: Certificate):
    assert text_certificate.passed, failed(text_certificate)
    names = {item.name for item in text_certificate.findings}
    assert {"prompt shared, all in one row", "padded, wide batches", "saved and loaded", "each response alone"} <= names
    assert text_certificate.worst is not None
    assert 0 < text_certificate.worst.difference <= 1e-5
    assert text_certificate.judged == text_certificate.responses == 45


def test_the_other_number_format_is_reported_and_decides_nothing(text_certificate: Certificate):
    other = next(item for item in text_certificate.findings if item.name == "in bfloat16")
    assert not other.gated
    assert other.difference > 1e-4
    assert other.flipped is not None


def test_a_picture_reward_passes():
    found = verify(learned_reward(tiny_llava()))
    assert found.passed, failed(found)


def test_the_same_model_scored_alone_or_padded_passes():
    assert verify(planted.Alone()).passed
    assert verify(planted.Padded()).passed


def test_candidates_that_see_each_other_fail():
    found = verify(planted.SeeEachOther())
    assert {"responses shuffled", "each response alone", "responses halved", "beside strangers"} == failed(found)


@pytest.mark.parametrize("fault", [planted.FirstPad, planted.FirstPadLeft, planted.CountedPads])
def test_the_last_token_sought_by_pad_equal_to_eos_fails(fault):
    assert failed(verify(fault()))


def test_the_first_pad_inside_the_prompt_ties_all_candidates():
    assert failed(verify(planted.FirstPad())) == {"tells responses apart"}


def test_batch_dependent_quantisation_fails():
    found = verify(planted.DynamicInt8())
    assert {"each record alone", "batches of 2", "each response alone"} <= failed(found)


def test_padding_that_is_not_masked_fails():
    class Unmasked(planted.Padded):
        def hidden(self, **inputs):
            return super().hidden(input_ids=inputs["input_ids"])

        left = True

    assert "each record alone" in failed(verify(Unmasked()))


def test_a_reward_normalised_over_its_batch_fails():
    def centred(records):
        scores = length(records)
        return scores.replace(values=scores.values - scores.values.mean())

    assert "each record alone" in failed(verify(centred))
    assert "beside a long record" in failed(verify(centred))


class Declared:
    def __init__(self, call, **spec):
        self.call = call
        self.spec = Spec(**spec)

    def __call__(self, records):
        return self.call(records)


def within(records):
    values = [float(len(r.text)) for record in records for r in record.responses]
    means = [sum(len(r.text) for r in record.responses) / len(record.responses) for record in records]
    owners = [i for i, record in enumerate(records) for _ in record.responses]
    return scores_of(records, [value - means[owner] for value, owner in zip(values, owners, strict=True)])


def test_a_score_within_its_group_is_not_asked_to_stand_alone_when_it_says_so():
    assert verify(Declared(within, scale="within_group")).passed
    assert {"each response alone", "responses halved"} <= failed(verify(Declared(within)))


def first(records):
    return scores_of(records, [-float(i) for record in records for i in range(len(record.responses))])


def test_order_is_demanded_unless_disclaimed():
    assert "responses shuffled" in failed(verify(Declared(first, scale="within_group")))
    assert verify(Declared(first, scale="within_group", order_invariant=False)).passed


def test_a_random_reward_fails_unless_it_says_that_it_is_random():
    generator = torch.Generator().manual_seed(0)

    def noisy(records):
        rows = sum(len(record.responses) for record in records)
        return scores_of(records, torch.rand(rows, generator=generator))

    assert "again" in failed(verify(noisy))
    honest = verify(Declared(noisy, deterministic=False))
    assert honest.passed
    assert next(item for item in honest.findings if item.name == "again").note == "declared not to be deterministic"


def test_a_range_that_is_left_fails():
    assert failed(verify(Declared(length, low=0.0, high=20.0))) == {"within its declared range"}
    assert verify(Declared(length, low=0.0)).passed


def test_reading_an_undeclared_column_fails():
    def peeks(records):
        return scores_of(
            records,
            [
                len(r.text) + (5.0 if record.feedback or "hidden" in record.context else 0.0)
                for record in records
                for r in record.responses
            ],
        )

    assert failed(verify(peeks)) == {"hidden columns in sight"}


def test_declared_columns_are_there_and_stay_there():
    def against(records):
        return scores_of(records, [len(r.text) - len(q.context["answer"]) for q in records for r in q.responses])

    assert verify(Declared(against, needs=("answer",))).passed


def test_an_abstention_must_be_the_same_everywhere():
    def gives_up(records):
        scores = length(records)
        return scores if len(records) < 5 else scores.abstain(scores.values > 60, Status.TOO_LONG, "long")

    found = verify(gives_up)
    alone = next(item for item in found.findings if item.name == "each record alone")
    assert not alone.passed
    assert alone.changed_status > 0
    assert "too_long" in alone.note

    def always(records):
        scores = length(records)
        return scores.abstain(scores.values > 60, Status.TOO_LONG, "long")

    assert verify(always).passed


def test_a_reward_that_breaks_in_small_batches_fails_and_the_cause_is_told():
    def fragile(records):
        if len(records) == 1:
            raise RuntimeError("batch norm needs more than one")
        return length(records)

    alone = next(item for item in verify(fragile).findings if item.name == "each record alone")
    assert not alone.passed
    assert "now failed" in alone.note


def test_nothing_judged_is_an_error_that_names_the_statuses():
    def mute(records):
        scores = length(records)
        return scores.abstain(torch.ones(len(scores), dtype=torch.bool), Status.UNAVAILABLE)

    with pytest.raises(ValueError, match="judged none of 45 responses \\(unavailable\\)"):
        verify(mute)


def test_differences_are_in_standard_deviations_and_the_tolerance_is_an_argument():
    def shifts(records):
        scores = length(records)
        return scores.replace(values=scores.values * 1000 + (0.5 if len(records) == 1 else 0.0))

    records = [Record.of("q", ["a", "bbb"], id=str(i)) for i in range(3)]
    one = Variation("alone", in_batches(1))
    found = verify(shifts, records, variations=[one])
    assert found.spread == pytest.approx(1000.0)
    assert found.findings[0].difference == pytest.approx(0.5 / 1000.0)
    assert not found.passed
    assert verify(shifts, records, variations=[one], tolerance=1e-3).passed


def test_a_reward_may_bring_its_own_variations():
    class Switched:
        def __init__(self, bias: float = 0.0):
            self.bias = bias

        def variations(self):
            return {"fast path": lambda: Switched(0.25)}

        def __call__(self, records):
            scores = length(records)
            return scores.replace(values=scores.values + self.bias)

    assert failed(verify(Switched())) == {"fast path"}


def test_a_damaged_reload_fails(monkeypatch: pytest.MonkeyPatch):
    reward = learned_reward()
    load = LearnedReward.load

    def damaged(*arguments, **options):
        loaded = load(*arguments, **options)
        with torch.no_grad():
            next(loaded.head.parameters()).mul_(1.01)
        return loaded

    monkeypatch.setattr(LearnedReward, "load", staticmethod(damaged))
    assert failed(verify(reward)) == {"saved and loaded"}


def test_a_reward_in_low_precision_is_held_to_what_it_can_hold():
    from dataclasses import replace

    backbone = learned_reward().backbone
    where = replace(backbone.placement, dtype=torch.bfloat16)
    low = LearnedReward.fresh(replace(backbone, module=backbone.module.to(torch.bfloat16), placement=where))
    found = verify(low, reload=False)
    assert found.tolerance == 0.1
    assert found.passed, failed(found)
    assert any(item.name == "in float32" and not item.gated for item in found.findings)


def test_the_length_policy_and_layout_of_a_reward_are_kept():
    reward = learned_reward(max_length=40, layout=padded)
    found = verify(reward, reload=False)
    assert found.passed, failed(found)
    assert 0 < found.judged < found.responses


def test_the_certificate_is_plain_json(text_certificate: Certificate, tmp_path: Path):
    file = text_certificate.save(tmp_path / "new" / "certificate.json")
    stored = json.loads(file.read_text())
    assert stored["passed"] is True
    assert stored["fingerprint"] == text_certificate.fingerprint == fingerprint(learned_reward())
    assert len(stored["findings"]) == len(text_certificate.findings)
    assert all(math.isfinite(item["difference"] or 0.0) for item in stored["findings"])


def test_specimens_cover_turns_sizes_and_pictures():
    plain, shown = specimens(Spec()), specimens(Spec(modalities=frozenset({"text", "image"}), needs=("answer",)))
    assert len({record.id for record in plain}) == 12
    assert {len(record.prompt) for record in plain} == {1, 2, 3}
    assert sum(any(type(part).__name__ == "Image" for part in record.parts()) for record in shown) == 8
    assert all(record.context["answer"] for record in shown)
    assert next(item.name for item in variations_of(length, plain)) == "again"
