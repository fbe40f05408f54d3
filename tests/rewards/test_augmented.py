import pytest
import torch

from assay.media import Image
from assay.records import Record, Response
from assay.rewards.augmented import augmented, each, facts, marks
from assay.rewards.base import chain, score, scores_of, spec_of
from assay.scores import Status
from assay.testing import learned_reward, tiny_llava
from assay.transforms import negate

KNOWN = ("a red circle", "two triangles", "no text")
RECORD = Record.of("What is shown?", ["a circle", "a square"], id="r", facts=KNOWN)


def prompt_length(records):
    return scores_of(records, [float(len(r.prompt[-1].text)) for r in records for _ in r.responses])


def test_facts_follow_the_prompt_each_on_a_line_in_a_drawn_order():
    read = facts()(RECORD)
    assert read.responses == RECORD.responses
    lines = read.prompt[0].text.splitlines()
    assert lines[0] == "What is shown?"
    assert sorted(lines[-3:]) == sorted(f"- {fact}" for fact in KNOWN)
    assert facts()(RECORD) == read
    orders = {facts(seed=seed)(RECORD).prompt[0].text for seed in range(12)}
    assert len(orders) > 3


def test_a_record_without_facts_stays_as_it_is_and_a_text_is_one_fact():
    bare = Record.of("What?", ["a"], id="b")
    empty = Record.of("What?", ["a"], id="b", facts=[])
    assert facts()(bare) is bare
    assert facts()(empty) is empty
    assert facts("caption")(Record.of("What?", ["a"], caption="a cat")).prompt[0].text.endswith("- a cat")
    assert facts()(Record.of([], ["a"], facts="x")).prompt[-1].text.endswith("- x")


def test_an_augmented_reward_declares_the_column_and_sees_no_other():
    reward = augmented(prompt_length, facts(), needs=("facts",))
    assert spec_of(reward).needs == ("facts",)
    assert score(reward, [RECORD]).values[0] > len("What is shown?")
    assert score(augmented(prompt_length, facts()), [RECORD]).values[0] == len("What is shown?")
    assert spec_of(chain(reward, negate())).needs == ("facts",)
    assert repr(reward) == "augmented(prompt_length, facts('facts', seed=0))"


def test_facts_change_what_a_learned_reward_says_and_not_whose_row_it_is():
    reward = learned_reward()
    told = score(augmented(reward, facts(), needs=("facts",)), [RECORD])
    plain = score(reward, [RECORD])
    assert told.ids == plain.ids
    assert (told.values != plain.values).all()


def test_marks_end_a_response_with_a_step_each():
    read = marks("VQ", "TA")(RECORD)
    response = read.responses[0]
    assert response.text == "a circle\n<|VQ|><|TA|>"
    assert [(end.message, end.part, end.offset) for end in response.step_ends] == [(0, 1, 7), (0, 1, 13)]
    assert [r.step_ends for r in each(marks("VQ"))([RECORD])[0].responses] == [response.step_ends[:1]] * 2
    empty = marks("a")(Record("e", RECORD.prompt, (Response(()),)))
    assert empty.responses[0].text == "\n<|a|>"
    with pytest.raises(ValueError, match="name"):
        marks()


def test_marks_follow_pictures_in_the_response():
    from functools import partial

    from assay.models.heads.marked import MarkedHead
    from assay.models.reading import step_ends
    from assay.rewards.learned import LearnedReward

    names = ("VQ", "MQ", "TA")
    backbone = tiny_llava()
    reward = LearnedReward(backbone, partial(MarkedHead, names=names)(backbone.hidden_size), read=step_ends)
    pictures = [Image.from_array(torch.full((64, 64, 3), v, dtype=torch.uint8).numpy()) for v in (10, 200)]
    record = Record.of("draw it", [[picture] for picture in pictures], id="p")
    scores = score(augmented(reward, marks(*names)), [record])
    assert scores.status == (Status.OK, Status.OK)
    assert set(scores.attributes) == set(names)
    assert all(column[0] != column[1] for column in scores.attributes.values())
