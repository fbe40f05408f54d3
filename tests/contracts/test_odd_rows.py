"""Rows as users really have them: media in any form, arrays in cells, tags that are text, rows that hold nothing."""

import io

import numpy as np
import PIL.Image
import pytest
import torch

from assay.adapters import easyr1, openrlhf, slime, swift, verl, verl_omni
from assay.adapters.abstaining import AbstainedError
from assay.adapters.rows import judge
from assay.media import Image, Text, Video
from assay.records import Record
from assay.rewards import rules
from assay.rewards.base import scores_of
from assay.rewards.rules.judging import Abstention, Rule, judge_responses
from assay.scores import Status
from assay.spec import Spec

LEVEL = 51  # a fifth of 255: exact as a float in 0..1


def level(record, response):
    """The level of the last picture shown; 1000 more for each picture and 10000 for each frame before it."""
    parts = [part for message in (*record.prompt, *response.messages) for part in message.parts]
    pictures = [part for part in parts if isinstance(part, Image)]
    frames = [frame for part in parts if isinstance(part, Video) for frame in part.frames]
    if not pictures and not frames:
        return Abstention(Status.EMPTY, "no picture")
    shown = (pictures or frames)[-1].pil()
    assert shown.size == (6, 4)
    return float(shown.getpixel((0, 0))[0] + 1000 * len(pictures) + 10000 * len(frames))


SEEN = Rule("level", level, Spec(modalities=frozenset({"text", "image", "video"})), through=judge_responses)
HWC = np.full((4, 6, 3), LEVEL, np.uint8)
CHW = torch.full((3, 4, 6), LEVEL / 255)


def png():
    file = io.BytesIO()
    PIL.Image.fromarray(HWC).save(file, format="PNG")
    return file.getvalue()


FORMS = {
    "bytes": png(),
    "dict of bytes": {"bytes": png(), "path": None},
    "PIL": PIL.Image.fromarray(HWC),
    "uint8 HWC": HWC,
    "uint8 CHW": np.ascontiguousarray(HWC.transpose(2, 0, 1)),
    "grey": HWC[:, :, 0],
    "float HWC": HWC.astype(np.float64) / 255,
    "float CHW tensor": CHW,
    "half tensor": CHW.half(),
    "bfloat16 tensor": CHW.bfloat16(),
    "tensor with a graph": CHW.clone().requires_grad_(),
    "uint8 tensor": torch.from_numpy(HWC),
    "a Fortran array": np.asfortranarray(HWC),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_in_any_form_in_a_column_or_in_a_message(form, tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    medium = FORMS[form]
    inside = [{"role": "user", "content": [{"type": "image", "image": medium}, {"type": "text", "text": "?"}]}]
    judged = judge(
        SEEN,
        ["?", "?", inside, inside, "?", [{"role": "user", "content": [{"type": "image"}]}], "?"],
        ["a"] * 7,
        images=[medium, [medium, medium], None, ["ignored.png"], "a.png", [medium], None],
        root=tmp_path,
    )
    assert [j.value for j in judged] == [1051, 2051, 1051, 1051, 1051, 1051, None]
    assert judged[-1].status is Status.EMPTY


def test_arrays_with_one_more_axis_are_several_and_arrays_of_objects_lists():
    held = np.empty(2, dtype=object)
    held[:] = [{"bytes": png(), "path": None}, PIL.Image.fromarray(HWC)]
    judged = judge(SEEN, ["?"] * 3, ["a"] * 3, images=[np.stack([HWC] * 3), torch.stack([CHW] * 2), held])
    assert [j.value for j in judged] == [3051, 2051, 2051]


def test_videos_of_arrays():
    film, films = np.stack([HWC] * 3), torch.stack([torch.stack([CHW] * 2)] * 2)
    judged = judge(
        SEEN, ["?"] * 5, ["a"] * 5, videos=[film, [film, film], films, [HWC, HWC], [PIL.Image.fromarray(HWC)] * 2]
    )
    assert [j.value for j in judged] == [30051, 60051, 40051, 20051, 20051]


@pytest.mark.parametrize(
    "medium",
    [
        HWC.astype(np.float32),  # floats in 0..255
        CHW * 2 - 1,  # normalised
        CHW * torch.nan,
        np.zeros((4, 6, 7), np.uint8),
        np.zeros((4, 6, 3), np.int64),
        np.zeros((0, 6, 3)),
        np.array(["a", "b"]),
        np.float32(1.0),
        float("nan"),
        {"bytes": None, "path": None},
        "",
        [None],
    ],
)
def test_what_is_no_picture_costs_its_own_row_only(medium):
    inside = [{"role": "user", "content": [{"type": "image", "image": medium}]}]
    judged = judge(SEEN, ["?", inside, "?"], ["a"] * 3, images=[medium, None, HWC])
    assert [j.value for j in judged] == [None, None, 1051]
    assert {j.status for j in judged[:2]} <= {Status.UNREADABLE_MEDIA, Status.INVALID}
    assert all(j.message for j in judged[:2])


def texts(seen):
    """A reward of text that notes what it saw of prompts and responses, part by part."""

    def look(record, response):
        parts = [part for message in (*record.prompt, *response.messages) for part in message.parts]
        seen.append([part.text if isinstance(part, Text) else type(part).__name__ for part in parts])
        return 1.0

    return look


def test_a_tag_that_no_medium_stands_behind_is_text():
    seen = []
    blind = Rule("blind", texts(seen), Spec(), through=judge_responses)
    sighted = Rule("sighted", texts(seen), Spec(modalities=frozenset({"image"})), through=judge_responses)
    asked, said = "Write a <video> tag.", "<video src=a> is one, <image> too; <video>"
    assert judge(blind, [asked], [said], tags=True)[0].value == 1.0
    assert judge(sighted, [f"<image>{asked}"], [said], images=[HWC], tags=True)[0].value == 1.0
    assert judge(sighted, [asked], [said], images=[HWC], tags=True)[0].value == 1.0
    shown = ["Image", asked, said]
    assert seen == [[asked, said], shown, shown]
    lost = judge(sighted, ["<image>Which?"], ["B"], tags=True)[0]
    assert lost.status is Status.UNREADABLE_MEDIA
    few = judge(blind, ["<image> or <image>?"], ["B"], images=[HWC], tags=True)[0]
    assert few.status is Status.UNREADABLE_MEDIA


def test_a_policy_that_writes_a_tag_stops_no_trainer():
    said = "<image> yes"

    def starts(record, response):
        return float(response.text == said and "<image>" not in "".join(m.text for m in record.prompt))

    reward = Rule("starts", starts, Spec(modalities=frozenset({"image", "text"})), through=judge_responses)
    extra = {"prompt": "<image>How bright?", "images": [HWC]}
    assert verl.compute_score(reward)("toy", said, "", extra)["score"] == 1.0
    columns = {"messages": [[{"role": "user", "content": "<image>How bright?"}]], "images": [[HWC]]}
    assert swift.outcome(reward, "starts")()([said], **columns) == [1.0]
    plain = Rule("plain", lambda record, response: float(response.text == said), Spec(), through=judge_responses)
    assert openrlhf.reward_function(plain)([f"p {said}"], ["p "], [None])["rewards"].tolist() == [1.0]
    assert easyr1.batch(plain)([{"response": said, "ground_truth": ""}])[0]["overall"] == 1.0
    assert slime.reward_function(plain).judge([slime.Asked("p", said)])[0].value == 1.0


def test_pictures_that_stand_in_verls_prompt_are_seen():
    prompt = [{"role": "user", "content": [{"type": "image", "image": HWC}, {"type": "text", "text": "?"}]}]
    assert verl.compute_score(SEEN)("toy", "a", "", {"prompt": prompt})["score"] == 1051
    with pytest.raises(AbstainedError, match="missing_context"):
        verl.compute_score(SEEN)("toy", "a", "", {"prompt": [{"role": "user", "content": "?"}]})


def boxed(*items):
    held = np.empty(len(items), dtype=object)
    held[:] = items
    return held


def test_lists_that_pandas_made_arrays_are_lists_again():
    parts = boxed({"type": "image", "image": HWC}, {"type": "text", "text": "?"})
    prompt = boxed({"role": "system", "content": "Look."}, {"role": "user", "content": parts})
    judged = judge(SEEN, [prompt, tuple(prompt)], ["a", "a"], images=[["left alone.png"], [HWC]])
    assert [j.value for j in judged] == [1051, 1051]
    assert verl.compute_score(SEEN)("toy", "a", "", {"prompt": prompt})["score"] == 1051
    drawn = torch.full((3, 4, 6), LEVEL, dtype=torch.uint8)
    asked = {"prompt": boxed({"role": "system", "content": "Draw."}, {"role": "user", "content": "A field."})}
    assert verl_omni.compute_score(SEEN)("toy", drawn, "a field", asked)["score"] == 1051


def test_media_that_stand_in_messages_are_not_taken_twice_from_their_column():
    record = Record.of([Image.from_array(HWC), "?"], ["a"])
    judged = judge(SEEN, [record.prompt, list(record.prompt)], ["a", "a"], images=[[HWC], [HWC]])
    assert [j.value for j in judged] == [1051, 1051]


def test_batches_of_nothing():
    numbers = rules.length(per_words=1)
    assert judge(numbers, [], []) == []
    assert verl.compute_scores(numbers)([], [], [], []) == []
    assert easyr1.batch(numbers)([]) == []
    assert swift.outcome(numbers, "n")()([]) == []
    assert swift.process(numbers, "n")()([], []) == []
    assert swift.plugin(numbers, "n")()([]) == []
    said = openrlhf.reward_function(numbers)([], [], [])
    assert said["rewards"].tolist() == said["scores"].tolist() == []


def test_columns_with_none_nan_and_arrays_are_the_rewards_to_read():
    seen = []

    def look(record, response):
        seen.append(record.context["box"])
        return 1.0

    reward = Rule("look", look, Spec(needs=("box",)), through=judge_responses)
    cells = [None, float("nan"), np.arange(3), torch.arange(2), "ü\u202e\ud83d", {"a": 1}]
    judged = judge(reward, ["?"] * 6, ["ß", "", "a\x00b", "\ud800", "😀" * 3, "e\u0301"], context={"box": cells})
    assert [j.value for j in judged] == [1.0] * 6
    assert all(one is two for one, two in zip(seen, cells, strict=True))


def test_abstentions_among_scores_stay_in_their_rows():
    def odd(records):
        texts = [response.text for record in records for response in record.responses]
        lost = [text == "x" for text in texts]
        values = [float("nan") if gone else float(len(text)) for gone, text in zip(lost, texts, strict=True)]
        return scores_of(records, values, [Status.TIMEOUT if gone else Status.OK for gone in lost])

    judged = judge(odd, ["p"] * 4 + ["q"], ["ab", "x", "abc", "x", "a"])
    assert [j.value for j in judged] == [2, None, 3, None, 1]
    assert [j.status for j in judged] == [Status.OK, Status.TIMEOUT, Status.OK, Status.TIMEOUT, Status.OK]
