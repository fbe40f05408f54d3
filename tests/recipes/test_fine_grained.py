from dataclasses import replace

import pytest
import torch

from assay.media import Image
from assay.recipes.fgaif import KINDS, fgaif
from assay.recipes.llava_rlhf import llava_rlhf, with_bonuses
from assay.recipes.mm_rlhf import mm_rlhf
from assay.recipes.themis import themis
from assay.recipes.unified_reward import unified_reward
from assay.recipes.video_reward import ATTRIBUTES, video_reward
from assay.recipes.vilprm import vilprm
from assay.records import Critique, Preference, Record, Response, StepLabels
from assay.rewards.augmented import augmented, marks
from assay.rewards.base import combine, score, scores_of
from assay.rewards.critique import CritiqueReward
from assay.rewards.load import load
from assay.rewards.toolbox import calculator
from assay.rewards.tools import ToolReward, arithmetic
from assay.scores import Status
from assay.testing import tiny_llava, tiny_text
from assay.training.budgets import Steps
from assay.training.result import TrainingError
from assay.transforms import weighted_sum

QUICK = {"budget": Steps(4), "batch": 4, "learning_rate": 1e-3}


def quickly(settings):
    return replace(settings, **QUICK)


def steps(count=6, criteria=(None,)):
    good, bad = Response.from_steps(["one is right", "two is right"]), Response.from_steps(["one is right", "no"])
    return [
        Record.of(
            f"question {i}",
            [good, bad],
            id=str(i),
            feedback=[
                StepLabels(which, labels, criterion=criterion)
                for criterion in criteria
                for which, labels in ((0, (1.0, 1.0)), (1, (1.0, 0.0)))
            ],
        )
        for i in range(count)
    ]


def words(backbone):
    return backbone.module.get_input_embeddings().weight


def moved(before, after, records):
    return not torch.equal(score(before, records).values, score(after, records).values)


def test_vilprm_scores_every_step_and_multiplies():
    records = steps()
    result = vilprm().run(tiny_text(), records, change=quickly)
    scores = result.reward(records)
    assert [len(each) for each in scores.steps] == [2] * 12
    torch.testing.assert_close(scores.values[0], scores.steps[0].prod())
    assert result.steps == 4
    assert moved(vilprm().reward(tiny_text()), result.reward, records)


def test_fgaif_learns_three_kinds_each_from_its_own_labels():
    records = steps(criteria=KINDS[:1])
    first = fgaif(KINDS[0]).run(tiny_text(), records, change=quickly)
    assert first.steps == 4
    three = [first.reward, *(fgaif(kind).reward(tiny_text(seed)) for seed, kind in enumerate(KINDS[1:], 1))]
    dense = combine(*three, by=weighted_sum(1.0, 1.0, 1.0))
    assert set(score(dense, records).status) == {Status.OK}
    with pytest.raises(TrainingError, match="nothing to learn from"):
        fgaif("relation").run(tiny_text(), records, change=quickly)


def test_video_reward_compares_each_attribute_with_ties_at_its_mark():
    pictures = [Image.from_array(torch.full((64, 64, 3), v, dtype=torch.uint8).numpy()) for v in (10, 200)]
    records = [
        Record.of(
            f"draw {i}",
            [[picture] for picture in pictures],
            id=str(i),
            feedback=(
                Preference(0, 1, criterion="VQ"),
                Preference(1, 0, criterion="TA"),
                Preference(0, 1, tie=True, probability=0.5, criterion="MQ"),
            ),
        )
        for i in range(4)
    ]
    result = video_reward().run(tiny_llava(), records, change=lambda s: replace(quickly(s), budget=Steps(12)))
    scores = score(augmented(result.reward, marks(*ATTRIBUTES)), records)
    assert set(scores.attributes) == set(ATTRIBUTES)
    first, second = ({name: scores.attributes[name][row] for name in ATTRIBUTES} for row in (0, 1))
    assert first["VQ"] > second["VQ"]
    assert first["TA"] < second["TA"]
    assert scores.attributes["VQ"].dtype == torch.float32


def test_unified_reward_makes_pairs_of_a_judge():
    records = [Record.of(f"p{i}", ["a", "bb", "ccc"], id=str(i)) for i in range(6)]

    def write(record, first, second):
        sizes = [len(record.responses[i].text) for i in (first, second)]
        return f"Answer {1 if sizes[0] > sizes[1] else 2} is better."

    def lengths(shown):
        return scores_of(shown, [float(len(r.text)) for record in shown for r in record.responses])

    made = unified_reward(write, lengths, rounds=9)(records)
    assert [(r.feedback[0].better, r.feedback[0].worse) for r in made] == [(2, 0)] * 6


def test_llava_rlhf_reads_facts_in_training_and_in_scoring():
    records = [
        Record.of(f"q{i}", ["yes", "no"], id=str(i), feedback=(Preference(0, 1),), facts=["it is so"], answer="yes")
        for i in range(6)
    ]
    result = llava_rlhf().run(tiny_text(), records, change=quickly)
    plain = llava_rlhf().run(tiny_text(), [replace(r, context={}) for r in records], change=quickly)
    assert not torch.equal(result.reward(records).values, plain.reward(records).values)
    shaped = score(with_bonuses(result.reward, longest=10.0), records)
    informed = score(with_bonuses(result.reward, longest=1e9), records)
    torch.testing.assert_close(shaped.values - informed.values, torch.full((12,), -1.0))
    assert set(shaped.status) == {Status.OK}
    missing = score(with_bonuses(result.reward), [replace(records[0], context={})])
    assert set(missing.status) == {Status.MISSING_CONTEXT}


def test_mm_rlhf_leaves_a_reward_that_writes_when_it_is_loaded(tmp_path):
    records = [
        Record.of(
            f"q{i}", ["yes", "no"], id=str(i), feedback=(Preference(0, 1), Critique(0, "fine"), Critique(1, "bad"))
        )
        for i in range(6)
    ]
    backbone = tiny_text()
    result = mm_rlhf(words(backbone)).run(backbone, records, output=tmp_path / "critic", change=quickly)
    assert {"critique_nats", "accuracy"} <= set(result.history[-1])
    critic = load(str(tmp_path / "critic"))
    assert isinstance(critic, CritiqueReward)
    critic.longest = 4
    scores = critic(records[:1])
    assert set(scores.status) == {Status.OK}
    assert all(text is not None for text in scores.critiques)


def test_themis_learns_from_traces_and_scores_after_its_tools(tmp_path):
    records = [
        Record.of(f"{i} + 2?", [f"{i} + 2 = {i + 2}", f"{i} + 2 = {i + 3}"], id=str(i), feedback=(Preference(0, 1),))
        for i in range(6)
    ]
    backbone = tiny_text()
    result = themis(words(backbone)).run(backbone, records, output=tmp_path / "themis", change=quickly)
    assert {"critique_nats", "accuracy"} <= set(result.history[-1])
    tools = {"calculator": calculator}
    scores = ToolReward(result.reward, arithmetic, tools)(records)
    assert set(scores.status) == {Status.OK}
    again = ToolReward(load(str(tmp_path / "themis")), arithmetic, tools)(records)
    assert torch.equal(scores.values, again.values)
    assert set(ToolReward(result.reward, arithmetic, {})(records).status) == {Status.UNAVAILABLE}
