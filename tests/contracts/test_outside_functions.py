"""Outside reward functions become rewards: same numbers, and every failure a status of its own row."""

import asyncio
import pickle
from pathlib import Path

import numpy as np
import pytest

import assay
from assay.adapters.outside import from_function, from_trl, from_verl
from assay.adapters.trl import reward_function
from assay.media import Audio, Image
from assay.records import Record
from assay.rewards.base import ContractError, chain, score, spec_of
from assay.scores import Status
from assay.spec import Spec
from assay.transforms.shape import negate


def shared_words(prompt, response):
    return len(set(prompt.split()) & set(response.split()))


async def awaited_words(prompt, response):
    await asyncio.sleep(0)
    return shared_words(prompt, response)


def lengths(prompts, completions, **columns):
    return [float(len(completion)) for completion in completions]


def by_rule(data_source, solution_str, ground_truth, extra_info=None):
    right = float(solution_str == ground_truth)
    return {"score": right, "acc": right, "seen": extra_info["index"], "data_source": data_source, "status": 1}


RECORDS = [Record.of("a b c", ["a b", "x"]), Record.of("d", ["d"])]


@pytest.mark.parametrize("function", [shared_words, awaited_words])
def test_a_plain_function_sync_or_async(function):
    reward = from_function(function, spec=Spec(low=0))
    assert reward(RECORDS).values.tolist() == [2, 0, 1]
    assert spec_of(reward).low == 0
    assert pickle.loads(pickle.dumps(reward))(RECORDS).values.tolist() == [2, 0, 1]
    assert chain(reward, negate())(RECORDS).values.tolist() == [-2, 0, -1]
    assert repr(reward) == f"OutsideReward({function.__name__})"

    async def inside_a_loop():
        return reward(RECORDS)

    assert asyncio.run(inside_a_loop()).values.tolist() == [2, 0, 1]


def test_two_functions_have_two_fingerprints():
    assert assay.fingerprint(from_function(shared_words)) == assay.fingerprint(from_function(shared_words))
    assert assay.fingerprint(from_function(shared_words)) != assay.fingerprint(from_trl(lengths))


ANSWERS = {
    "number": 2,
    "text number": "2.5",
    "none": None,
    "nan": float("nan"),
    "infinite": float("inf"),
    "too large": 1e300,
    "words": "good",
    "list": [1, 2],
    "array": np.float32(1.5),
    "no key": {"points": 1},
    "key": {"score": 3, "clarity": 0.5, "why": "clear"},
}


def test_every_answer_has_its_status():
    reward = from_function(lambda prompt, response: ANSWERS[response], name="odd")
    scores = reward([Record.of("p", list(ANSWERS))])
    given = dict(zip(ANSWERS, scores.status, strict=True))
    answered = {"number", "text number", "array", "key"}
    not_finite = {"nan", "infinite", "too large"}
    assert {name for name, status in given.items() if status is Status.OK} == answered
    assert {name for name, status in given.items() if status is Status.NON_FINITE} == not_finite
    assert {name for name, status in given.items() if status is Status.UNPARSABLE} == {"words", "list", "no key"}
    assert given["none"] is Status.GATED
    assert scores.values[scores.ok].tolist() == [2, 2.5, 1.5, 3]
    assert scores.attributes["clarity"].isnan().tolist() == [True] * 10 + [False]
    assert "'good'" in scores.messages[6]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("bad row"), Status.FAILED),
        (TimeoutError("late"), Status.TIMEOUT),
        (ConnectionRefusedError("gone"), Status.UNAVAILABLE),
        (MemoryError(), Status.OUT_OF_MEMORY),
    ],
)
def test_what_a_function_raises_costs_its_own_row_only(error, status):
    def picky(prompt, response):
        if response == "x":
            raise error
        return 1.0

    def picky_batch(prompts, completions, **columns):
        return [picky(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]

    scores = from_function(picky)(RECORDS)
    assert scores.status == (Status.OK, status, Status.OK)
    assert type(error).__name__ in scores.messages[1]
    assert from_trl(picky_batch)(RECORDS).status == (status, status, Status.OK)


def test_a_needed_column_that_is_missing_and_media_that_are_not_read():
    def right(prompt, response, answer):
        return float(response == answer)

    picture = Image.from_array(np.zeros((2, 3, 3), np.uint8))
    records = [
        Record.of("p", ["A"], answer="A"),
        Record.of("p", ["A"]),
        Record.of([picture, "p"], ["A"], answer="A"),
    ]
    scores = score(from_function(right, spec=Spec(needs=("answer",))), records)
    assert scores.status == (Status.OK, Status.MISSING_CONTEXT, Status.UNSUPPORTED_MODALITY)
    assert "image" in scores.messages[2]


def test_the_shape_of_trl_with_pictures_columns_and_messages():
    seen = {}

    def function(prompts, completions, completion_ids, images, answer, log_metric, **rest):
        seen.update(prompts=prompts, completions=completions, ids=completion_ids, rest=rest)
        log_metric("mine", 1.0)
        return [image[0].size[0] + (completion[0]["content"] == wanted)
                for image, completion, wanted in zip(images, completions, answer, strict=True)]  # fmt: skip

    picture = Image.from_array(np.zeros((2, 5, 3), np.uint8))
    records = [Record.of([picture, "which?"], ["A", "B"], answer="B")]
    reward = from_trl(function, conversational=True, spec=Spec(needs=("answer",)), tokenize=lambda text: [len(text)])
    assert reward(records).values.tolist() == [5, 6]
    shown, text = seen["prompts"][0][0]["content"]
    assert (shown["type"], shown["image"].size, text) == ("image", (5, 2), {"type": "text", "text": "which?"})
    assert seen["completions"][0] == [{"role": "assistant", "content": "A"}]
    assert seen["ids"] == [[1], [1]]
    assert set(seen["rest"]) == {"trainer_state", "log_extra"}


def test_media_that_a_shape_has_no_place_for_are_not_left_out():
    picture, sound = Image.from_array(np.zeros((2, 5, 3), np.uint8)), Audio(path=Path("a.wav"))
    records = [Record.of([picture, "?"], ["a", picture]), Record.of([sound, "?"], ["b"]), Record.of("?", ["cc"])]
    lost = Status.UNSUPPORTED_MODALITY
    texts = from_trl(lengths)(records)
    assert texts.status == (Status.OK, lost, lost, Status.OK)
    assert texts.values[[0, 3]].tolist() == [1, 2]
    assert "audio" in texts.messages[2]
    assert from_trl(lengths, conversational=True)(records).status == (Status.OK,) * 4
    verl = from_verl(lambda data_source, solution_str, ground_truth, extra_info: len(solution_str), ground_truth=None)
    assert verl(records).status == (Status.OK, lost, Status.OK, Status.OK)
    for count in (1, 4):
        with pytest.raises(ContractError, match=f"answered {count} rows of 2"):
            from_trl(lambda completions, count=count: [1.0] * count)(records)


def test_a_function_of_trl_is_handed_what_it_takes_and_what_it_must_have():
    assert from_trl(lambda completions: [len(text) for text in completions])(RECORDS).values.tolist() == [3, 1, 1]
    with pytest.raises(ValueError, match="tokenize="):
        from_trl(lambda completions, completion_ids: [])
    with pytest.raises(ContractError, match="1 rows of 3"):
        from_trl(lambda completions: [1.0])(RECORDS)


def test_there_and_back_again_is_the_same_function():
    there = reward_function(from_trl(lengths), "lengths")
    assert there(prompts=["p", "q"], completions=["abc", "d"]) == lengths(["p", "q"], ["abc", "d"])
    none = reward_function(from_trl(lambda completions: [None, 2.0]), "gated")
    assert none(prompts=["p", "q"], completions=["a", "b"]) == [None, 2.0]


def test_the_shape_of_verl():
    reward = from_verl(by_rule, extra=("index",), data_source="mine")
    assert spec_of(reward).needs == ("answer", "index")
    scores = score(reward, [Record.of("p", ["A", "B"], answer="A", index=7), Record.of("p", ["A"], answer="A")])
    assert scores.values.tolist()[:2] == [1, 0]
    assert scores.status[2] is Status.MISSING_CONTEXT
    assert scores.attributes["acc"].tolist()[:2] == [1, 0]
    assert scores.attributes["seen"].tolist()[:2] == [7, 7]
    assert set(scores.attributes) == {"acc", "seen", "attribute_status"}
    plain = from_verl(lambda data_source, solution_str, ground_truth, extra_info: 0.5, ground_truth=None)
    assert plain(RECORDS).values.tolist() == [0.5] * 3


def test_no_records_are_no_rows():
    assert len(from_trl(lengths)([])) == 0
    assert len(from_function(shared_words)([])) == 0
